//! An axis of a plot: its range, linear or logarithmic, and round values to mark.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use crate::number;

/// Steps between the marks of a linear axis, times a power of ten.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];
/// Marks in each decade of a logarithmic axis, from sparse to dense.
const MANTISSAS: [&[f64]; 4] = [&[1.0], &[1.0, 3.0], &[1.0, 2.0, 5.0], &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0]];

/// A range of values that stretches over an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    /// Only whole numbers occur, so only these are marked.
    whole: bool,
}

impl Axis {
    /// An axis with all `values` on it and some room at both ends. Values of a logarithmic axis must be positive.
    pub fn around(values: impl IntoIterator<Item = f64>, logarithmic: bool) -> Self {
        let mut whole = true;
        let (low, high) = values.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            whole &= value.fract() == 0.0;
            (low.min(value), high.max(value))
        });
        if logarithmic {
            // Room for one value alone, too, and never beyond what a float holds.
            let room = (0.06 * (high.ln() - low.ln())).exp().clamp(1.12, 10.0);
            let (low, high) = ((low / room).max(f64::MIN_POSITIVE), (high * room).min(f64::MAX));
            Self { low, high, logarithmic, whole: false }
        } else {
            let extent = high - low;
            let room = if extent > 0.0 { 0.05 * extent } else { low.abs().max(1.0) * 0.1 };
            Self { low: low - room, high: high + room, logarithmic, whole: whole && extent >= 1.0 }
        }
    }

    /// At most `most` round values on the axis.
    pub fn marks(&self, most: usize) -> Vec<f64> {
        if self.logarithmic {
            let dense = MANTISSAS.iter().rev().map(|mantissas| self.decades(mantissas));
            if let Some(marks) = dense.into_iter().find(|marks| (2..=most).contains(&marks.len())) {
                return marks;
            }
            if self.high.log10() - self.low.log10() > most as f64 {
                let all = self.decades(MANTISSAS[0]);
                return all.iter().copied().step_by(all.len().div_ceil(most.max(1)).max(1)).collect();
            }
        }
        self.steps(most)
    }

    fn decades(&self, mantissas: &[f64]) -> Vec<f64> {
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        let marks =
            (first..=last).flat_map(|decade| mantissas.iter().map(move |mantissa| mantissa * 10f64.powi(decade)));
        marks.filter(|mark| (self.low..=self.high).contains(mark)).collect()
    }

    fn steps(&self, most: usize) -> Vec<f64> {
        let extent = self.high - self.low;
        let decade = (extent / most.max(1) as f64).log10().floor() as i32;
        let steps = (decade..decade + 3).flat_map(|decade| STEPS.iter().map(move |step| step * 10f64.powi(decade)));
        let fits = |step: &f64| (!self.whole || *step >= 1.0) && extent / step <= most as f64;
        let Some(step) = steps.into_iter().find(fits) else { return Vec::new() };
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|count| count as f64 * step).collect()
    }

    /// The text at a mark.
    pub fn label(&self, value: f64) -> String {
        if value.abs() >= 1e4 { number::scaled(value.abs().round() as u64) } else { number::significant(value, 3) }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let place = if self.logarithmic {
            (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        // A conversion from float saturates, and what cannot be placed goes to the beginning.
        limit.0 + (f64::from(limit.1 - limit.0) * place.clamp(0.0, 1.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        self.marks(hint.max_num_points().clamp(2, 10))
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        assert_eq!(Axis::around([3.0, 562.0], true).marks(8), [5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0]);
        assert_eq!(Axis::around([0.0, 11.0], false).marks(8), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(Axis::around([0.0, 1.0], false).marks(8), [0.0, 1.0], "layers are whole");
        assert_eq!(Axis::around([0.0, 0.1], false).marks(6).len(), 6);
        assert_eq!(Axis::around([1e-300, 1e300], true).marks(8).len(), 8);
    }

    #[test]
    fn every_axis_has_marks_on_it() {
        for (low, high) in [(3.0, 3.0), (2.95, 3.05), (1.0, 1e9), (1e-7, 1e-6), (0.0, 0.0), (-5.0, 900.0)] {
            for logarithmic in [false, true] {
                if logarithmic && low <= 0.0 {
                    continue;
                }
                let axis = Axis::around([low, high], logarithmic);
                let marks = axis.marks(8);
                assert!((1..=9).contains(&marks.len()), "{low} to {high}, {logarithmic}: {marks:?}");
                assert!(marks.iter().all(|mark| (axis.low..=axis.high).contains(mark)), "{marks:?}");
            }
        }
    }

    #[test]
    fn places_are_linear_in_the_value_or_its_logarithm() {
        let axis = Axis { low: 1.0, high: 100.0, logarithmic: true, whole: false };
        assert_eq!([1.0, 10.0, 100.0, 1e9, f64::NAN].map(|value| axis.map(&value, (0, 200))), [0, 100, 200, 200, 0]);
        let axis = Axis { logarithmic: false, low: 0.0, ..axis };
        assert_eq!([0.0, 25.0, 100.0].map(|value| axis.map(&value, (200, 0))), [200, 150, 0]);
    }

    #[test]
    fn large_marks_have_units() {
        let axis = Axis::around([1.0, 1e9], true);
        assert_eq!(
            [axis.label(1e6), axis.label(589_824.0), axis.label(0.1), axis.label(300.0)],
            ["1M", "590K", "0.1", "300"]
        );
    }
}
