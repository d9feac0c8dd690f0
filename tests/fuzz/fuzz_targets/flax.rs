//! A Flax checkpoint, opened and read; see `kurtoscope_fuzz::open_and_read`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| kurtoscope_fuzz::open_and_read(bytes));
