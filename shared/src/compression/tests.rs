use super::*;
use proptest::prelude::*;
use std::{vec, vec::Vec};

/// The format as the module's page words it, one bit at a time, without tables.
fn slow_decompress(compressed: &[u8], size: usize, count: usize) -> Vec<u8> {
    let mut output = vec![0; size * count];
    let mut at = 0;
    for plane in 0..size {
        let mode = compressed[at];
        at += 1;
        let mut values = Vec::new();
        match mode {
            0 => {
                values.extend_from_slice(&compressed[at..at + count]);
                at += count;
            }
            1 => {
                values.resize(count, compressed[at]);
                at += 1;
            }
            2 => {
                let length = |value: usize| usize::from(compressed[at + value / 2] >> (value % 2 * 4) & 15);
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
                    let len = u32::from_le_bytes(compressed[field..field + 4].try_into().expect("four bytes")) as usize;
                    let (mut bit, q) = (0, count.div_ceil(4));
                    for _ in (stream * q).min(count)..((stream + 1) * q).min(count) {
                        let (mut read, mut bits) = (0, 0);
                        loop {
                            read = read << 1 | u32::from(compressed[from + bit / 8] >> (bit % 8) & 1);
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
    assert_eq!(at, compressed.len());
    output
}

/// Bytes as skewed as exponents are: each value half as frequent as the one before.
fn skewed(seeds: &[u32]) -> Vec<u8> {
    seeds.iter().map(|seed| seed.trailing_zeros() as u8 * 7).collect()
}

fn check(plain: &[u8], size: usize) -> Option<usize> {
    let mut compressed = Vec::new();
    if !compress(plain, size, &mut compressed) {
        assert!(compressed.is_empty());
        return None;
    }
    assert!(compressed.len() < plain.len());
    let mut output = vec![0xaa; plain.len()];
    decompress(&compressed, size, &mut output).expect("decompresses");
    assert!(output == plain && slow_decompress(&compressed, size, plain.len() / size) == plain);
    Some(compressed.len())
}

#[test]
fn the_example_on_the_page() {
    let compressed = [0x01, 0x01, 0x00, 0x3f, 0xbf, 0x3f];
    let mut output = [0; 6];
    decompress(&compressed, 2, &mut output).expect("decompresses");
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
    assert!(check(&plain, 1).is_some_and(|compressed| compressed < plain.len() / 2));
}

#[test]
fn refuses_what_is_no_compressed_form() {
    let mut output = [0; 6];
    assert_eq!(decompress(&[1, 1], 4, &mut output), Err(CompressionError::Elements { len: 6, size: 4 }));
    assert_eq!(decompress(&[0, 1], 1, &mut output), Err(CompressionError::Short { needed: 6, left: 1 }));
    assert_eq!(decompress(&[3, 1], 1, &mut output), Err(CompressionError::Mode { found: 3 }));
    assert_eq!(decompress(&[1, 1, 9], 1, &mut output), Err(CompressionError::Trailing { left: 1 }));
    assert_eq!(decompress(&[2; 300], 1, &mut output), Err(CompressionError::Code));
    // Two values of one bit each; the streams claim 4 GiB.
    let mut bomb = vec![2, 0x11];
    bomb.resize(129, 0);
    bomb.extend([0xff; 16]);
    assert_eq!(decompress(&bomb, 1, &mut output), Err(CompressionError::Short { needed: u32::MAX as usize, left: 0 }));
}

proptest! {
    #[test]
    fn comes_back(seeds in prop::collection::vec(any::<u32>(), 0..6000), size in prop::sample::select(vec![1usize, 2, 4, 8])) {
        let mut plain = skewed(&seeds);
        plain.truncate(plain.len() / size * size);
        let compressed = check(&plain, size);
        prop_assert!(compressed.is_some() || plain.len() < 400 * size);
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
        let mut compressed = Vec::new();
        prop_assert!(compress(&plain, 1, &mut compressed));
        let mut output = vec![0; plain.len()];
        let cut = at.index(compressed.len());
        prop_assert!(decompress(&compressed[..cut], 1, &mut output).is_err());
        compressed[cut] ^= 1u8 << bit;
        let _ = decompress(&compressed, 1, &mut output);
    }
}
