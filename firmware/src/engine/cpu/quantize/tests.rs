use kurtoscope_shared::{Element, Random, Requests, quantization::dequantized, statistics::Statistic};
use proptest::prelude::*;

use super::*;
use crate::engine::{
    ChunkSpec,
    cpu::{Everything, measure},
};

/// Every scheme, block by block and element by element, by the definitions in the shared crate.
fn by_definition(values: &[f32], row: usize) -> Vec<(Scheme, f64)> {
    let error = |scheme: Scheme| {
        let blocks = values.chunks(row).flat_map(|row| row.chunks(scheme.block().unwrap_or(row.len())));
        let squares = blocks.flat_map(|block| {
            let back = dequantized(scheme, block);
            block.iter().zip(back).map(|(x, q)| (f64::from(*x) - f64::from(q)).powi(2)).collect::<Vec<_>>()
        });
        squares.sum()
    };
    Scheme::ALL.into_iter().map(|scheme| (scheme, error(scheme))).collect()
}

fn errors_of(bytes: &[u8], element: Element, row: usize, stride: u8, offset: u64) -> QuantizationErrors {
    let requests = Requests { quantization_errors: SampleStride::new(stride), ..Requests::MOMENTS };
    let spec = ChunkSpec { element, offset, row: row as u32, requests };
    let found = measure::<Everything>(bytes, spec);
    assert_eq!(found.check(&requests, &spec.span(bytes.len()), 1e-10), Ok(()));
    found.quantization_errors.expect("asked for")
}

fn errors(values: &[f32], row: usize, stride: u8) -> QuantizationErrors {
    errors_of(&bytes(values), Element::F32, row, stride, 0)
}

/// The whole of parts, which begin at these offsets in a tensor with rows of `row`.
fn merged<'a>(row: usize, stride: u8, parts: impl Iterator<Item = (usize, &'a [f32])>) -> QuantizationErrors {
    let stride_of = SampleStride::new(stride).expect("a stride");
    let mut parts = parts.map(|(offset, part)| {
        let spec =
            ChunkSpec { offset: offset as u64, row: row as u32, ..ChunkSpec::of(Element::F32, Requests::MOMENTS) };
        (errors_of(&bytes(part), Element::F32, row, stride, offset as u64), spec.span(4 * part.len()))
    });
    let (mut whole, _) = parts.next().expect("a part");
    parts.for_each(|(part, span)| whole.append(&part, stride_of, &span));
    whole
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn agrees(values: &[f32], row: usize) {
    let found = errors(values, row, 1);
    // What binary32 loses of the elements themselves.
    let rounding = 1e-13 * values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
    // An element exactly between two codes may get either: Q4_0's definition rounds by adding 8.5, the engine
    // at once. Where the scale that is kept is a binary16, the two are not quite equally far: by as many codes of 2^-11 each.
    let largest = values.iter().fold(0.0, |largest: f64, x| largest.max(f64::from(x.abs())));
    let two_ties = |codes: f64| 2.0 * (largest / codes).powi(2) * codes / 2048.0;
    for (scheme, expected) in by_definition(values, row) {
        let found = found.of(scheme).expect("whole rows");
        let ties = match scheme {
            Scheme::Q4_0 => two_ties(8.0),
            Scheme::Q8_0 => two_ties(127.0),
            _ => 0.0,
        };
        let near = (found - expected).abs() <= 1e-4 * expected + rounding + ties;
        assert!(near, "{} in rows of {row}: {found:e} against {expected:e}", scheme.key());
    }
}

fn bell(count: u32) -> Vec<f32> {
    let mut random = Random::new(1);
    (0..count).map(|_| 0.7 * random.normal() as f32).collect()
}

/// Tails of Student's t with three degrees of freedom, nearly: a normal value over the root of a mean of squares.
fn heavy(count: u32) -> Vec<f32> {
    let bell = bell(4 * count);
    bell.chunks(4).map(|four| four[0] / (four[1..].iter().map(|x| x * x).sum::<f32>() / 3.0).sqrt()).collect()
}

#[test]
fn every_scheme_agrees_with_its_definition() {
    for (count, row) in [(8192, 1024), (8192, 8192), (960, 96), (1000, 100), (10_000, 5_000), (7, 7), (3, 1)] {
        agrees(&bell(count), row);
        agrees(&heavy(count), row);
    }
}

#[test]
fn samples_stand_for_all_elements() {
    let mut lone = bell(1 << 21);
    lone[77_777] = 50.0;
    for (name, values) in [("bell", bell(1 << 21)), ("heavy", heavy(1 << 21)), ("one outlier", lone)] {
        for stride in [2, 4, 8, 16, 32, 64] {
            let (all, sampled) = (errors(&values, 1024, 1), errors(&values, 1024, stride));
            for scheme in Scheme::ALL {
                let (all, sampled) = (all.of(scheme).expect("sum"), sampled.of(scheme).expect("sum"));
                let decibels = 10.0 * (sampled / all).log10();
                // Four standard deviations of 32 768 samples and more; of heavy tails, whose errors vary more, as many.
                let limit = if name == "heavy" { 0.15 } else { 0.1 };
                assert!(decibels.abs() < limit, "{name}, 1 of {stride}, {}: {decibels:+.4} dB", scheme.key());
            }
        }
    }
}

#[test]
fn how_a_tensor_is_cut_into_chunks_does_not_matter() {
    let values = heavy(40 * 640);
    let whole = errors(&values, 640, 8);
    let cut = merged(640, 8, values.chunks(3 * 640).enumerate().map(|(number, rows)| (number * 3 * 640, rows)));
    fn halves((number, row): (usize, &[f32])) -> [(usize, &[f32]); 2] {
        [(number * 640, &row[..256]), (number * 640 + 256, &row[256..])]
    }
    let parts = merged(640, 8, values.chunks(640).enumerate().flat_map(halves));
    for scheme in Scheme::ALL {
        let whole = whole.of(scheme).expect("whole rows");
        let near = |found: f64| (found / whole - 1.0).abs() < 1e-6;
        assert!(near(cut.of(scheme).expect("whole rows")), "{}", scheme.key());
        // Parts of rows leave it at their samples where a whole row is quantized in full.
        assert!(parts.of(scheme).is_none_or(|found| (found / whole - 1.0).abs() < 0.1), "{}", scheme.key());
        assert_eq!(parts.of(scheme).is_none(), scheme.block().is_none());
    }
}

#[test]
fn an_outlier_in_the_last_part_of_a_row_is_not_lost() {
    let mut values = bell(1280);
    values[1000] = 40.0;
    let whole = errors(&values, 1280, 1);
    let parts = merged(1280, 8, [(0, &values[..640]), (640, &values[640..])].into_iter());
    for scheme in [Scheme::Int4G128, Scheme::Q4_0, Scheme::Mxfp4] {
        let (whole, parts) = (whole.of(scheme).expect("sum"), parts.of(scheme).expect("sum"));
        // 144 samples of the other groups: four standard deviations.
        assert!((parts / whole - 1.0).abs() < 0.34, "{}: {parts} against {whole}", scheme.key());
    }
}

#[test]
fn what_is_not_finite_counts_as_zero() {
    let mut values = bell(256);
    (values[3], values[200]) = (f32::NAN, f32::NEG_INFINITY);
    let found = errors(&values, 256, 1);
    (values[3], values[200]) = (0.0, 0.0);
    assert_eq!(found, errors(&values, 256, 1));
}

#[test]
fn other_element_types_are_decoded() {
    let halves: Vec<u16> = bell(640).iter().map(|value| half::bf16::from_f32(*value).to_bits()).collect();
    let raw: Vec<u8> = halves.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let values: Vec<f32> = halves.iter().map(|bits| half::bf16::from_bits(*bits).to_f32()).collect();
    assert_eq!(errors_of(&raw, Element::Bf16, 64, 1, 0), errors(&values, 64, 1));
    let doubles: Vec<u8> = values.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect();
    assert_eq!(errors_of(&doubles, Element::F64, 64, 1, 0), errors(&values, 64, 1));
    assert_eq!(errors(&[], 64, 1).of(Scheme::Q8_0), Some(0.0));
}

#[test]
fn scales_that_binary32_does_not_hold_well_are_quantized_all_the_same() {
    for factor in [1e-20f32, 1e-37, 1e20, 1e30] {
        let values: Vec<f32> = bell(1280).iter().map(|value| value * factor).collect();
        let found = errors(&values, 640, 1);
        for (scheme, expected) in by_definition(&values, 640) {
            if let Some(found) = found.of(scheme) {
                assert!(
                    (found / expected - 1.0).abs() < 1e-3,
                    "{} at {factor:e}: {found:e}, {expected:e}",
                    scheme.key()
                );
            }
        }
        // A binary16 holds no scale above 65504: Q8_0 and Q4_0 break down, the others do not.
        assert!(found.of(Scheme::Int8G32).is_some_and(|sum| sum > 0.0));
    }
}

proptest! {
    #[test]
    fn any_rows_agree(values in prop::collection::vec(-1e3f32..1e3, 1..400), row in 1usize..200) {
        let whole = values.len() / row * row;
        if whole > 0 {
            agrees(&values[..whole], row);
        }
    }

    #[test]
    fn no_bits_make_a_sum_negative_or_infinite(raw in prop::collection::vec(any::<u8>(), 0..2000), row in 1usize..70, stride in prop::sample::select(vec![1u8, 2, 4, 8, 16, 32, 64])) {
        let raw = &raw[..raw.len() / (2 * row) * (2 * row)];
        errors_of(raw, Element::F16, row, stride, 0);
    }
}
