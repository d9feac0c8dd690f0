//! Predicts the error of quantizing a tensor from its magnitude histogram, without reading the tensor again.
//!
//! The scheme is symmetric integer quantization with one scale for the whole tensor: `b` bits give the levels
//! `-(2^(b-1) - 1) ..= 2^(b-1) - 1`, the scale is the largest magnitude over the highest level, and every element goes
//! to the nearest level.
//!
//! The prediction treats the magnitudes inside a bin of the histogram as uniformly distributed and integrates the
//! squared rounding error over the bin. That is the idea behind the textbook noise of a uniform quantizer, step² / 12
//! (W. R. Bennett, *Spectra of quantized signals*, Bell System Technical Journal 27, 1948), applied bin by bin instead
//! of to the whole range, so it also holds where a bin is narrower than a step and the textbook figure does not. Zeros
//! are exact in this scheme; so are the two elements whose values are known, the smallest and the largest.
//!
//! Measured against quantizing every element, at 8 and 4 bits: within 0.02 dB for 200 000 elements that are normal,
//! uniform, Student t(3) or normal with planted outliers; within 1 dB for 100 normal elements (100 draws, median 0.3 dB
//! at 8 bits and 0.1 dB at 4). The prediction means little for data on a coarse grid of its own (ternary weights, 8-bit
//! floats), where magnitudes inside a bin are all alike.

use std::collections::BTreeMap;

use kurtoscope_shared::{Moments, Tail};

use crate::record::QuantizationError;

/// The numbers of bits that [`per_tensor`] accepts: fewer have no level but zero, more are finer than the histogram's
/// arithmetic.
pub const BITS: std::ops::RangeInclusive<u32> = 2..=24;

/// The schemes of [`predict`]: the key in `run.json` and the bits.
pub const SCHEMES: [(&str, u32); 2] = [("int8_per_tensor", 8), ("int4_per_tensor", 4)];

/// The predicted errors of all [`SCHEMES`], by key.
pub fn predict(tail: &Tail, moments: &Moments) -> BTreeMap<String, QuantizationError> {
    SCHEMES.iter().map(|(key, bits)| ((*key).to_owned(), per_tensor(tail, moments, *bits))).collect()
}

/// The predicted error of symmetric quantization to `bits` bits with one scale for the whole tensor.
///
/// `tail` and `moments` describe the same elements. Both figures are `None` without a finite, non-zero element, where
/// the sum of squares leaves f64's range, and for `bits` outside [`BITS`].
pub fn per_tensor(tail: &Tail, moments: &Moments, bits: u32) -> QuantizationError {
    let undefined = QuantizationError { sqnr_db: None, relative_mse: None, predicted: true };
    let signal = moments.m2 + moments.count as f64 * moments.mean * moments.mean;
    let largest = moments.min.abs().max(moments.max.abs());
    let usable = moments.count > 0 && signal > 0.0 && signal.is_finite() && largest > 0.0 && largest.is_finite();
    if !usable || !BITS.contains(&bits) {
        return undefined;
    }
    let highest_level = f64::from((1u32 << (bits - 1)) - 1);
    let steps = Steps { step: largest / highest_level };
    let mut known = known_magnitudes(moments);
    let mut noise: f64 = known.iter().map(|magnitude| steps.error_of(*magnitude)).sum();
    for bin in tail.bins() {
        let before = known.len();
        known.retain(|magnitude| !(bin.lower..bin.upper).contains(magnitude));
        let unknown = bin.count.saturating_sub((before - known.len()) as u64);
        let upper = bin.upper.min(largest);
        noise += unknown as f64 * steps.mean_error_between(bin.lower.min(upper), upper);
    }
    let relative_mse = noise / signal;
    if !relative_mse.is_finite() {
        return undefined;
    }
    let sqnr_db = (relative_mse > 0.0).then(|| -10.0 * relative_mse.log10());
    QuantizationError { sqnr_db, relative_mse: Some(relative_mse), predicted: true }
}

/// The magnitudes of the elements whose values the moments give: the smallest and the largest.
fn known_magnitudes(moments: &Moments) -> Vec<f64> {
    let ends = if moments.count == 1 { vec![moments.min] } else { vec![moments.min, moments.max] };
    ends.into_iter().map(f64::abs).filter(|magnitude| *magnitude > 0.0).collect()
}

/// Quantization levels at the multiples of `step`.
struct Steps {
    step: f64,
}

impl Steps {
    /// Squared rounding error of one magnitude.
    fn error_of(&self, magnitude: f64) -> f64 {
        let position = magnitude / self.step;
        let distance = (position - position.round()) * self.step;
        distance * distance
    }

    /// Mean squared rounding error of a magnitude that is uniform between `lower` and `upper`.
    fn mean_error_between(&self, lower: f64, upper: f64) -> f64 {
        let (from, to) = (lower / self.step, upper / self.step);
        // So narrow that the difference of two integrals would be rounding only.
        if to - from <= 1e-6 * to {
            return self.error_of(lower / 2.0 + upper / 2.0);
        }
        self.step * self.step * (integral(to) - integral(from)) / (to - from)
    }
}

/// The integral of `(x - round(x))²` from 0 to `x`: each whole cell around a level gives 1/12, and the part of a cell
/// beyond its level `k` gives `(x - k)³ / 3`.
fn integral(x: f64) -> f64 {
    let level = x.round();
    level / 12.0 + (x - level).powi(3) / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurtoscope_shared::tail::{BINS, bin_of};

    /// SplitMix64: enough randomness for a test, the same on every machine.
    struct Random(u64);

    impl Random {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        }

        /// Box and Muller's transform.
        fn normal(&mut self) -> f64 {
            let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
            radius * (std::f64::consts::TAU * self.uniform()).cos()
        }

        fn student_t3(&mut self) -> f64 {
            let chi_square: f64 = (0..3).map(|_| self.normal().powi(2)).sum();
            self.normal() / (chi_square / 3.0).sqrt()
        }
    }

    fn data(n: usize, draw: impl FnMut(&mut Random) -> f64) -> Vec<f64> {
        seeded(7, n, draw)
    }

    fn seeded(seed: u64, n: usize, mut draw: impl FnMut(&mut Random) -> f64) -> Vec<f64> {
        let mut random = Random(seed);
        (0..n).map(|_| f64::from(draw(&mut random) as f32)).collect()
    }

    fn predicted(values: &[f64], bits: u32) -> QuantizationError {
        let mut counts = vec![0u64; BINS];
        for value in values.iter().filter(|value| **value != 0.0) {
            counts[bin_of(value.abs())] += 1;
        }
        per_tensor(&Tail::from_dense(&counts), &Moments::from_values(values.iter().copied()), bits)
    }

    fn exact_db(values: &[f64], bits: u32) -> f64 {
        let level = f64::from((1 << (bits - 1)) - 1);
        let scale = values.iter().fold(0.0f64, |largest, value| largest.max(value.abs())) / level;
        let signal: f64 = values.iter().map(|value| value * value).sum();
        let noise: f64 = values.iter().map(|value| (value - (value / scale).round() * scale).powi(2)).sum();
        10.0 * (signal / noise).log10()
    }

    #[track_caller]
    fn assert_within(values: &[f64], bound: f64) {
        for bits in [8, 4] {
            let found = predicted(values, bits).sqnr_db.expect("noise");
            let exact = exact_db(values, bits);
            eprintln!("{bits} bits: exact {exact:.4} dB, predicted {found:.4} dB, off {:+.4}", found - exact);
            assert!((found - exact).abs() <= bound, "{bits} bits: predicted {found} dB, exact {exact} dB");
        }
    }

    const MANY: usize = 200_000;

    #[test]
    fn normal_data() {
        assert_within(&data(MANY, |random| 0.02 * random.normal()), 0.02);
    }

    #[test]
    fn normal_data_off_centre() {
        assert_within(&data(MANY, |random| 0.5 + 0.1 * random.normal()), 0.02);
    }

    #[test]
    fn uniform_data() {
        assert_within(&data(MANY, |random| random.uniform() - 0.5), 0.02);
    }

    #[test]
    fn heavy_tailed_data() {
        assert_within(&data(MANY, Random::student_t3), 0.02);
    }

    #[test]
    fn planted_outliers() {
        let mut values = data(MANY, Random::normal);
        values[12_345] = -100.0;
        assert_within(&values, 0.02);
        values[54_321] = 63.0;
        assert_within(&values, 0.02);
    }

    #[test]
    fn few_elements() {
        for seed in 0..100 {
            assert_within(&seeded(seed, 100, Random::normal), 1.0);
        }
    }

    #[test]
    fn zeros_add_no_noise() {
        let mut values = data(MANY, Random::normal);
        values.extend(std::iter::repeat_n(0.0, MANY));
        assert_within(&values, 0.02);
    }

    #[test]
    fn levels_are_exact() {
        for values in [&[-2.5][..], &[1.5, -1.5], &[0.0, 3.0], &[7.0, 7.0, 7.0]] {
            let error = predicted(values, 8);
            assert_eq!((error.sqnr_db, error.relative_mse), (None, Some(0.0)), "{values:?}");
        }
    }

    #[test]
    fn no_signal_and_no_levels_are_undefined() {
        for values in [&[][..], &[0.0, 0.0], &[f64::NAN]] {
            let error = predicted(values, 4);
            assert_eq!((error.sqnr_db, error.relative_mse), (None, None), "{values:?}");
        }
        for bits in [0, 1, 25, 32, 64] {
            assert_eq!(predicted(&[1.0, 2.0], bits).relative_mse, None);
        }
    }

    #[test]
    fn every_scheme_is_predicted() {
        let values = data(1000, Random::normal);
        let mut counts = vec![0u64; BINS];
        values.iter().for_each(|value| counts[bin_of(value.abs())] += 1);
        let errors = predict(&Tail::from_dense(&counts), &Moments::from_values(values.iter().copied()));
        assert_eq!(errors.keys().map(String::as_str).collect::<Vec<_>>(), ["int4_per_tensor", "int8_per_tensor"]);
        assert!(errors["int4_per_tensor"].relative_mse > errors["int8_per_tensor"].relative_mse);
    }
}
