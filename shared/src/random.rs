//! The one generator of random numbers: seeded, so that permutation tests, synthetic checkpoints, fault injection and made-up
//! test data are the same on every machine. Not for secrets.

use core::f64::consts::TAU;

/// SplitMix64: G. Steele, D. Lea and C. Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014. 64 bits of
/// state, period 2⁶⁴; every seed is as good as any other.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in [0, 1): the upper 53 bits over 2⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number below `count`; 0 where `count` is 0. The bias is at most `count / 2⁶⁴`.
    pub const fn below(&mut self, count: usize) -> usize {
        ((self.bits() as u128 * count as u128) >> 64) as usize
    }

    /// Standard normal: G. Box and M. Muller, *A note on the generation of random normal deviates*, Annals of Mathematical
    /// Statistics 29, 1958. Each value takes two draws; the second of the pair is not used.
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(TAU * self.unit())
    }

    /// Student's t: a normal value over the root of the mean of `degrees` squared ones. NaN without degrees of freedom.
    pub fn student_t(&mut self, degrees: u32) -> f64 {
        let mut squares = 0.0;
        for _ in 0..degrees {
            let value = self.normal();
            squares += value * value;
        }
        self.normal() / libm::sqrt(squares / f64::from(degrees))
    }

    /// Puts `values` in random order, each order as likely as any other (Fisher and Yates).
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, vec::Vec};

    use super::*;

    /// The first outputs for seed 1234567 that the generator's published reference implementation gives.
    #[test]
    fn as_the_reference() {
        let mut random = Random::new(1_234_567);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn every_order_of_three_is_as_likely() {
        let mut random = Random::new(7);
        let mut counts = BTreeMap::new();
        for _ in 0..6000 {
            let mut values = [0, 1, 2];
            random.shuffle(&mut values);
            *counts.entry(values).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        // Five standard deviations of a binomial with n = 6000 and p = 1/6.
        assert!(counts.values().all(|&count: &i32| (count - 1000).abs() < 145), "{counts:?}");
    }

    /// Mean, variance and fourth moment within five standard errors of what theory gives.
    #[test]
    fn moments_are_those_of_the_distributions() {
        let count = 100_000;
        let mean = |values: &[f64], power: i32| {
            values.iter().map(|value| libm::pow(*value, f64::from(power))).sum::<f64>() / values.len() as f64
        };
        let error = |variance: f64| 5.0 * libm::sqrt(variance / f64::from(count));
        let mut random = Random::new(1);
        let normal: Vec<f64> = (0..count).map(|_| random.normal()).collect();
        // The variances of x, x² and x⁴ of a standard normal are 1, 2 and 96.
        assert!(mean(&normal, 1).abs() < error(1.0));
        assert!((mean(&normal, 2) - 1.0).abs() < error(2.0));
        assert!((mean(&normal, 4) - 3.0).abs() < error(96.0));
        let unit: Vec<f64> = (0..count).map(|_| random.unit()).collect();
        assert!(unit.iter().all(|value| (0.0..1.0).contains(value)));
        assert!((mean(&unit, 1) - 0.5).abs() < error(1.0 / 12.0));
        // Student's t with 10 degrees of freedom has variance 10/8 and fourth moment 3 · 100 / (8 · 6).
        let student: Vec<f64> = (0..count).map(|_| random.student_t(10)).collect();
        assert!((mean(&student, 2) - 1.25).abs() < error(6.25 - 1.25 * 1.25));
    }

    #[test]
    fn below_nothing_is_zero() {
        let mut random = Random::new(3);
        assert_eq!(random.below(0), 0);
        assert!((0..1000).all(|_| random.below(7) < 7));
    }
}
