//! Any bytes as a packed payload: unpacking never panics and touches nothing but its output; what it takes for sound packs
//! and unpacks to the same elements again.

#![no_main]

use kurtoscope_shared::packing::{pack, unpack};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [kind, count, rest @ ..] = bytes else { return };
    let size = 1 << (kind & 3);
    let mut elements = vec![0xaa; size * usize::from(*count) * if kind & 4 == 0 { 1 } else { 16 }];
    if kind & 8 != 0 {
        // The other way: whatever can be packed comes back.
        let plain = &rest[..rest.len() / size * size];
        let mut packed = Vec::new();
        if pack(plain, size, &mut packed) {
            let mut back = vec![0; plain.len()];
            assert_eq!(unpack(&packed, size, &mut back), Ok(()));
            assert_eq!(back, plain);
        }
    } else if unpack(rest, size, &mut elements).is_ok() {
        let mut packed = Vec::new();
        if pack(&elements, size, &mut packed) {
            let mut back = vec![0; elements.len()];
            assert_eq!(unpack(&packed, size, &mut back), Ok(()));
            assert_eq!(back, elements);
        }
    }
});
