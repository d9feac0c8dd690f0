use kurtoscope_shared::quantization::Scheme;

use super::*;
use crate::deployment::precision::{GroupSize, Scale};
use crate::deployment::testing::{Made, run};
use crate::scheme_key::TensorScheme;

fn target(name: &str) -> &'static Target {
    Target::named(name).expect("a target")
}

const G32: Scale = Scale::Group(GroupSize::G32);

/// Matrices of equal size, with a figure at 4 and at 8 bits in groups of 32 and a kurtosis.
fn made(figures: &[(f64, f64, f64)]) -> Run {
    let tensors = figures.iter().enumerate().map(|(number, (four, eight, kurtosis))| {
        Made::new(&format!("layers.{number}.up"), &[64, 64])
            .measured(Scheme::Int4G32, *four)
            .measured(Scheme::Int8G32, *eight)
            .kurtosis(*kurtosis, *kurtosis)
            .tensor()
    });
    run(tensors.collect())
}

#[test]
fn bits_go_where_the_noise_is() {
    let run = made(&[(20.0, 45.0, 3.0), (20.0, 45.0, 3.0), (8.0, 33.0, 3.0), (20.0, 45.0, 3.0)]);
    let found = Allocated::of(&run, target("int4-g32"), 4.75).expect("a plan");
    // One bit more than the uniform 4 + 0.5 for one matrix in four, which is the noisy one.
    let bits: Vec<u8> = found.entries.iter().map(|entry| entry.precision.nominal_bits()).collect();
    assert!(bits[2] > bits[0] && found.outcome.bits_per_weight <= 4.75, "{bits:?}");
    let uniform = found.uniform.expect("int4 fits");
    assert_eq!(uniform.precision, Precision::integer(4, G32));
    assert!(found.outcome.sqnr_db > uniform.outcome.sqnr_db);
    assert!(found.outcome.sqnr_db <= found.bound_db.map(|bound| bound + 1e-9));
    assert_eq!(found.common, Precision::integer(4, G32));
}

#[test]
fn never_worse_than_one_precision_for_all() {
    let run = made(&[(20.0, 45.0, 3.0), (18.0, 44.0, 9.0), (8.0, 33.0, 5.5), (15.0, 42.0, 3.6)]);
    for tenths in 35..160 {
        let bits = f64::from(tenths) / 10.0;
        let found = Allocated::of(&run, target("int4-g32"), bits).expect("a plan");
        assert!(found.outcome.bits_per_weight <= bits + 1e-9);
        if let Some(uniform) = found.uniform {
            let noise = |outcome: Outcome| outcome.sqnr_db.unwrap_or(f64::INFINITY);
            assert!(noise(found.outcome) >= noise(uniform.outcome) - 1e-9, "{bits} bits");
        }
        if let Some(rule) = found.kurtosis_rule {
            assert!(rule.outcome.bits_per_weight <= bits + 1e-9);
            assert!(rule.best_at_its_bits.bits_per_weight <= rule.outcome.bits_per_weight + 1e-9);
        }
    }
}

#[test]
fn the_kurtosis_rule_by_hand() {
    // Above 8, above 5, between, below 3.5.
    let run = made(&[(20.0, 45.0, 8.1), (20.0, 45.0, 5.1), (20.0, 45.0, 4.0), (20.0, 45.0, 3.4)]);
    let rule = |bits: f64| Allocated::of(&run, target("int4-g32"), bits).expect("a plan").kurtosis_rule;
    // Base 4: 6, 5, 4 and 3 bits, and half a bit of scales.
    let found = rule(5.0).expect("base 4 fits");
    assert_eq!((found.base, found.outcome.bits_per_weight, found.rounded), (4, 5.0, 0));
    // Base 3 would take 2 bits off the ladder's end: stored in 3.
    let found = rule(4.99).expect("base 3 fits");
    assert_eq!((found.base, found.outcome.bits_per_weight, found.rounded), (3, 4.25, 1));
    assert_eq!(rule(4.0), None);
}

#[test]
fn gguf_matrices_take_ggufs_types() {
    let made = |name: &str, loss: f64| Made::new(name, &[256, 256]).all(loss).tensor();
    let run = run(vec![made("a", 0.0), made("b", 8.0), made("c", 0.0), made("d", 0.0)]);
    let found = Allocated::of(&run, target("q4_0"), 5.0).expect("a plan");
    assert_eq!(found.common, Precision::Q4K);
    assert!(found.entries[1].bits_per_weight > 4.5);
    assert_eq!(found.uniform.expect("fits").precision, Precision::Q4K);
}

#[test]
fn a_budget_out_of_range_names_the_range() {
    let run = made(&[(20.0, 45.0, 3.0)]);
    for bits in [0.0, -1.0, 3.4, 16.1, f64::NAN, f64::INFINITY] {
        let error = Allocated::of(&run, target("int4-g32"), bits).expect_err("out of range").to_string();
        assert!(error.contains("from 3.50 to 16 bits per quantized weight"), "{error}");
    }
    assert!(Allocated::of(&run, target("int4-g32"), 16.0).expect("all kept").outcome.sqnr_db.is_none());
}

#[test]
fn a_run_without_figures_says_what_it_lacks() {
    let older = run(vec![Made::new("a", &[64, 64]).predicted(TensorScheme::Int8, 40.0).tensor()]);
    let error = Allocated::of(&older, target("int4-g32"), 4.5).expect_err("lacks it").to_string();
    assert!(error.contains("lacks what int4-g32 rests on: int4_g32, int8_g32"), "{error}");
}
