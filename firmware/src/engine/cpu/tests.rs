//! The blocks against the plain two-pass reference, element by element.

use super::*;
use kurtoscope_shared::{Extreme, Lines, Noise, Random, Tail, Top, protocol::Statistics, tail};
use proptest::prelude::*;
use std::vec::Vec;

/// What `measure` should find, the slow way.
fn expected(values: &[f64], statistics: Statistics) -> Measurement {
    let moments = Moments::from_values(values.iter().copied());
    let mut dense = std::vec![0u64; tail::BINS];
    let finite = values.iter().enumerate().filter(|(_, value)| value.is_finite());
    for (_, value) in finite.clone().filter(|(_, value)| **value != 0.0) {
        dense[tail::bin_of(value.abs())] += 1;
    }
    let all: Vec<Extreme> =
        finite.map(|(index, value)| Extreme { position: index as u64, value: value + 0.0 }).collect();
    let mut top = Top::default();
    top.merge(&Top { highest: all.clone(), lowest: all }, 0, usize::from(statistics.top));
    let tail = if statistics.tail { Tail::from_dense(&dense) } else { Tail::default() };
    Measurement { moments, tail, top, noise: Noise::default(), lines: Lines::default() }
}

fn assert_agree(found: &Measurement, expected: &Measurement) {
    let (f, e) = (&found.moments, &expected.moments);
    assert_eq!((f.count, f.non_finite, f.zeros, f.min, f.max), (e.count, e.non_finite, e.zeros, e.min, e.max));
    assert_eq!(found.tail, expected.tail);
    assert_eq!(found.top, expected.top);
    let sigma = e.standard_deviation().unwrap_or(0.0);
    // A mean cannot be better than the rounding of the values themselves.
    let rounding = 4.0 * f64::EPSILON * e.max.abs().max(e.min.abs());
    assert!(e.count == 0 || (f.mean - e.mean).abs() <= 1e-12 * sigma + rounding, "mean {} {}", f.mean, e.mean);
    let near = |name: &str, a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => assert!((a - b).abs() <= 1e-10 * b.abs().max(1.0), "{name}: {a} against {b}"),
        (a, b) => assert_eq!(a, b, "{name}"),
    };
    near("skewness", f.skewness(), e.skewness());
    near("kurtosis", f.kurtosis(), e.kurtosis());
    if let (Some(a), Some(b)) = (f.variance(), e.variance()) {
        assert!((a - b).abs() <= 1e-10 * b, "variance: {a} against {b}");
    }
    assert!(found.is_valid(f.count + f.non_finite));
}

fn check_f32(values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let wide: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
    assert_agree(&measure(&bytes, Piece::of(Element::F32, Statistics::TAILS)), &expected(&wide, Statistics::TAILS));
}

/// Uniform values from -1 to 1, always the same.
fn noise(count: usize) -> impl Iterator<Item = f32> {
    let mut random = Random::new(1);
    (0..count).map(move |_| random.unit() as f32 * 2.0 - 1.0)
}

#[test]
fn sizes_around_lanes_and_blocks() {
    for size in (0..70).chain([255, 256, 257, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 17, 10 * BLOCK]) {
        check_f32(&noise(size).collect::<Vec<_>>());
    }
}

#[test]
fn distributions_that_break_naive_sums() {
    let size = 3 * BLOCK + 5;
    let spiked = |spike: f32| noise(size).enumerate().map(move |(i, x)| if i == BLOCK + 3 { spike } else { x });
    check_f32(&noise(size).map(|x| x + 1000.0).collect::<Vec<_>>());
    check_f32(&noise(size).map(|x| x * 1e-20).collect::<Vec<_>>());
    check_f32(&noise(size).map(|x| x * 1e20).collect::<Vec<_>>());
    check_f32(&noise(size).map(|x| x * 1e-41).collect::<Vec<_>>());
    check_f32(&spiked(135.0).collect::<Vec<_>>());
    check_f32(&spiked(1e30).collect::<Vec<_>>());
    check_f32(&std::vec![0.1; size]);
    check_f32(&std::vec![-0.0; size]);
    // The mean jumps from block to block, so the first pivot is far off each time.
    check_f32(&(0..size).map(|i| (i / BLOCK) as f32 * 1e6 + (i % 7) as f32).collect::<Vec<_>>());
    // A constant block behind blocks with another mean.
    check_f32(&(0..size).map(|i| if i < BLOCK { i as f32 } else { 0.3 }).collect::<Vec<_>>());
    check_f32(&(0..size).map(|i| i as f32).collect::<Vec<_>>());
}

#[test]
fn special_values_are_counted_and_left_out() {
    let size = 2 * BLOCK + 100;
    for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN] {
        check_f32(&noise(size).enumerate().map(|(i, x)| if i % 1000 == 3 { special } else { x }).collect::<Vec<_>>());
        check_f32(&[special; 9]);
        check_f32(&[special, 1.0]);
    }
}

#[test]
fn every_element_type_through_its_codes() {
    for element in Element::ALL {
        let mut bytes: Vec<u8> = noise(8 * 5000).map(|x| (x * 128.0) as i8 as u8).collect();
        if element == Element::F64 {
            // Random bits make numbers whose fourth powers leave f64.
            bytes = noise(5000).flat_map(|x| (f64::from(x) * 0.1).to_le_bytes()).collect();
        }
        let values: Vec<f64> =
            bytes.chunks_exact(element.size()).map(|bytes| element.decode(bytes).expect("complete")).collect();
        // bfloat16 and binary32 reach 1e38, whose moments a plain two-pass sum cannot hold to 1e-10.
        if !matches!(element, Element::Bf16 | Element::F32) {
            assert_agree(
                &measure(&bytes, Piece::of(element, Statistics::TAILS)),
                &expected(&values, Statistics::TAILS),
            );
        }
    }
}

#[test]
fn f64_out_of_range_is_undefined_not_wrong() {
    let bytes: Vec<u8> = [1e200, -1e200, 5e199].iter().flat_map(|x: &f64| x.to_le_bytes()).collect();
    let found = measure(&bytes, Piece::of(Element::F64, Statistics::TAILS));
    assert_eq!((found.moments.count, found.moments.non_finite), (3, 0));
    assert_eq!(found.moments.kurtosis(), None);
    assert_eq!((found.moments.min, found.moments.max), (-1e200, 1e200));
}

#[test]
fn an_empty_payload_of_the_longest_rows_is_an_empty_measurement() {
    for row in [1, 4, u32::MAX] {
        let piece = Piece { row, ..Piece::of(Element::F32, Statistics::FULL) };
        // A number a column would be 16 GiB.
        let found = measure(&[], piece);
        assert!(found.is_valid(0) && found.is_complete(piece.statistics, true), "{row}: {found:?}");
        assert_eq!(found.lines, kurtoscope_shared::Lines::default());
    }
}

#[test]
fn only_what_was_asked_for() {
    let bytes = [0u8; 64];
    let found = measure(&bytes, Piece::of(Element::F32, Statistics::MOMENTS));
    assert!(found.tail.is_empty() && found.top == Top::default());
    assert_eq!(found.moments.zeros, 16);
}

proptest! {
    #[test]
    fn any_values(values in prop::collection::vec(prop_oneof![8 => -1e3f32..1e3, 1 => Just(0.0), 1 => Just(f32::NAN), 2 => -1e-3f32..1e-3], 0..600)) {
        check_f32(&values);
    }

    #[test]
    fn any_bytes_as_any_type(bytes in prop::collection::vec(any::<u8>(), 0..300), element in prop::sample::select(&Element::ALL[..])) {
        let found = measure(&bytes, Piece::of(element, Statistics::TAILS));
        prop_assert!(found.is_valid((bytes.len() / element.size()) as u64));
    }
}
