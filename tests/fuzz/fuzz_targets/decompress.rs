//! Any bytes as a compressed payload: decompressing never panics and touches nothing but its output; what it accepts
//! compresses and decompresses to the same elements again.

#![no_main]

use kurtoscope_shared::compression::{compress, decompress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [kind, count, rest @ ..] = bytes else { return };
    let size = 1 << (kind & 3);
    let mut elements = vec![0xaa; size * usize::from(*count) * if kind & 4 == 0 { 1 } else { 16 }];
    if kind & 8 != 0 {
        // The other way: whatever can be compressed comes back.
        let plain = &rest[..rest.len() / size * size];
        let mut compressed = Vec::new();
        if compress(plain, size, &mut compressed) {
            let mut back = vec![0; plain.len()];
            assert_eq!(decompress(&compressed, size, &mut back), Ok(()));
            assert_eq!(back, plain);
        }
    } else if decompress(rest, size, &mut elements).is_ok() {
        let mut compressed = Vec::new();
        if compress(&elements, size, &mut compressed) {
            let mut back = vec![0; elements.len()];
            assert_eq!(decompress(&compressed, size, &mut back), Ok(()));
            assert_eq!(back, elements);
        }
    }
});
