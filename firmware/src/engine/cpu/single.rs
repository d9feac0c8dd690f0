//! Measuring on processors that compute in 32 bits and only emulate 64: powers are taken and added up in f32, 256 elements
//! at a time, and those sums are added up in f64.
//!
//! What would be lost in f32 is avoided: sums are taken around a pivot near the mean and at a scale at which fourth powers
//! are normal numbers. Chunks for which there are no such, or that hold elements of more than f32's digits or elements that
//! are not finite, are measured in f64, which is right and slow.

use half::f16;
use kurtoscope_shared::{Element, Measurement};

use super::{Block, Collectors, StatisticList};
use crate::engine::{ChunkSpec, centre::Centre, powers::Sums};

/// Elements whose powers are added up in f32.
const BLOCK: usize = 256;
/// Elements of a block that are added up before they are added to the others: a power that dwarfs the rest costs these
/// the digits below its last place, each time one is added.
const SPAN: usize = 64;
/// Parallel sums within a span: what is added up in a row is a quarter of it, and so is the rounding.
const LANES: usize = 4;
/// How often a chunk may be summed again around a better pivot.
const ATTEMPTS: usize = 3;
/// The largest power of two that elements are multiplied by in one step.
const MAX_SCALE: i32 = 100;

/// The relative error that this arithmetic stands by.
pub const TOLERANCE: f64 = 1e-6;

/// Measures the elements in `bytes`, little-endian, in f32: the moments, and of the statistics in the list `L` what `spec` asks
/// for. A last incomplete element is ignored.
pub fn measure<L: StatisticList>(bytes: &[u8], spec: ChunkSpec) -> Measurement {
    let element = spec.element;
    // The types of 8 and 16 bits that are left are rare.
    let other = |bytes: &[u8]| element.decode(bytes).unwrap_or_default() as f32;
    let found = match element {
        Element::F32 => chunk::<_, L>(bytes, spec, f32::from_le_bytes),
        Element::Bf16 => {
            chunk::<_, L>(bytes, spec, |bytes: [u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16))
        }
        Element::F16 => chunk::<_, L>(bytes, spec, |bytes: [u8; 2]| f16::from_le_bytes(bytes).to_f32()),
        Element::I16 | Element::U16 => chunk::<_, L>(bytes, spec, |bytes: [u8; 2]| other(&bytes)),
        Element::F8E4m3 | Element::F8E5m2 | Element::I8 | Element::U8 | Element::Bool => {
            chunk::<_, L>(bytes, spec, |bytes: [u8; 1]| other(&bytes))
        }
        Element::F64 | Element::I64 | Element::I32 | Element::U64 | Element::U32 => None,
    };
    found.unwrap_or_else(|| super::measure_in_f64::<L>(bytes, spec))
}

/// Measures a chunk of elements of `N` bytes, each of which `load` reads; `None` where f32 does not suffice.
// Inlined, the blocks of all element types would be on the stack at once.
#[inline(never)]
fn chunk<const N: usize, L: StatisticList>(
    bytes: &[u8],
    spec: ChunkSpec,
    load: impl Fn([u8; N]) -> f32,
) -> Option<Measurement> {
    let mut centre = Centre::sampled(bytes, spec.element);
    for _attempt in 0..ATTEMPTS {
        let mut collectors = L::Collectors::<'_, f32>::new(&spec, bytes);
        let sums = pass(bytes.as_chunks().0, &centre, &mut collectors, &load)?;
        match sums.better(&centre) {
            None => {
                let mut found = Measurement { moments: sums.moments(&centre), ..Measurement::default() };
                collectors.finish(&mut found);
                return Some(found);
            }
            Some(better) => centre = better,
        }
    }
    None
}

/// Adds up a chunk; `None` where a sum is not finite, or the scale is out of range.
fn pass<'a, const N: usize>(
    elements: &[[u8; N]],
    centre: &Centre,
    collectors: &mut impl Collectors<'a, f32>,
    load: impl Fn([u8; N]) -> f32,
) -> Option<Sums> {
    if centre.scale.abs() > MAX_SCALE {
        return None;
    }
    let (pivot, factor) = (centre.scaled_pivot(), centre.factor() as f32);
    let mut scratch = [0.0; BLOCK];
    let mut sums = Sums { finite: elements.len() as u64, other: 0, zeros: 0, powers: [0.0; 4], range: None };
    let (mut least, mut greatest) = (f32::INFINITY, f32::NEG_INFINITY);
    for (block, position) in elements.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
        let samples = &mut scratch[..block.len()];
        let found = BlockSums::of(block, samples, pivot, factor, &load);
        // An element that is not finite, or a power beyond f32, shows in the fourth powers' sum.
        if !found.powers[3].is_finite() {
            return None;
        }
        for (sum, power) in sums.powers.iter_mut().zip(found.powers) {
            *sum += f64::from(power);
        }
        sums.zeros += u64::from(found.zeros);
        least = if found.least < least { found.least } else { least };
        greatest = if found.greatest > greatest { found.greatest } else { greatest };
        let BlockSums { least: min, greatest: max, zeros, .. } = found;
        collectors.take(&Block { samples, position, min, max, zeros: zeros.into(), next: Default::default() });
    }
    sums.range = (!elements.is_empty()).then(|| (least.into(), greatest.into()));
    Some(sums)
}

/// What one pass over a block finds.
struct BlockSums {
    powers: [f32; 4],
    least: f32,
    greatest: f32,
    zeros: u32,
}

impl BlockSums {
    /// Reads `elements` into `samples` and takes sums of powers of `sample * factor - pivot`, lane by lane.
    #[inline(always)]
    fn of<const N: usize>(
        elements: &[[u8; N]],
        samples: &mut [f32],
        pivot: f32,
        factor: f32,
        load: impl Fn([u8; N]) -> f32,
    ) -> Self {
        let mut powers = [0.0f32; 4];
        let (mut least, mut greatest, mut zeros) = (f32::INFINITY, f32::NEG_INFINITY, 0);
        for (elements, samples) in elements.chunks(SPAN).zip(samples.chunks_mut(SPAN)) {
            let mut lanes = [[0.0f32; LANES]; 4];
            let mut add = |lane: usize, element: &[u8; N], place: &mut f32| {
                let sample = load(*element);
                *place = sample;
                let distance = sample * factor - pivot;
                let square = distance * distance;
                lanes[0][lane] += distance;
                lanes[1][lane] += square;
                lanes[2][lane] += square * distance;
                lanes[3][lane] += square * square;
                least = if sample < least { sample } else { least };
                greatest = if sample > greatest { sample } else { greatest };
                zeros += u32::from(sample == 0.0);
            };
            let ((groups, rest), (places, last)) = (elements.as_chunks::<LANES>(), samples.as_chunks_mut::<LANES>());
            for ([a, b, c, d], [at, bt, ct, dt]) in groups.iter().zip(places) {
                add(0, a, at);
                add(1, b, bt);
                add(2, c, ct);
                add(3, d, dt);
            }
            for (element, place) in rest.iter().zip(last) {
                add(0, element, place);
            }
            for (power, [a, b, c, d]) in powers.iter_mut().zip(lanes) {
                *power += (a + b) + (c + d);
            }
        }
        Self { powers, least, greatest, zeros }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cpu::{Everything, Small};
    use crate::{engine::CpuEngine, self_test};
    use kurtoscope_shared::{Moments, Random, Requests, statistics::ExtremeCount};
    use proptest::prelude::*;
    use std::vec::Vec;

    fn keeping(count: u8) -> Requests {
        Requests { extremes: ExtremeCount::new(count), ..Requests::MOMENTS }
    }

    fn measured(values: &[f32]) -> Measurement {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        measure::<Small>(&bytes, ChunkSpec::of(Element::F32, keeping(4)))
    }

    /// The largest error of mean (in standard deviations), variance, skewness (absolute below 1) and kurtosis.
    fn error(values: &[f32]) -> f64 {
        let found = measured(values).moments;
        let expected = Moments::from_values(values.iter().map(|value| f64::from(*value)));
        assert_eq!(
            (found.count, found.non_finite, found.zeros, found.min, found.max),
            (expected.count, expected.non_finite, expected.zeros, expected.min, expected.max)
        );
        let Some(kurtosis) = expected.kurtosis() else {
            assert_eq!((found.kurtosis(), found.mean), (None, expected.mean), "undefined on both sides");
            return 0.0;
        };
        let (variance, skewness) = (expected.variance().expect("defined"), expected.skewness().expect("defined"));
        let defined = |value: Option<f64>| value.unwrap_or(f64::NAN);
        [
            (found.mean - expected.mean) / variance.sqrt(),
            defined(found.variance()) / variance - 1.0,
            (defined(found.skewness()) - skewness) / skewness.abs().max(1.0),
            defined(found.kurtosis()) / kurtosis - 1.0,
        ]
        .into_iter()
        .fold(0.0, |worst, error| if error.abs() > worst || error.is_nan() { error.abs() } else { worst })
    }

    /// Uniform numbers from 0 to 1, the same for the same seed.
    fn uniform(count: usize, seed: u64) -> Vec<f32> {
        let mut random = Random::new(seed);
        (0..count).map(|_| random.unit() as f32).collect()
    }

    #[test]
    fn within_the_stated_accuracy_on_whatever_breaks_32_bits() {
        let plain = uniform(4096, 1);
        let with = |change: &dyn Fn(usize, f32) -> f32| -> Vec<f32> {
            plain.iter().enumerate().map(|(index, value)| change(index, *value)).collect()
        };
        let cases = [
            ("uniform", with(&|_, x| x)),
            ("heavy", with(&|_, x| (x - 0.5) / (1.0 - x * 0.9999).powi(3))),
            ("planted", with(&|index, x| if index == 77 { 100.0 } else { x - 0.5 })),
            ("planted far below", with(&|index, x| if index == 4095 { -1e6 } else { x })),
            ("large mean", with(&|_, x| 1000.0 + x)),
            ("tiny", with(&|_, x| (x - 0.3) * 1e-20)),
            ("huge", with(&|_, x| (x - 0.3) * 1e20)),
            ("almost out of range", with(&|_, x| (x - 0.3) * 1e37)),
            ("subnormal", with(&|_, x| (x - 0.3) * 1e-39)),
            ("two values", with(&|_, x| if x > 0.3 { 0.1 } else { -0.7 })),
            ("rarely another", with(&|index, _| if index % 1000 == 1 { 0.3 } else { 0.1 })),
            ("constant", with(&|_, _| 0.1)),
            ("all zero", with(&|_, _| 0.0)),
            ("not finite", with(&|index, x| if index % 500 == 7 { f32::NAN } else { x })),
            ("infinite", with(&|index, x| if index == 9 { f32::NEG_INFINITY } else { x })),
            ("nothing finite", with(&|_, _| f32::NAN)),
            ("few", plain[..5].to_vec()),
            ("odd", plain[..1027].to_vec()),
            ("one", plain[..1].to_vec()),
            ("none", Vec::new()),
        ];
        for (name, values) in cases {
            let error = error(&values);
            assert!(error <= TOLERANCE, "{name}: {error:e}");
        }
    }

    #[test]
    fn every_element_type_gives_the_moments_that_f64_gives() {
        let bytes: Vec<u8> = uniform(2048, 3).iter().flat_map(|value| (value * 200.0 - 100.0).to_le_bytes()).collect();
        for element in Element::ALL {
            let spec = ChunkSpec::of(element, keeping(3));
            let (found, expected) = (measure::<Small>(&bytes, spec), super::super::measure::<Everything>(&bytes, spec));
            assert_eq!(found.extremes, expected.extremes, "{element}");
            assert_eq!(found.moments.count, expected.moments.count, "{element}");
            match (found.moments.kurtosis(), expected.moments.kurtosis()) {
                (Some(a), Some(b)) => assert!((a / b - 1.0).abs() <= TOLERANCE, "{element}: {a} against {b}"),
                (a, b) => assert_eq!(a, b, "{element}"),
            }
        }
    }

    #[test]
    fn the_engine_proves_itself() {
        for max_payload in [512, 16_384, 65_536] {
            let outcome = self_test::run(&mut CpuEngine::single_precision(max_payload));
            assert!(outcome.passed && outcome.tolerance == TOLERANCE, "{outcome:?}");
            assert!(outcome.max_relative_error > 1e-12, "this is not f64's accuracy: {outcome:?}");
        }
    }

    proptest! {
        #[test]
        fn any_sizes_and_scales(seed in any::<u64>(), count in 2usize..1500, offset in -50.0f32..50.0, exponent in -30i32..30) {
            let scale = 2f32.powi(exponent);
            let values: Vec<f32> = uniform(count, seed).iter().map(|x| (x.powi(4) + offset) * scale).collect();
            let error = error(&values);
            prop_assert!(error <= TOLERANCE, "{error:e}");
        }
    }
}
