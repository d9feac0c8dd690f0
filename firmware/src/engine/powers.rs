//! Sums of powers around a pivot, and the moments that follow from them: for engines that sum in 32 bits.

use kurtoscope_shared::Moments;

use super::centre::Centre;

/// A chunk's sums, added up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sums {
    /// Finite elements.
    pub(super) finite: u64,
    /// All others.
    pub(super) other: u64,
    /// Elements equal to zero.
    pub(super) zeros: u64,
    /// Sums of the first to fourth powers of scaled distances from the pivot.
    pub(super) powers: [f64; 4],
    /// Smallest and largest finite element; `None` without any.
    pub(super) range: Option<(f64, f64)>,
}

impl Sums {
    /// The moments, in f64. Accurate where [`better`](Self::better) has nothing to propose.
    ///
    /// Sums around the pivot become sums around the mean by the binomial theorem.
    pub(super) fn moments(&self, centre: &Centre) -> Moments {
        let Some((min, max)) = self.range else {
            return Moments { non_finite: self.other, ..Moments::EMPTY };
        };
        let special = Moments { non_finite: self.other, zeros: self.zeros, ..Moments::EMPTY };
        if min == max {
            return Moments { count: self.finite, mean: min + 0.0, min: min + 0.0, max: max + 0.0, ..special };
        }
        let count = self.finite as f64;
        let [first, second, third, fourth] = self.powers;
        let mean = first / count;
        let unit = 1.0 / centre.factor();
        let m2 = second - count * mean * mean;
        let m3 = third - mean * (3.0 * second - 2.0 * count * mean * mean);
        let m4 = fourth - mean * (4.0 * third - mean * (6.0 * second - 3.0 * count * mean * mean));
        Moments {
            count: self.finite,
            mean: centre.pivot + mean * unit,
            m2: m2.max(0.0) * (unit * unit),
            m3: m3 * (unit * unit * unit),
            m4: m4.max(0.0) * (unit * unit * unit * unit),
            // Adding zero makes a negative zero positive, as on every other engine.
            min: min + 0.0,
            max: max + 0.0,
            ..special
        }
    }

    /// A centre around which the same chunk gives accurate sums; `None` where these are accurate already.
    pub(super) fn better(&self, centre: &Centre) -> Option<Centre> {
        let (min, max) = self.range.filter(|(min, max)| min < max)?;
        let reach = centre.reach(min, max);
        if !centre.suits(reach) {
            return Some(Centre::around(centre.pivot.clamp(min, max), reach, 0.0));
        }
        let count = self.finite as f64;
        let mean = self.powers[0] / count;
        let variance = self.powers[1] / count - mean * mean;
        // Fourth powers around a pivot far from the mean cancel, which costs digits: at a quarter of a standard deviation
        // hardly any, at a whole one more than one.
        if 16.0 * mean * mean <= variance {
            return None;
        }
        let pivot = (centre.pivot + mean / centre.factor()).clamp(min, max);
        let spread = libm::sqrt(variance.max(0.0)) / centre.factor();
        let better = Centre::around(pivot, (max - pivot).max(pivot - min), spread);
        (better != *centre).then_some(better)
    }
}
