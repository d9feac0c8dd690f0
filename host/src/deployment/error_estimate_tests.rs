use kurtoscope_shared::Random;

use super::*;
use crate::deployment::testing::{Made, matrix};

/// The relative error of quantizing every element in groups.
fn exact(values: &[f64], bits: u8, group: usize) -> f64 {
    let highest = f64::from((1u32 << (bits - 1)) - 1);
    let noise: f64 = values
        .chunks(group)
        .map(|group| {
            let step = group.iter().fold(0.0f64, |largest, x| largest.max(x.abs())) / highest;
            group.iter().map(|x| (x - (x / step).round() * step).powi(2)).sum::<f64>()
        })
        .sum();
    noise / values.iter().map(|x| x * x).sum::<f64>()
}

/// Interpolated minus exact decibels for 3, 5, 6 and 7 bits.
fn deviations(values: &[f64], group: usize) -> [f64; 4] {
    let (four, eight) = (exact(values, 4, group), exact(values, 8, group));
    [3, 5, 6, 7].map(|bits| {
        let found = decibels(between(four, eight, bits)).expect("noise");
        found - decibels(exact(values, bits, group)).expect("noise")
    })
}

#[test]
fn bits_in_between_are_close_to_quantizing_every_element() {
    let mut random = Random::new(7);
    let normal: Vec<f64> = (0..1 << 18).map(|_| random.normal()).collect();
    let heavy: Vec<f64> = (0..1 << 18).map(|_| random.student_t(3)).collect();
    for group in [32, 128, 1024] {
        let found = deviations(&normal, group);
        assert!(found.iter().all(|off| off.abs() < 0.1), "normal, {group}: {found:?}");
        let found = deviations(&heavy, group);
        assert!(found[1..].iter().all(|off| off.abs() < 0.8), "heavy, {group}: {found:?}");
        assert!((-4.0..0.1).contains(&found[0]), "heavy, {group}, 3 bits: {found:?}");
    }
}

#[test]
fn estimates_of_ggml_meet_what_ggml_did() {
    // Symmetric groups of 32, then what ggml's own code made of the same matrix: 2^20 elements of a normal, a Laplace and
    // a Student's t distribution with 3 degrees of freedom, and a trained matrix.
    let precisions =
        [Precision::Q3K, Precision::Iq4Nl, Precision::Q4K, Precision::Q5_0, Precision::Q5K, Precision::Q6K];
    for (symmetric, ggml) in [
        (20.25, [16.42, 22.36, 22.93, 27.39, 28.84, 35.02]),
        (18.32, [15.09, 21.12, 21.45, 25.42, 27.36, 33.29]),
        (16.94, [14.55, 19.95, 20.79, 23.74, 26.65, 31.89]),
        (19.69, [16.14, 22.02, 22.66, 26.83, 28.56, 34.50]),
    ] {
        let made = Made::new("fc1.weight", &[768, 768]).measured(Scheme::Int4G32, symmetric).tensor();
        for (precision, expected) in precisions.into_iter().zip(ggml) {
            let noise = of(&matrix(&made), precision).expect("estimated");
            let found = noise.decibels().expect("noise");
            assert!((found - expected).abs() < 0.7, "{precision} from {symmetric}: {found}, ggml made {expected}");
            assert_eq!(noise.basis, Basis::Estimated);
        }
    }
}

#[test]
fn estimates_gain_no_more_than_was_seen() {
    let made = Made::new("fc1.weight", &[768, 768]).measured(Scheme::Int4G32, 5.0).tensor();
    let found = of(&matrix(&made), Precision::Q4K).expect("estimated").decibels().expect("noise");
    assert!((found - 9.91).abs() < 1e-9, "{found}");
}

#[test]
fn what_is_missing_is_named() {
    let made = Made::new("fc1.weight", &[768, 768]).measured(Scheme::Int8G32, 45.0).tensor();
    let group = Scale::Group(GroupSize::G32);
    assert_eq!(of(&matrix(&made), Precision::integer(6, group)), Err(vec![Scheme::Int4G32.into()]));
    assert_eq!(of(&matrix(&made), Precision::Q4K), Err(vec![Scheme::Int4G32.into()]));
    assert_eq!(of(&matrix(&made), Precision::Unquantized), Ok(ErrorEstimate::NONE));
}

#[test]
fn rows_that_are_input_channels_are_never_taken_for_output_channels() {
    let made = Made::new("fc1.weight", &[768, 3072])
        .measured(Scheme::Int8PerRow, 41.0)
        .predicted(TensorScheme::Int8, 30.0)
        .measured(Scheme::Q8_0, 45.0)
        .tensor();
    let mut stored = matrix(&made);
    let of = |matrix: &Matrix<'_>, precision| {
        of(matrix, precision).map(|noise| (noise.decibels().map(f64::round), noise.basis))
    };
    let channel = Precision::integer(8, Scale::Channel);
    assert_eq!(of(&stored, channel), Ok((Some(41.0), Basis::Measured)));
    stored.is_transposed = true;
    assert_eq!(of(&stored, channel), Ok((Some(30.0), Basis::AtMost)));
    assert_eq!(of(&stored, Precision::Q8_0), Ok((Some(45.0), Basis::OtherAxis)));
    assert_eq!(of(&stored, Precision::integer(8, Scale::Tensor)), Ok((Some(30.0), Basis::Histogram)));
}

#[test]
fn no_signal_makes_no_noise() {
    let made = Made::new("fc1.weight", &[8, 8]).undefined(Scheme::Q8_0).tensor();
    assert_eq!(of(&matrix(&made), Precision::Q8_0).map(|noise| noise.relative_mse), Ok(0.0));
}
