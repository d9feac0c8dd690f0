//! The blocks against the plain two-pass reference, element by element.

use super::*;
use kurtoscope_shared::{
    Random, Requests,
    statistics::{ChunkSpan, SampleStride},
};
use proptest::prelude::*;
use std::vec::Vec;

/// What `measure` should find, by definition.
fn expected(values: &[f64], requests: Requests) -> Measurement {
    Measurement::reference(values, &requests, &whole(values.len()))
}

/// A chunk that is all of a tensor without rows.
fn whole(count: usize) -> ChunkSpan {
    ChunkSpan { offset: 0, count: count as u64, row: 0 }
}

fn measured(bytes: &[u8], spec: ChunkSpec) -> Measurement {
    measure::<Everything>(bytes, spec)
}

fn assert_agree(found: &Measurement, expected: &Measurement) {
    let (f, e) = (&found.moments, &expected.moments);
    assert_eq!((f.count, f.non_finite, f.zeros, f.min, f.max), (e.count, e.non_finite, e.zeros, e.min, e.max));
    assert_eq!(found.histogram, expected.histogram);
    assert_eq!(found.extremes, expected.extremes);
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
    assert_eq!(found.check(&Requests::TAILS, &whole((f.count + f.non_finite) as usize), 1e-10), Ok(()));
}

fn check_f32(values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let wide: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
    assert_agree(&measured(&bytes, ChunkSpec::of(Element::F32, Requests::TAILS)), &expected(&wide, Requests::TAILS));
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
                &measured(&bytes, ChunkSpec::of(element, Requests::TAILS)),
                &expected(&values, Requests::TAILS),
            );
        }
    }
}

#[test]
fn f64_out_of_range_is_undefined_not_wrong() {
    let bytes: Vec<u8> = [1e200, -1e200, 5e199].iter().flat_map(|x: &f64| x.to_le_bytes()).collect();
    let found = measured(&bytes, ChunkSpec::of(Element::F64, Requests::TAILS));
    assert_eq!((found.moments.count, found.moments.non_finite), (3, 0));
    assert_eq!(found.moments.kurtosis(), None);
    assert_eq!((found.moments.min, found.moments.max), (-1e200, 1e200));
}

#[test]
fn an_empty_payload_of_the_longest_rows_is_an_empty_measurement() {
    for row in [1, 4, u32::MAX] {
        let spec = ChunkSpec { row, ..ChunkSpec::of(Element::F32, Requests::FULL) };
        // A number a column would be 16 GiB.
        let found = measured(&[], spec);
        assert_eq!(found.check(&spec.requests, &spec.span(0), 0.0), Ok(()), "{row}");
        assert!(found.row_column_sums.is_none(), "{row}: {found:?}");
    }
}

#[test]
fn only_what_was_asked_for() {
    let bytes = [0u8; 64];
    let found = measured(&bytes, ChunkSpec::of(Element::F32, Requests::MOMENTS));
    assert_eq!(found, Measurement { moments: found.moments, ..Measurement::default() });
    assert_eq!(found.moments.zeros, 16);
}

proptest! {
    #[test]
    fn any_values(values in prop::collection::vec(prop_oneof![8 => -1e3f32..1e3, 1 => Just(0.0), 1 => Just(f32::NAN), 2 => -1e-3f32..1e-3], 0..600)) {
        check_f32(&values);
    }

    #[test]
    fn any_bytes_as_any_type(bytes in prop::collection::vec(any::<u8>(), 0..300), element in prop::sample::select(&Element::ALL[..])) {
        let found = measured(&bytes, ChunkSpec::of(element, Requests::TAILS));
        prop_assert_eq!(found.check(&Requests::TAILS, &whole(bytes.len() / element.size()), 1e-10), Ok(()));
    }

    /// The same for every statistic, held against another cut and against its own definition.
    #[test]
    fn cut_rows_give_what_the_whole_gives(row in 1usize..300, values in prop::collection::vec(-3f32..3.0, 1..900), cut in 0usize..30, stride in 0u32..7, wide in any::<bool>()) {
        let rows = values.len().div_ceil(row);
        let values: Vec<f32> = values.iter().copied().cycle().take(rows * row).collect();
        let element = if wide { Element::F64 } else { Element::F32 };
        let bytes: Vec<u8> = match element {
            Element::F64 => values.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        };
        let requests = Requests { quantization_errors: SampleStride::new(1 << stride), ..Requests::LARGEST };
        let spec = |offset: usize| ChunkSpec { element, offset: offset as u64, row: row as u32, requests };
        let all = measured(&bytes, spec(0));
        let at = cut % rows * row;
        let (first, second) = bytes.split_at(at * element.size());
        let mut merged = Measurement::default();
        merged.append(&measured(first, spec(0)), &requests, &spec(0).span(first.len()));
        merged.append(&measured(second, spec(at)), &requests, &spec(at).span(second.len()));
        assert_same(&merged, &all, 1e-5);
        let doubles: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
        let defined = Measurement::reference(&doubles, &requests, &spec(0).span(bytes.len()));
        // Errors of quantization are held against their definition in `quantize`, which allows for ties between levels.
        let without_errors = |found: &Measurement| Measurement { quantization_errors: None, ..found.clone() };
        assert_same(&without_errors(&all), &without_errors(&defined), 1e-4);
        prop_assert_eq!(all.check(&requests, &spec(0).span(bytes.len()), 1e-10), Ok(()));
    }
}

/// Every statistic within `sums` of the expected one, and exact where it does not hold sums.
fn assert_same(found: &Measurement, expected: &Measurement, sums: f64) {
    fn pair<S: kurtoscope_shared::statistics::Registered>(found: &Measurement, expected: &Measurement, sums: f64) {
        let (Some(found), Some(expected)) = (S::find(found), S::find(expected)) else {
            assert_eq!(S::find(found), S::find(expected));
            return;
        };
        let error = found.relative_error(expected);
        assert!(error <= S::TOLERANCE.map_or(1e-10, |tolerance| tolerance.min(sums)), "{}: {error:e}", S::NAME);
    }
    pair::<Moments>(found, expected, sums);
    pair::<Extremes>(found, expected, sums);
    pair::<MagnitudeHistogram>(found, expected, sums);
    pair::<QuantizationErrors>(found, expected, sums);
    pair::<RowColumnSums>(found, expected, sums);
    pair::<ColumnErrors>(found, expected, sums);
}

/// Elements of one block: a common magnitude of `2^exponent`, zeros, huge and subnormal numbers, or a constant.
fn block() -> impl Strategy<Value = Vec<f32>> {
    let scaled = (-149i32..=127, prop::collection::vec(-1.0f32..1.0, 32))
        .prop_map(|(exponent, values)| values.iter().map(|value| value * (exponent as f32).exp2()).collect());
    let special = prop::sample::select(std::vec![0.0, -0.0, f32::MIN_POSITIVE, 1e-45, -1e-45, f32::MAX, f32::NAN, 1.0]);
    let mixed = prop::collection::vec(special, 32);
    let constant = (-149i32..=127).prop_map(|exponent| std::vec![(exponent as f32).exp2() * 1.5; 32]);
    prop_oneof![4 => scaled, 1 => mixed, 1 => constant]
}

proptest! {
    #[test]
    fn no_answer_of_this_engine_is_called_implausible(
        blocks in prop::collection::vec(block(), 0..24),
        rows in 1usize..4,
        element in prop::sample::select(std::vec![Element::F32, Element::F16, Element::Bf16, Element::F64]),
    ) {
        let values: Vec<f32> = blocks.concat();
        let width = values.len() / rows / 32 * 32;
        let values = &values[..width * rows];
        let bytes: Vec<u8> = values.iter().flat_map(|value| match element {
            Element::F32 => value.to_le_bytes().to_vec(),
            Element::F16 => half::f16::from_f32(*value).to_le_bytes().to_vec(),
            Element::Bf16 => half::bf16::from_f32(*value).to_le_bytes().to_vec(),
            _ => (f64::from(*value) * 1e-30).to_le_bytes().to_vec(),
        }).collect();
        let requests = Requests::LARGEST;
        let spec = ChunkSpec { row: width as u32, ..ChunkSpec::of(element, requests) };
        let span = ChunkSpan { offset: 0, count: values.len() as u64, row: width as u64 };
        prop_assert_eq!(measured(&bytes, spec).check(&requests, &span, 1e-10), Ok(()));
    }
}
