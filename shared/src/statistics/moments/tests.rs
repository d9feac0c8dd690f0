//! Moments by hand, at the limits of their numbers, and merged in every order.

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

fn of(values: &[f64]) -> Moments {
    Moments::from_values(values.iter().copied())
}

fn close(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-12 * scale.max(f64::MIN_POSITIVE)
}

#[test]
fn hand_computed() {
    // 1, 2, 3, 4, 10: mean 4, deviations -3 -2 -1 0 6; squares 50, cubes 180, fourths 1394.
    let moments = of(&[1.0, 2.0, 3.0, 4.0, 10.0]);
    assert_eq!((moments.mean, moments.m2, moments.m3, moments.m4), (4.0, 50.0, 180.0, 1394.0));
    assert_eq!(moments.variance(), Some(10.0));
    assert!((moments.skewness().expect("defined") - 36.0 / 10f64.powf(1.5)).abs() < 1e-15);
    assert!((moments.kurtosis().expect("defined") - 2.788).abs() < 1e-15);
    assert!((moments.excess_kurtosis().expect("defined") + 0.212).abs() < 1e-15);
}

#[test]
fn undefined_is_none() {
    for values in [&[][..], &[f64::NAN], &[0.1, 0.1, 0.1], &[7.0]] {
        assert_eq!(of(values).kurtosis(), None, "{values:?}");
        assert_eq!(of(values).skewness(), None, "{values:?}");
    }
    assert_eq!(of(&[f64::NAN]).variance(), None);
    assert_eq!(of(&[7.0]).variance(), Some(0.0));
}

#[test]
fn fourth_powers_out_of_range_are_undefined_not_wrong() {
    assert_eq!(of(&[1e100, -1e100, 3e100]).kurtosis(), None);
    assert_eq!(of(&[1e-100, -1e-100, 3e-100]).kurtosis(), None);
}

#[test]
fn special_elements_are_counted_apart() {
    let moments = of(&[f64::NAN, 1.0, f64::INFINITY, 0.0, -0.0, f64::NEG_INFINITY]);
    assert_eq!((moments.count, moments.non_finite, moments.zeros), (3, 3, 2));
    assert_eq!((moments.min, moments.max), (0.0, 1.0));
}

proptest! {
    #[test]
    fn merging_equals_measuring_the_union(a in prop::collection::vec(-1e3..1e3f64, 0..40), b in prop::collection::vec(-1e3..1e3f64, 0..40), shift in -1e4..1e4f64) {
        let b: Vec<f64> = b.iter().map(|x| x + shift).collect();
        let merged = of(&a).merge(of(&b));
        let whole = of(&[a, b].concat());
        let reach = whole.max.abs().max(whole.min.abs()).min(1e9) * 2.0;
        let n = whole.count as f64;
        prop_assert_eq!(merged.count, whole.count);
        prop_assert!(close(merged.mean, whole.mean, reach));
        prop_assert!(close(merged.m2, whole.m2, n * reach.powi(2)));
        prop_assert!(close(merged.m3, whole.m3, n * reach.powi(3)));
        prop_assert!(close(merged.m4, whole.m4, n * reach.powi(4)));
        prop_assert_eq!((merged.min, merged.max, merged.zeros), (whole.min, whole.max, whole.zeros));
    }

    #[test]
    fn merging_does_not_mind_the_order(parts in prop::collection::vec(prop::collection::vec(-100.0..100.0f64, 0..9), 2..6)) {
        let forward = parts.iter().fold(Moments::EMPTY, |total, part| total.merge(of(part)));
        let backward = parts.iter().rev().fold(Moments::EMPTY, |total, part| total.merge(of(part)));
        let n = forward.count as f64;
        prop_assert!(close(forward.mean, backward.mean, 100.0));
        prop_assert!(close(forward.m4, backward.m4, n * 200f64.powi(4)));
    }

    #[test]
    fn without_undoes_merge(a in prop::collection::vec(-100.0..100.0f64, 1..30), b in prop::collection::vec(-100.0..100.0f64, 1..30)) {
        let rest = of(&a).merge(of(&b)).without(of(&b)).expect("part of the whole");
        let expected = of(&a);
        let n = (a.len() + b.len()) as f64;
        prop_assert_eq!(rest.count, expected.count);
        prop_assert!(close(rest.mean, expected.mean, 200.0 * n));
        prop_assert!(close(rest.m2, expected.m2, n * n * 200f64.powi(2)));
        prop_assert!(close(rest.m4, expected.m4, n * n * n * 200f64.powi(4)));
    }

    #[test]
    fn kurtosis_is_at_least_one_and_at_most_n(values in prop::collection::vec(-1e3..1e3f64, 2..60)) {
        if let Some(kurtosis) = of(&values).kurtosis() {
            prop_assert!(kurtosis >= 1.0 - 1e-12 && kurtosis <= values.len() as f64);
        }
    }
}
