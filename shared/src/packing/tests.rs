use super::*;
use proptest::prelude::*;
use std::{vec, vec::Vec};

/// The format as the module's page words it, one bit at a time, without tables.
fn slow_unpack(packed: &[u8], size: usize, count: usize) -> Vec<u8> {
    let mut output = vec![0; size * count];
    let mut at = 0;
    for plane in 0..size {
        let mode = packed[at];
        at += 1;
        let mut values = Vec::new();
        match mode {
            0 => {
                values.extend_from_slice(&packed[at..at + count]);
                at += count;
            }
            1 => {
                values.resize(count, packed[at]);
                at += 1;
            }
            2 => {
                let length = |value: usize| usize::from(packed[at + value / 2] >> (value % 2 * 4) & 15);
                let mut order: Vec<usize> = (0..256).filter(|&value| length(value) > 0).collect();
                order.sort_by_key(|&value| (length(value), value));
                let (mut code, mut last, mut codes) = (0u32, length(order[0]), Vec::new());
                for &value in &order {
                    code <<= length(value) - last;
                    last = length(value);
                    codes.push((last, code, value as u8));
                    code += 1;
                }
                let mut from = at + 144;
                for stream in 0..4 {
                    let field = at + 128 + stream * 4;
                    let len = u32::from_le_bytes(packed[field..field + 4].try_into().expect("four bytes")) as usize;
                    let (mut bit, q) = (0, count.div_ceil(4));
                    for _ in (stream * q).min(count)..((stream + 1) * q).min(count) {
                        let (mut read, mut bits) = (0, 0);
                        loop {
                            read = read << 1 | u32::from(packed[from + bit / 8] >> (bit % 8) & 1);
                            (bit, bits) = (bit + 1, bits + 1);
                            if let Some(found) = codes.iter().find(|found| (found.0, found.1) == (bits, read)) {
                                values.push(found.2);
                                break;
                            }
                        }
                    }
                    from += len;
                }
                at = from;
            }
            other => panic!("mode {other}"),
        }
        for (index, value) in values.into_iter().enumerate() {
            output[index * size + plane] = value;
        }
    }
    assert_eq!(at, packed.len());
    output
}

/// Bytes as skewed as exponents are: each value half as frequent as the one before.
fn skewed(seeds: &[u32]) -> Vec<u8> {
    seeds.iter().map(|seed| seed.trailing_zeros() as u8 * 7).collect()
}

fn check(plain: &[u8], size: usize) -> Option<usize> {
    let mut packed = Vec::new();
    if !pack(plain, size, &mut packed) {
        assert!(packed.is_empty());
        return None;
    }
    assert!(packed.len() < plain.len());
    let mut output = vec![0xaa; plain.len()];
    unpack(&packed, size, &mut output).expect("unpacks");
    assert!(output == plain && slow_unpack(&packed, size, plain.len() / size) == plain);
    Some(packed.len())
}

#[test]
fn the_example_on_the_page() {
    let packed = [0x01, 0x01, 0x00, 0x3f, 0xbf, 0x3f];
    let mut output = [0; 6];
    unpack(&packed, 2, &mut output).expect("unpacks");
    assert_eq!(output, [0x01, 0x3f, 0x01, 0xbf, 0x01, 0x3f]);
}

#[test]
fn the_smallest_inputs_and_the_flattest() {
    for size in [1, 2, 4, 8] {
        assert_eq!(check(&[], size), None);
        assert_eq!(check(&vec![7; size], size), None);
        assert_eq!(check(&vec![7; size * 1001], size), Some(2 * size));
    }
}

#[test]
fn counts_as_skewed_as_fibonacci_numbers_keep_codes_short() {
    let (mut plain, mut pair) = (Vec::new(), (1usize, 1));
    for value in 0..24u8 {
        plain.extend(vec![value; pair.0]);
        pair = (pair.1, pair.0 + pair.1);
    }
    assert!(check(&plain, 1).is_some_and(|packed| packed < plain.len() / 2));
}

#[test]
fn refuses_what_is_no_packed_form() {
    let mut output = [0; 6];
    assert_eq!(unpack(&[1, 1], 4, &mut output), Err(PackingError::Elements { len: 6, size: 4 }));
    assert_eq!(unpack(&[0, 1], 1, &mut output), Err(PackingError::Short { needed: 6, left: 1 }));
    assert_eq!(unpack(&[3, 1], 1, &mut output), Err(PackingError::Mode { found: 3 }));
    assert_eq!(unpack(&[1, 1, 9], 1, &mut output), Err(PackingError::Trailing { left: 1 }));
    assert_eq!(unpack(&[2; 300], 1, &mut output), Err(PackingError::Code));
    // Two values of one bit each; the streams claim 4 GiB.
    let mut bomb = vec![2, 0x11];
    bomb.resize(129, 0);
    bomb.extend([0xff; 16]);
    assert_eq!(unpack(&bomb, 1, &mut output), Err(PackingError::Short { needed: u32::MAX as usize, left: 0 }));
}

proptest! {
    #[test]
    fn comes_back(seeds in prop::collection::vec(any::<u32>(), 0..6000), size in prop::sample::select(vec![1usize, 2, 4, 8])) {
        let mut plain = skewed(&seeds);
        plain.truncate(plain.len() / size * size);
        let packed = check(&plain, size);
        prop_assert!(packed.is_some() || plain.len() < 400 * size);
    }

    #[test]
    fn random_bytes_stay_plain(plain in prop::collection::vec(any::<u8>(), 0..4096)) {
        if plain.len() > 300 {
            prop_assert_eq!(check(&plain, 1), None);
        }
    }

    #[test]
    fn damage_never_panics(seeds in prop::collection::vec(any::<u32>(), 800..2000), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let plain = skewed(&seeds);
        let mut packed = Vec::new();
        prop_assert!(pack(&plain, 1, &mut packed));
        let mut output = vec![0; plain.len()];
        let cut = at.index(packed.len());
        prop_assert!(unpack(&packed[..cut], 1, &mut output).is_err());
        packed[cut] ^= 1u8 << bit;
        let _ = unpack(&packed, 1, &mut output);
    }
}
