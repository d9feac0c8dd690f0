//! A checkpoint of packed weights with a configuration; see `kurtoscope_fuzz::open_and_read_packed`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| kurtoscope_fuzz::open_and_read_packed(bytes));
