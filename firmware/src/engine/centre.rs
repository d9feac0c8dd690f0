//! Where a chunk's sums are taken: around which pivot, and at which power-of-two scale.
//!
//! In 32-bit arithmetic the fourth power of 1e-20 is zero and that of 1e20 is infinite, and sums around a far pivot
//! cancel. Both are avoided by looking at a few elements first. What the whole chunk turned out to be is known after the
//! pass, and shows whether the guess was good enough.

use kurtoscope_shared::Element;

/// Elements that are looked at before a pass; fewer where they would take a microcontroller's memory.
const SAMPLES: usize = if cfg!(feature = "std") { 512 } else { 64 };
/// Distances from the pivot that need no scale: their fourth powers, and the sums of those, are normal numbers.
const COMFORTABLE: core::ops::RangeInclusive<f64> = 9.5e-7..=1e6;
/// Scaled distances of the farthest element for which the sums are accurate: its fourth power times 1024 stays below
/// 2^128, and that of a standard deviation, which is at least a 2^16th of the distance, above zero.
const ACCURATE: core::ops::RangeInclusive<f64> = 9.5e-7..=268_435_456.0;

/// A pivot and a scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Centre {
    /// What is subtracted; `pivot * 2^scale` is a binary32.
    pub(super) pivot: f64,
    /// The exponent of the power of two by which elements are multiplied.
    pub(super) scale: i32,
}

impl Centre {
    /// The mean of up to [`SAMPLES`] elements spread over the chunk, the farthest eighth of them left out because they may be
    /// outliers, and a scale that brings the farthest of them near 1.
    pub(super) fn sampled(bytes: &[u8], element: Element) -> Self {
        let elements = bytes.len() / element.size();
        let stride = elements.div_ceil(SAMPLES).max(1);
        let mut samples = alloc::vec::Vec::with_capacity(SAMPLES);
        for (number, start) in (0..elements).step_by(stride).enumerate() {
            // Not evenly spread, so that a matrix's columns do not line up with it.
            let index = (start + number * 7919 % stride).min(elements - 1);
            samples.extend(element.decode(&bytes[index * element.size()..]).filter(|value| value.is_finite()));
        }
        samples.sort_unstable_by(f64::total_cmp);
        let (Some(least), Some(greatest)) = (samples.first(), samples.last()) else {
            return Self { pivot: 0.0, scale: 0 };
        };
        let edge = samples.len() / 16;
        let inner = &samples[edge..samples.len() - edge];
        let pivot = (inner.iter().sum::<f64>() / inner.len() as f64).clamp(*least, *greatest);
        let spread = inner[inner.len() - 1] - inner[0];
        Self::around(pivot, (pivot - least).max(greatest - pivot), spread)
    }

    /// Near `pivot`, for elements that are up to `reach` away from it and mostly within `spread`; 0 where that is not
    /// known.
    ///
    /// The pivot is moved by up to a hundredth of the spread to a number of few digits: where elements have few digits
    /// too, their distances and powers are then exact, and cannot all be rounded the same way.
    pub(super) fn around(pivot: f64, reach: f64, spread: f64) -> Self {
        let scale = if reach == 0.0 || COMFORTABLE.contains(&reach) { 0 } else { -exponent(reach) };
        let pivot = if spread > 0.0 {
            let grain = power_of_two(exponent(spread) - 6);
            libm::round(pivot / grain) * grain
        } else {
            pivot
        };
        let scaled = (pivot * power_of_two(scale)) as f32;
        // A subnormal pivot would be flushed to zero on many adapters.
        let scaled = if scaled.is_normal() { scaled } else { 0.0 };
        Self { pivot: f64::from(scaled) / power_of_two(scale), scale }
    }

    /// The pivot as it is subtracted from scaled elements.
    pub(super) fn scaled_pivot(&self) -> f32 {
        (self.pivot * power_of_two(self.scale)) as f32
    }

    /// `2^scale`.
    pub(super) fn factor(&self) -> f64 {
        power_of_two(self.scale)
    }

    /// How far the farthest of elements between `least` and `greatest` is from the pivot.
    pub(super) fn reach(&self, least: f64, greatest: f64) -> f64 {
        (greatest - self.pivot).max(self.pivot - least)
    }

    /// Whether sums of elements up to `reach` from the pivot neither overflow nor vanish.
    pub(super) fn suits(&self, reach: f64) -> bool {
        ACCURATE.contains(&(reach * self.factor()))
    }
}

/// The exponent of the largest power of two that is not above a positive, normal `value`.
fn exponent(value: f64) -> i32 {
    ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023
}

/// `2^exponent`, for exponents from -1022 to 1023.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn sampled(values: &[f32]) -> Centre {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Centre::sampled(&bytes, Element::F32)
    }

    #[test]
    fn weights_of_ordinary_size_are_not_scaled() {
        let centre = sampled(&[0.01, -0.02, 0.03, 0.005, 9.0]);
        assert_eq!(centre.scale, 0);
        assert!((centre.pivot - 1.805).abs() < 0.09, "{centre:?}");
    }

    #[test]
    fn tiny_and_huge_elements_are_brought_near_one() {
        for size in [1e-45f32, 1e-38, 1e-20, 1e20, 1e38] {
            let centre = sampled(&[size, -size, 2.0 * size, 0.0]);
            let farthest = 2.0 * f64::from(size) * centre.factor();
            assert!((0.5..8.0).contains(&farthest), "{size}: {centre:?}");
            assert!(centre.suits(2.0 * f64::from(size)));
        }
    }

    #[test]
    fn the_pivot_of_short_numbers_is_short() {
        let values: Vec<f32> = (0..500).map(|number| (number % 21) as f32).collect();
        let centre = sampled(&values);
        assert_eq!(centre.pivot * 8.0, (centre.pivot * 8.0).round());
        assert!((centre.pivot - 10.0).abs() < 0.5, "{centre:?}");
    }

    #[test]
    fn nothing_finite_and_nothing_at_all() {
        let origin = Centre { pivot: 0.0, scale: 0 };
        assert_eq!(sampled(&[]), origin);
        assert_eq!(sampled(&[f32::NAN, f32::INFINITY]), origin);
    }

    #[test]
    fn an_outlier_among_the_samples_does_not_move_the_pivot() {
        let mut values = std::vec![1.0f32; 300];
        values[100] = 1e30;
        // Near one as seen from 1e30: the scale is made for the outlier.
        assert!(sampled(&values).pivot.abs() < 1e-6 * 1e30);
        assert!(!Centre::around(1.0, 1.0, 1.0).suits(1e30));
        assert!(Centre::around(1.0, 1e30, 0.0).suits(1e30));
    }
}
