use half::f16;
use kurtoscope_firmware::engine::{ChunkSpec, CpuEngine, Engine};
use kurtoscope_shared::{Element, Measurement, Random, Requests};

use super::*;
use crate::fixture;

/// Measures `values` as a device would that computes on what `alter` makes of them.
fn record(name: &str, values: &[f32], alter: impl Fn(usize, f32) -> Option<f32>) -> crate::record::Tensor {
    let measure = |values: Vec<f32>| -> Measurement {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        CpuEngine::default().measure(ChunkSpec::of(Element::F32, Requests::FULL), &bytes).expect("measured")
    };
    let altered: Vec<f32> = values.iter().enumerate().filter_map(|(index, value)| alter(index, *value)).collect();
    let is_short = altered.len() < values.len();
    let summed = measure(altered);
    let mut seen = if is_short { measure(values.to_vec()) } else { summed.clone() };
    // Reductions that drop elements keep right counts and extremes, which other kernels find.
    (seen.moments.mean, seen.moments.m2) = (summed.moments.mean, summed.moments.m2);
    (seen.moments.m3, seen.moments.m4) = (summed.moments.m3, summed.moments.m4);
    let moments = seen.moments;
    let mut tensor = fixture::clean().tensors.remove(0);
    tensor.name = name.into();
    tensor.dtype = "f32".into();
    tensor.count = moments.count;
    (tensor.zeros, tensor.non_finite) = (moments.zeros, moments.non_finite);
    (tensor.min, tensor.max) = (Some(moments.min), Some(moments.max));
    tensor.mean = Some(moments.mean);
    (tensor.variance, tensor.skewness) = (moments.variance(), moments.skewness());
    (tensor.kurtosis, tensor.top, tensor.quantiles) = (moments.kurtosis(), vec![], Default::default());
    tensor.quantization = Default::default();
    tensor
}

/// Normal values, with a few subnormal ones among them.
fn weights(seed: u32, count: u32) -> Vec<f32> {
    let mut random = Random::new(u64::from(seed));
    (0..count)
        .map(|index| match index % 701 {
            700 => f32::from_bits(1 + index),
            _ => 0.02 * random.normal() as f32,
        })
        .collect()
}

fn run_of(alter: impl Fn(usize, f32) -> Option<f32> + Copy) -> Run {
    let mut run = fixture::clean();
    run.tensors = (0..5).map(|seed| record(&format!("layer.{seed}.weight"), &weights(seed, 40_000), alter)).collect();
    run
}

fn diagnosis_of(alter: impl Fn(usize, f32) -> Option<f32> + Copy) -> (Comparison, Option<Diagnosis>) {
    let comparison = compare(&run_of(|_, value| Some(value)), &run_of(alter)).expect("the same weights");
    let diagnosis = comparison.diagnosis;
    (comparison, diagnosis)
}

#[test]
fn a_correct_device_does_not_differ() {
    let (comparison, diagnosis) = diagnosis_of(|_, value| Some(value));
    assert_eq!(diagnosis, None);
    assert!(comparison.tensors.iter().all(|tensor| tensor.differences.is_empty()));
    assert!(!comparison.is_beyond(None) && !comparison.is_beyond(Some(0.0)));
}

#[test]
fn faulty_devices_are_diagnosed() {
    let (comparison, dropping) = diagnosis_of(|index, value| (index % 1000 != 999).then_some(value));
    let Some(Diagnosis::ElementsMissing { share }) = dropping else { panic!("{dropping:?}") };
    assert!((0.0005..0.002).contains(&share), "{share}");
    assert!(comparison.is_beyond(None) && !comparison.is_beyond(Some(0.5)));

    let (_, half) = diagnosis_of(|_, value| Some(f16::from_f32(value).to_f32()));
    assert_eq!(half, Some(Diagnosis::HalfPrecision { tensors: 5 }));

    let (comparison, flushing) = diagnosis_of(|_, value| Some(if value.is_subnormal() { 0.0 } else { value }));
    assert_eq!(flushing, Some(Diagnosis::SubnormalsFlushed { elements: 5 * (40_000 / 701) }));
    assert!(comparison.tensors.iter().all(|tensor| tensor.differences[0].statistic == Statistic::Zeros));

    let (_, noisy) = diagnosis_of(|index, value| Some(if index % 2 == 0 { value * 1.001 } else { value }));
    assert!(matches!(noisy, Some(Diagnosis::Unexplained | Diagnosis::SumsInaccurate { .. })), "{noisy:?}");
}

#[test]
fn differences_are_ranked_in_units_of_accuracy() {
    let reference = run_of(|_, value| Some(value));
    let mut candidate = reference.clone();
    // Two tolerances are stated: the larger, 1e-6, counts.
    candidate.device.self_test.tolerance = Some(1e-6);
    candidate.devices.clear();
    candidate.tensors[3].kurtosis = candidate.tensors[3].kurtosis.map(|kurtosis| kurtosis * (1.0 + 5e-6));
    candidate.tensors[1].variance = candidate.tensors[1].variance.map(|variance| variance * (1.0 + 5e-7));
    candidate.tensors.swap(0, 4);
    let comparison = compare(&reference, &candidate).expect("the same weights");
    assert_eq!(comparison.accuracy, 1e-6);
    let names: Vec<&str> = comparison.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names[..3], ["layer.3.weight", "layer.1.weight", "layer.0.weight"]);
    assert!((comparison.tensors[0].units() - 5.0).abs() < 1e-6, "{}", comparison.tensors[0].units());
    assert!((comparison.tensors[1].units() - 0.5).abs() < 1e-6);
    assert!(comparison.is_beyond(None) && comparison.is_beyond(Some(4e-6)) && !comparison.is_beyond(Some(6e-6)));
}

#[test]
fn an_undefined_side_is_a_difference_and_two_are_none() {
    let reference = run_of(|_, value| Some(value));
    let mut candidate = reference.clone();
    candidate.tensors[2].skewness = None;
    let comparison = compare(&reference, &candidate).expect("the same weights");
    assert_eq!(comparison.tensors[0].differences[0].relative, None);
    assert!(comparison.is_beyond(Some(1e9)));
    let mut both = reference.clone();
    both.tensors[2].skewness = None;
    assert!(!compare(&both, &candidate).expect("the same weights").is_beyond(None));
}

#[test]
fn other_weights_and_missing_tensors_are_refused_or_reported() {
    let reference = run_of(|_, value| Some(value));
    let mut other = reference.clone();
    other.model.fingerprint = "another".into();
    let error = compare(&reference, &other).expect_err("other weights").to_string();
    assert!(error.contains("fingerprint another"), "{error}");
    let mut fewer = reference.clone();
    fewer.tensors.truncate(4);
    let comparison = compare(&reference, &fewer).expect("four in common");
    assert_eq!(comparison.only_in_reference, ["layer.4.weight"]);
    assert!(comparison.is_beyond(None));
    fewer.tensors.clear();
    assert!(compare(&reference, &fewer).expect_err("nothing in common").to_string().contains("no tensor in common"));
}

/// The kurtosis of what is left of elements with these sums of powers of distances from their mean, without those at the
/// `taken` distances.
fn kurtosis_of_the_rest(count: usize, [second, third, fourth]: [f64; 3], taken: &[f64]) -> f64 {
    let n = (count - taken.len()) as f64;
    let without = |sum: f64, power: i32| sum - taken.iter().map(|distance| distance.powi(power)).sum::<f64>();
    let (first, second, third, fourth) = (without(0.0, 1), without(second, 2), without(third, 3), without(fourth, 4));
    let mean = first / n;
    let variance = second / n - mean.powi(2);
    (fourth / n - 4.0 * mean * third / n + 6.0 * mean.powi(2) * second / n - 3.0 * mean.powi(4)) / variance.powi(2)
}

#[test]
fn moments_within_the_accuracy_never_differ_without_the_farthest() {
    let (accuracy, mut random) = (1e-7, Random::new(5));
    for (count, skewed) in [(20, false), (32, false), (32, true), (64, true), (5000, false)] {
        let mut values: Vec<f64> = (0..count).map(|_| random.normal()).collect();
        values.iter_mut().filter(|_| skewed).for_each(|value| *value = value.abs().powi(3));
        let mean = values.iter().sum::<f64>() / count as f64;
        let mut distances: Vec<f64> = values.iter().map(|value| value - mean).collect();
        distances.sort_by(|a, b| b.abs().total_cmp(&a.abs()));
        let sum = |power: i32| distances.iter().map(|distance| distance.powi(power)).sum::<f64>();
        let exact = [sum(2), sum(3), sum(4)];
        let sigma = (exact[0] / count as f64).sqrt();
        let record = |[second, third, fourth]: [f64; 3]| {
            let mut tensor = fixture::clean().tensors.remove(0);
            let example = tensor.top[0].clone();
            tensor.count = count as u64;
            tensor.kurtosis = Some(fourth * count as f64 / (second * second));
            tensor.top = distances
                .iter()
                .map(|it| crate::record::Outlier { z: Some(it / sigma), ..example.clone() })
                .take(16)
                .collect();
            let rest = |k: usize| Some(kurtosis_of_the_rest(count, [second, third, fourth], &distances[..k]));
            (tensor.kurtosis_without_top.one, tensor.kurtosis_without_top.four) = (rest(1), rest(4));
            tensor.kurtosis_without_top.sixteen = rest(16);
            tensor
        };
        let units = |error: f64| -> f64 {
            let errors = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0)];
            let worst = errors.map(|(a, b)| {
                let candidate = record([exact[0] * (1.0 + a * error), exact[1], exact[2] * (1.0 + b * error)]);
                let found = difference::without_top(&record(exact), &candidate, accuracy);
                found.iter().map(difference::Difference::units).fold(0.0, f64::max)
            });
            worst.into_iter().fold(0.0, f64::max)
        };
        assert!(units(accuracy) <= 1.0, "{count} {skewed}: {}", units(accuracy));
        assert!(units(100.0 * accuracy) > 1.0, "{count} {skewed}: {}", units(100.0 * accuracy));
    }
}
