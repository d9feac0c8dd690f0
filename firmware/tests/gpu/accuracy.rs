//! Against two passes in f64: every distribution, element type and awkward size.

use kurtoscope_firmware::engine::{ChunkSpec, CpuEngine, Engine, gpu::GpuEngine};
use kurtoscope_shared::{
    Element, MagnitudeHistogram, Measurement, Moments, Random, Requests,
    statistics::{ExtremeCount, SampleStride},
};

use super::{
    distributions::{ALL, Distribution},
    engine, reference,
};

/// What the engine stands by.
const LIMIT: f64 = 1e-6;
const FLOATS: [Element; 3] = [Element::F32, Element::F16, Element::Bf16];

fn push(value: f64, element: Element, bytes: &mut Vec<u8>) {
    match element {
        Element::F32 => bytes.extend((value as f32).to_le_bytes()),
        Element::F16 => bytes.extend(half::f16::from_f64(value).to_le_bytes()),
        Element::Bf16 => bytes.extend(half::bf16::from_f64(value).to_le_bytes()),
        Element::I8 => bytes.extend(((value * 20.0).round() as i8).to_le_bytes()),
        other => panic!("{other} is not drawn here"),
    }
}

fn draw((_, next): Distribution, element: Element, count: usize) -> Vec<u8> {
    let mut random = Random::new(count as u64);
    let mut bytes = Vec::with_capacity(count * element.size());
    (0..count).for_each(|position| push(next(&mut random, position, count), element, &mut bytes));
    bytes
}

/// The worst error against the reference: mean in standard deviations, variance and kurtosis relative, skewness relative
/// or, below 1, absolute.
fn worst(found: &Moments, expected: &Moments) -> f64 {
    let relative = |found: Option<f64>, expected: Option<f64>, least: f64| match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() / expected.abs().max(least),
        (None, None) => 0.0,
        _ => f64::INFINITY,
    };
    let sigma = expected.standard_deviation().filter(|sigma| *sigma > 0.0);
    let mean = match sigma {
        Some(sigma) => (found.mean - expected.mean).abs() / sigma,
        None if found.mean == expected.mean => 0.0,
        None => f64::INFINITY,
    };
    [
        mean,
        relative(found.variance(), expected.variance(), f64::MIN_POSITIVE),
        relative(found.skewness(), expected.skewness(), 1.0),
        relative(found.kurtosis(), expected.kurtosis(), 1.0),
    ]
    .into_iter()
    // Written so that NaN is the worst.
    .fold(0.0, |worst, error| if error <= worst { worst } else { error })
}

/// Measures in as many chunks as the adapter needs, merged as a host merges them.
fn measure(engine: &mut GpuEngine, element: Element, bytes: &[u8]) -> Measurement {
    let chunk = engine.limits().max_payload as usize;
    let mut whole = Measurement::default();
    for start in (0..bytes.len()).step_by(chunk) {
        let part = &bytes[start..bytes.len().min(start + chunk)];
        let offset = (start / element.size()) as u64;
        let spec = ChunkSpec { offset, ..ChunkSpec::of(element, Requests::TAILS) };
        let measured = engine.measure(spec, part).expect("measured");
        assert_eq!(measured.check(&spec.requests, &spec.span(part.len()), LIMIT), Ok(()));
        whole.append(&measured, &spec.requests, &spec.span(part.len()));
    }
    whole
}

/// Holds one drawing against its reference; returns the worst error.
fn hold(engine: &mut GpuEngine, distribution: Distribution, element: Element, count: usize) -> f64 {
    let name = format!("{} x {count} as {element}", distribution.0);
    let bytes = draw(distribution, element, count);
    let found = measure(engine, element, &bytes);
    let expected = reference::measure(&bytes, element, ExtremeCount::DEFAULT.get());
    let exact = |m: &Moments| (m.count, m.non_finite, m.zeros, m.min, m.max);
    assert_eq!(exact(&found.moments), exact(&expected.moments), "{name}");
    assert_eq!(found.histogram, Some(expected.histogram), "{name}");
    assert_eq!(found.extremes, Some(expected.extremes), "{name}");
    let error = worst(&found.moments, &expected.moments);
    assert!(error <= LIMIT, "{name}: {error:.2e}\n{:?}\n{:?}", found.moments, expected.moments);
    error
}

#[test]
fn every_distribution_and_type_at_a_million() {
    let Some(mut engine) = engine(1 << 26) else { return };
    println!("adapter: {}", engine.description());
    for distribution in ALL {
        let errors = FLOATS.map(|element| hold(&mut engine, distribution, element, (1 << 20) + 3));
        let [single, half, brain] = errors;
        println!("{:32} f32 {single:.1e}  f16 {half:.1e}  bf16 {brain:.1e}", distribution.0);
    }
    hold(&mut engine, ALL[1], Element::I8, 1_000_003);
    hold(&mut engine, ALL[14], Element::I8, 65_537);
}

#[test]
fn tiny_and_odd_sizes() {
    let Some(mut engine) = engine(1 << 26) else { return };
    let sizes = (1..=17).chain([63, 64, 65, 255, 256, 257, 4095, 4096, 4097, 16_383, 16_385, 65_535, 65_536, 65_537]);
    for count in sizes.chain([100_003, 262_143, 262_145]) {
        for distribution in ALL {
            for element in [Element::F32, Element::F16, Element::Bf16, Element::I8] {
                hold(&mut engine, distribution, element, count);
            }
        }
    }
}

#[test]
fn every_power_of_two_up_to_sixty_four_million() {
    let Some(mut engine) = engine(1 << 28) else { return };
    for exponent in 0..=24 {
        hold(&mut engine, ALL[5], Element::F32, 1 << exponent);
    }
    for (element, distribution) in [(Element::F32, ALL[3]), (Element::F32, ALL[5]), (Element::Bf16, ALL[3])] {
        let error = hold(&mut engine, distribution, element, 1 << 26);
        println!(
            "{} x 2^26 as {element}: {error:.1e}, chunks of {} bytes",
            distribution.0,
            engine.limits().max_payload
        );
    }
}

#[test]
fn constants_have_no_kurtosis() {
    let Some(mut engine) = engine(1 << 24) else { return };
    for value in [0.0, -0.0, 1.0, 0.1, -3e-41, 1e-20, 3e38] {
        let bytes: Vec<u8> = [value as f32; 70_001].iter().flat_map(|value| value.to_le_bytes()).collect();
        let found = measure(&mut engine, Element::F32, &bytes).moments;
        assert_eq!((found.count, found.mean, found.m2, found.m4), (70_001, f64::from(value as f32), 0.0, 0.0));
        assert_eq!(found.kurtosis(), None);
    }
}

#[test]
fn nothing_finite_is_counted_alone() {
    let Some(mut engine) = engine(1 << 24) else { return };
    let bytes: Vec<u8> = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].iter().flat_map(|x| x.to_le_bytes()).collect();
    let found = measure(&mut engine, Element::F32, &bytes);
    assert_eq!((found.moments.count, found.moments.non_finite), (0, 3));
    assert_eq!(found.histogram, Some(MagnitudeHistogram::default()));
    assert!(found.extremes.expect("asked for").highest.is_empty());
    let empty = engine.measure(ChunkSpec::of(Element::F32, Requests::FULL), &[]).expect("measured");
    assert_eq!(empty.moments.count, 0);
}

#[test]
fn every_code_of_the_short_types() {
    let Some(mut engine) = engine(1 << 24) else { return };
    for element in [Element::F16, Element::Bf16] {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let (found, expected) = (measure(&mut engine, element, &bytes), reference::measure(&bytes, element, 16));
        assert_eq!((found.histogram, found.extremes), (Some(expected.histogram), Some(expected.extremes)), "{element}");
        assert_eq!(found.moments.non_finite, expected.moments.non_finite);
        assert_eq!((found.moments.min, found.moments.max), (expected.moments.min, expected.moments.max));
        assert!(worst(&found.moments, &expected.moments) <= LIMIT, "{element}");
    }
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let (found, expected) = (measure(&mut engine, Element::I8, &bytes), reference::measure(&bytes, Element::I8, 16));
    assert_eq!((found.histogram, found.extremes), (Some(expected.histogram), Some(expected.extremes)));
    assert!(worst(&found.moments, &expected.moments) <= LIMIT);
}

#[test]
fn types_beyond_the_kernel_are_measured_all_the_same() {
    let Some(mut engine) = engine(1 << 24) else { return };
    let bytes: Vec<u8> = [1.0f64, 2.0, 3.0, 4.0, 10.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let found = engine.measure(ChunkSpec::of(Element::F64, Requests::FULL), &bytes).expect("measured").moments;
    assert!((found.mean - 4.0).abs() < 1e-15 && (found.m4 - 1394.0).abs() < 1e-9);
}

#[test]
fn two_runs_give_identical_bits() {
    let Some(mut engine) = engine(1 << 26) else { return };
    let Some(mut second) = self::engine(1 << 26) else { return };
    for distribution in [ALL[3], ALL[5], ALL[16]] {
        let bytes = draw(distribution, Element::F32, 3_000_001);
        let first = measure(&mut engine, Element::F32, &bytes);
        for _ in 0..3 {
            assert_eq!(measure(&mut engine, Element::F32, &bytes), first, "{}", distribution.0);
        }
        assert_eq!(measure(&mut second, Element::F32, &bytes), first, "{}, another device", distribution.0);
    }
}

#[test]
fn rows_are_quantized_as_on_the_processor() {
    let Some(mut engine) = engine(1 << 24) else { return };
    for element in [Element::F32, Element::Bf16] {
        let bytes = draw(ALL[5], element, 640 * 1000);
        let spec = ChunkSpec {
            row: 640,
            ..ChunkSpec::of(element, Requests { quantization_errors: SampleStride::new(8), ..Requests::FULL })
        };
        let found = engine.measure(spec, &bytes).expect("measured");
        let expected = CpuEngine::with_max_payload(1 << 24).measure(spec, &bytes).expect("measured");
        assert_eq!(found.quantization_errors, expected.quantization_errors, "{element}");
        assert_eq!(found.row_column_sums, expected.row_column_sums, "{element}");
    }
}
