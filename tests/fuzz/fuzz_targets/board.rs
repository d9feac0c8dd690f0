//! Any bytes as what describes a board and what is flashed onto it: a board.toml, or an ELF file to make UF2 blocks of.

#![no_main]

use std::path::Path;

use kurtoscope::board::{Description, uf2};
use libfuzzer_sys::fuzz_target;

/// The family id of the RP2350's Arm cores.
const FAMILY: u32 = 0xe48b_ff59;
const BLOCK: usize = 512;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    if kind % 2 == 0 {
        if let Ok(text) = std::str::from_utf8(rest) {
            // An error's text quotes the file.
            let _ = Description::parse(Path::new("fuzzed"), text).map_err(|error| error.to_string());
        }
    } else if let Ok(blocks) = uf2::from_elf(rest, "thumbv8m.main-none-eabihf", FAMILY) {
        assert!(blocks.len().is_multiple_of(BLOCK));
    }
});
