//! Central moments that can be merged: the algebra in which every measurement of Kurtoscope is expressed.
//!
//! A [`Moments`] holds the *sums* of the second, third and fourth powers of the distances from the mean. Two of them
//! over disjoint data merge into the one over the union, exactly up to rounding, so chunks may be measured anywhere.
//!
//! Sources: Ph. Pébay, *Formulas for Robust, One-Pass Parallel Computation of Covariances and Arbitrary-Order
//! Statistical Moments*, Sandia report SAND2008-6212 (2008), equations 2.1 and 3.1; kurtosis after Pearson, population
//! form: D. N. Joanes and C. A. Gill, *Comparing measures of sample skewness and kurtosis*, The Statistician 47 (1998),
//! the quantities g1 and g2 (+ 3).

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Count, mean and central moment sums of some finite elements, and counts of the elements that are special.
///
/// Every field is plain data so that a device can fill it; [`Moments::EMPTY`] is the neutral element of
/// [`merge`](Moments::merge).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Schema)]
pub struct Moments {
    /// Finite elements, zeros included.
    pub count: u64,
    /// Mean of the finite elements; 0 when there are none.
    pub mean: f64,
    /// Sum of squared distances from the mean.
    pub m2: f64,
    /// Sum of cubed distances from the mean.
    pub m3: f64,
    /// Sum of fourth powers of the distances from the mean.
    pub m4: f64,
    /// Smallest finite element; `+inf` when there is none.
    pub min: f64,
    /// Largest finite element; `-inf` when there is none.
    pub max: f64,
    /// NaN and infinite elements, which all other fields leave out.
    pub non_finite: u64,
    /// Elements equal to zero, of either sign.
    pub zeros: u64,
}

impl Default for Moments {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Moments {
    /// The moments of no elements.
    pub const EMPTY: Self = Self {
        count: 0,
        mean: 0.0,
        m2: 0.0,
        m3: 0.0,
        m4: 0.0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        non_finite: 0,
        zeros: 0,
    };

    /// The moments of the one element `value`.
    pub fn of(value: f64) -> Self {
        if !value.is_finite() {
            return Self { non_finite: 1, ..Self::EMPTY };
        }
        Self { count: 1, mean: value, min: value, max: value, zeros: u64::from(value == 0.0), ..Self::EMPTY }
    }

    /// The moments of the union of two disjoint sets of elements.
    ///
    /// Merging in another order changes results by rounding only (relative 1e-12 at the very most for counts that fit a
    /// checkpoint); merging in the same order gives the same bits.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let non_finite = self.non_finite + other.non_finite;
        if other.count == 0 {
            return Self { non_finite, ..self };
        }
        if self.count == 0 {
            return Self { non_finite, ..other };
        }
        let (na, nb) = (self.count as f64, other.count as f64);
        let n = na + nb;
        let delta = other.mean - self.mean;
        // delta / n first: delta^4 alone can overflow where the quotient does not.
        let step = delta / n;
        let product = na * nb;
        let m2 = self.m2 + other.m2 + delta * step * product;
        let m3 = self.m3
            + other.m3
            + delta * step * step * product * (na - nb)
            + 3.0 * step * (na * other.m2 - nb * self.m2);
        let m4 = self.m4
            + other.m4
            + delta * step * step * step * product * (na * na - product + nb * nb)
            + 6.0 * step * step * (na * na * other.m2 + nb * nb * self.m2)
            + 4.0 * step * (na * other.m3 - nb * self.m3);
        Self {
            count: self.count + other.count,
            // Weighted, so that merging equal means returns that mean without rounding.
            mean: self.mean + nb * step,
            m2,
            m3,
            m4,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            non_finite,
            zeros: self.zeros + other.zeros,
        }
    }

    /// What is left when the elements of `part` are taken out again: the inverse of [`merge`](Moments::merge).
    ///
    /// `min` and `max` cannot be undone and are kept. Subtraction cancels: where `part` carries all but a fraction `f`
    /// of the fourth moment, the result's fourth moment has the input's relative error divided by `f`.
    /// `None` when `part` has more elements than `self`.
    #[must_use]
    pub fn without(self, part: Self) -> Option<Self> {
        let count = self.count.checked_sub(part.count)?;
        let non_finite = self.non_finite.checked_sub(part.non_finite)?;
        let zeros = self.zeros.checked_sub(part.zeros)?;
        if part.count == 0 {
            return Some(Self { non_finite, ..self });
        }
        if count == 0 {
            return Some(Self { non_finite, ..Self::EMPTY });
        }
        let (n, na, nb) = (self.count as f64, count as f64, part.count as f64);
        // The rest's mean, written as a distance from the whole's mean.
        let mean = self.mean - (part.mean - self.mean) * (nb / na);
        let delta = part.mean - mean;
        let step = delta / n;
        let product = na * nb;
        let m2 = (self.m2 - part.m2 - delta * step * product).max(0.0);
        let m3 = self.m3 - part.m3 - delta * step * step * product * (na - nb) - 3.0 * step * (na * part.m2 - nb * m2);
        let m4 = (self.m4
            - part.m4
            - delta * step * step * step * product * (na * na - product + nb * nb)
            - 6.0 * step * step * (na * na * part.m2 + nb * nb * m2)
            - 4.0 * step * (na * part.m3 - nb * m3))
            .max(0.0);
        Some(Self { count, mean, m2, m3, m4, min: self.min, max: self.max, non_finite, zeros })
    }

    /// The moments of `values`, by the textbook's two passes. The plain reference for engines; one pass per quantity.
    pub fn from_values(values: impl Iterator<Item = f64> + Clone) -> Self {
        let mut total = Self::EMPTY;
        let mut sum = 0.0;
        for value in values.clone() {
            if value.is_finite() {
                total.count += 1;
                total.zeros += u64::from(value == 0.0);
                total.min = total.min.min(value);
                total.max = total.max.max(value);
                sum += value;
            } else {
                total.non_finite += 1;
            }
        }
        if total.count == 0 {
            return total;
        }
        total.mean = if total.min == total.max { total.min } else { sum / total.count as f64 };
        let mut drift = 0.0;
        for distance in values.filter(|value| value.is_finite()).map(|value| value - total.mean) {
            let square = distance * distance;
            drift += distance;
            total.m2 += square;
            total.m3 += square * distance;
            total.m4 += square * square;
        }
        // The mean was rounded; the distances say by how much. (Chan, Golub and LeVeque's corrected two-pass form.)
        let n = total.count as f64;
        let error = drift / n;
        total.mean += error;
        total.m4 -= error * (4.0 * total.m3 - 6.0 * error * total.m2);
        total.m3 -= 3.0 * error * total.m2;
        total.m2 -= n * error * error;
        total
    }

    /// Population variance `m2 / n`; `None` without finite elements.
    pub fn variance(&self) -> Option<f64> {
        (self.count > 0).then(|| self.m2 / self.count as f64)
    }

    /// Population standard deviation; `None` without finite elements.
    pub fn standard_deviation(&self) -> Option<f64> {
        self.variance().map(libm::sqrt)
    }

    /// Population skewness `g1 = (m3/n) / (m2/n)^1.5`; `None` where the variance is zero or out of f64's range.
    pub fn skewness(&self) -> Option<f64> {
        let variance = self.spread()?;
        let sigma = libm::sqrt(variance);
        defined(self.m3 / self.count as f64 / variance / sigma)
    }

    /// Pearson's population kurtosis `(m4/n) / (m2/n)²`: 3 for a normal distribution, at least 1, at most about `n`.
    /// `None` where the variance is zero or out of f64's range.
    pub fn kurtosis(&self) -> Option<f64> {
        let variance = self.spread()?;
        // A fourth moment of zero beside a spread is an underflow, not a kurtosis.
        defined(self.m4 / self.count as f64 / variance / variance).filter(|kurtosis| *kurtosis > 0.0)
    }

    /// [`kurtosis`](Self::kurtosis) minus 3: zero for a normal distribution.
    pub fn excess_kurtosis(&self) -> Option<f64> {
        self.kurtosis().map(|kurtosis| kurtosis - 3.0)
    }

    /// The variance where it can be divided by.
    fn spread(&self) -> Option<f64> {
        self.variance().filter(|variance| *variance > 0.0 && variance.is_finite() && self.min < self.max)
    }
}

fn defined(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
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
}
