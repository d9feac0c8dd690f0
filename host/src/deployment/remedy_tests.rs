use kurtoscope_shared::{Random, quantization::Scheme};

use super::*;
use crate::deployment::{
    testing::{Made, matrix},
    weights,
};

fn made() -> Made {
    Made::new("model.layers.0.mlp.up_proj.weight", &[1024, 1024]).kurtosis(3.0, 3.0).concentrated(0.0105, 0.0105)
}

fn decided(made: Made, bits: u8) -> (Treatment, String) {
    let made = made.tensor();
    let found = remedy(&matrix(&made), bits);
    (found.treatment.expect("decided"), found.rule)
}

#[test]
fn normal_weights_need_nothing_at_8_bits_and_a_scale_per_group_at_4() {
    assert_eq!(decided(made().all(0.0), 8).0, Treatment::None);
    // 13.7 dB per tensor, 17.1 per row, 20.3 per group; 17.4 passes.
    let (treatment, rule) = decided(made().all(0.0), 4);
    assert_eq!(treatment, Treatment::GroupScale);
    assert!(rule.ends_with("dB per group of 32 ≥ 17.4"), "{rule}");
}

#[test]
fn isolated_weights_are_clipped() {
    let outlier = made()
        .all(0.0)
        .kurtosis(560.0, 3.1)
        .concentrated(0.99, 0.99)
        .predicted(TensorScheme::Int8, 10.7)
        .predicted(TensorScheme::Int8Clipped, 38.0)
        .measured(Scheme::Int8PerRow, 40.1);
    let (treatment, rule) = decided(outlier.clone(), 8);
    assert_eq!(treatment, Treatment::Clipping);
    assert_eq!(
        rule,
        "isolated weights set the scale for all: share of the excess in 16 weights ≥ 0.5; dB gained by clipping ≥ 3; dB \
         clipped ≥ 30.2"
    );
    let made = outlier.tensor();
    let found = remedy(&matrix(&made), 8);
    assert_eq!(found.reaches_db, Some(38.0));
    assert!((found.numbers[&Quantity::ClippingGain] - 27.3).abs() < 1e-9);
    // (560 - 3 - 0.1) / 557
    assert!((found.numbers[&Quantity::IsolatedShare] - 0.99982).abs() < 1e-5);
}

#[test]
fn heavy_output_channels_get_a_scale_each() {
    let rows = made().all(0.0).kurtosis(40.0, 39.0).concentrated(0.94, 0.011).predicted(TensorScheme::Int8, 25.0);
    let (treatment, rule) = decided(rows, 8);
    assert_eq!(treatment, Treatment::ChannelScale);
    assert!(rule.starts_with("the outliers fill few output channels"), "{rule}");
}

#[test]
fn heavy_input_channels_are_rotated_away() {
    let columns = made().all(8.0).kurtosis(40.0, 39.0).concentrated(0.011, 0.9);
    let (treatment, rule) = decided(columns, 4);
    assert_eq!(treatment, Treatment::Rotation);
    assert!(rule.starts_with("few input channels"), "{rule}");
    let everywhere = made().all(8.0).kurtosis(40.0, 39.0);
    assert_eq!(decided(everywhere.clone(), 4).0, Treatment::Rotation);
    // A light tail that quantizes badly all the same: nothing helps.
    assert_eq!(decided(everywhere.kurtosis(3.5, 3.4), 4).0, Treatment::KeepUnquantized);
}

#[test]
fn rows_and_columns_change_places_where_rows_are_input_channels() {
    let made = made()
        .all(8.0)
        .kurtosis(40.0, 39.0)
        .concentrated(0.9, 0.011)
        .with(|tensor| tensor.name = "h.0.mlp.c_fc.weight".into());
    let made = made.tensor();
    let stored = weights::matrix(&made, &crate::fixture::clean().model);
    assert!(stored.is_transposed);
    let found = remedy(&stored, 4);
    assert!(found.rule.starts_with("few input channels"), "{}", found.rule);
    // The even share of the heaviest 11 of 1024 lines.
    assert!((found.numbers[&Quantity::ColumnConcentration] - 0.9 / (11.0 / 1024.0)).abs() < 1e-9);
    assert!(!found.numbers.contains_key(&Quantity::PerChannel));
}

#[test]
fn what_was_not_measured_is_not_guessed() {
    let older =
        made().predicted(TensorScheme::Int8, 25.0).kurtosis(40.0, 39.0).with(|tensor| tensor.concentration = None);
    let older = older.tensor();
    let found = remedy(&matrix(&older), 8);
    assert_eq!(found.treatment, None);
    assert_eq!(found.rule, "undecided: the run lacks dB per group of 32");
}

#[test]
fn the_figures_of_normal_weights_are_right() {
    // Chunks of 32 normal weights, symmetric, averaged over many.
    let mut random = Random::new(1);
    let values: Vec<f64> = (0..1 << 19).map(|_| random.normal()).collect();
    for (highest, expected) in [(7.0, NORMAL_INT4_G32), (127.0, NORMAL_INT8_G32)] {
        let noise: f64 = values
            .chunks(32)
            .map(|group| {
                let step = group.iter().fold(0.0f64, |largest, x| largest.max(x.abs())) / highest;
                group.iter().map(|x| (x - (x / step).round() * step).powi(2)).sum::<f64>()
            })
            .sum();
        let found = 10.0 * (values.iter().map(|x| x * x).sum::<f64>() / noise).log10();
        assert!((found - expected).abs() < 0.1, "{found}, stated {expected}");
    }
}
