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

use super::{ChunkSpan, Context, ImplausibleAnswer, Part, Statistic};

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

    /// `Σx²`.
    pub fn sum_of_squares(&self) -> f64 {
        self.m2 + self.count as f64 * self.mean * self.mean
    }

    /// `Σx⁴` from the moments around the mean, and how far off it is where each of the moments is off by `relative_error`.
    pub(super) fn sum_of_fourth_powers(&self, relative_error: f64) -> (f64, f64) {
        let square = self.mean * self.mean;
        let odd = 4.0 * self.mean * self.m3;
        let even = self.m4 + 6.0 * square * self.m2 + self.count as f64 * square * square;
        (even + odd, (even + odd.abs()) * relative_error)
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

impl Statistic for Moments {
    const TAG: u16 = 1;
    const NAME: &'static str = "moments";
    type Request = ();
    const LARGEST_REQUEST: Self::Request = ();
    const TOLERANCE: Option<f64> = None;

    fn append(&mut self, next: &Self, (): (), _: &ChunkSpan) {
        *self = self.merge(*next);
    }

    fn join(parts: &[Part<'_, Self>]) -> Option<Self> {
        Some(parts.iter().fold(Self::EMPTY, |whole, part| whole.merge(*part.statistic)))
    }

    fn check(&self, (): (), context: &Context<'_>) -> Result<(), ImplausibleAnswer> {
        let statistic = Self::NAME;
        let (found, expected) = (self.count.saturating_add(self.non_finite), context.span.count);
        if found != expected {
            return Err(ImplausibleAnswer::Count { statistic, found, expected });
        }
        if self.zeros > self.count {
            return Err(ImplausibleAnswer::Count { statistic, found: self.zeros, expected: self.count });
        }
        if let Some(sum) = [self.m2, self.m4].into_iter().find(|sum| *sum < 0.0) {
            return Err(ImplausibleAnswer::Negative { statistic, sum });
        }
        if self.count > 0 { self.check_elements(context.accuracy) } else { Ok(()) }
    }

    fn largest_encoded_len((): (), _: &ChunkSpan) -> usize {
        // Six numbers of binary64 and three varints.
        6 * 8 + 3 * 10
    }

    fn reference(values: &[f64], (): (), _: &ChunkSpan) -> Self {
        Self::from_values(values.iter().copied())
    }

    /// Of the mean in standard deviations, of variance, skewness (absolute below 1) and kurtosis.
    fn relative_error(&self, expected: &Self) -> f64 {
        let exact = |moments: &Self| (moments.count, moments.non_finite, moments.zeros);
        let range = |moments: &Self| (moments.min, moments.max);
        if exact(self) != exact(expected) || range(self) != range(expected) {
            return f64::INFINITY;
        }
        let unit = expected.standard_deviation().filter(|sigma| *sigma > 0.0).unwrap_or(1.0);
        let pair = |found: Option<f64>, expected: Option<f64>, least: f64| match (found, expected) {
            (Some(found), Some(expected)) if found != expected => (found - expected).abs() / expected.abs().max(least),
            (Some(_), Some(_)) | (None, None) => 0.0,
            _ => f64::INFINITY,
        };
        let errors = [
            (self.mean - expected.mean).abs() / unit,
            pair(self.variance(), expected.variance(), f64::MIN_POSITIVE),
            pair(self.skewness(), expected.skewness(), 1.0),
            pair(self.kurtosis(), expected.kurtosis(), 1.0),
        ];
        // NaN wins over every number.
        errors.into_iter().fold(0.0, |worst, error| if error > worst || error.is_nan() { error } else { worst })
    }
}

/// The most that a sum of powers of these elements may be so that a device must have it: far from the end of binary64, since
/// the sums that it follows from are larger.
const FAR_FROM_OVERFLOW: f64 = 1e290;
/// The least, at which the powers of binary64 are still normal numbers.
const FAR_FROM_UNDERFLOW: f64 = 1e-280;

impl Moments {
    /// Whether these can be the moments of at least one finite element, to within `accuracy`.
    fn check_elements(&self, accuracy: f64) -> Result<(), ImplausibleAnswer> {
        let Self { count, mean, m2, m3, m4, min, max, zeros, .. } = *self;
        let statistic = Self::NAME;
        if let Some(value) = [min, max].into_iter().find(|value| !value.is_finite()) {
            return Err(ImplausibleAnswer::NotFinite { statistic, value });
        }
        if min > max || count == 1 && min < max {
            return Err(ImplausibleAnswer::Range { min, max });
        }
        if zeros > 0 && !(min..=max).contains(&0.0) {
            return Err(ImplausibleAnswer::Zeros { zeros, min, max });
        }
        let n = count as f64;
        let (range, magnitude) = (max - min, max.abs().max(min.abs()));
        // No sum of powers of distances is larger than this one, if it is larger than 1.
        let largest = n * (range * range).max(1.0) * (range * range).max(1.0);
        let may_overflow = !(largest < FAR_FROM_OVERFLOW && n * magnitude < FAR_FROM_OVERFLOW);
        if let Some(value) = [mean, m2, m3, m4].into_iter().find(|value| !value.is_finite() && !may_overflow) {
            return Err(ImplausibleAnswer::NotFinite { statistic, value });
        }
        // Errors are stated for figures that follow from several sums, and multiply on the way.
        let slack = 1e-9 + 16.0 * accuracy;
        let rounding = slack * (range + f64::EPSILON * magnitude) + 4.0 * f64::EPSILON * magnitude;
        if mean < min - rounding || mean > max + rounding {
            return Err(ImplausibleAnswer::Mean { mean, min, max });
        }
        let others = u64::from(min != 0.0) + u64::from(max != 0.0 && max != min);
        if zeros > count.saturating_sub(others) {
            return Err(ImplausibleAnswer::Zeros { zeros, min, max });
        }
        self.check_spread(slack)?;
        if min < max { self.check_shape(slack) } else { Ok(()) }
    }

    /// Whether elements between this smallest and this largest can have the variance.
    fn check_spread(&self, slack: f64) -> Result<(), ImplausibleAnswer> {
        let Self { count, mean, m2, min, max, .. } = *self;
        let (n, range, magnitude) = (count as f64, max - min, max.abs().max(min.abs()));
        let variance = m2 / n;
        // The two ends alone spread so much; half of the elements at each end the most (T. Popoviciu, 1935).
        let rounding = slack * range + 64.0 * f64::EPSILON * magnitude;
        let square = |distance: f64| (distance - rounding).max(0.0) * (distance - rounding).max(0.0);
        let least = if count > 1 { (square(max - mean) + square(mean - min)) / n * (1.0 - slack) } else { 0.0 };
        let most = range * range / 4.0 * (1.0 + slack) + (slack * magnitude) * (slack * magnitude);
        if least > FAR_FROM_UNDERFLOW && variance < least || variance.is_finite() && variance > most {
            return Err(ImplausibleAnswer::Variance { variance, least, most });
        }
        Ok(())
    }

    /// Whether elements, not all equal, with this variance and at most this far from the mean can have the third and the fourth
    /// moment. With `D` the farthest distance: `Σd⁴ <= D² Σd²`, `|Σd³| <= D Σd²`, and Pearson's inequality (K. Pearson, 1916),
    /// `kurtosis >= skewness² + 1`. The first makes the count the largest kurtosis.
    fn check_shape(&self, slack: f64) -> Result<(), ImplausibleAnswer> {
        let Self { count, mean, m2, m3, m4, min, max, .. } = *self;
        let n = count as f64;
        let (variance, farthest) = (m2 / n, (max - mean).max(mean - min));
        let (sigma, largest) = (libm::sqrt(variance), m2 * farthest * farthest);
        if variance * variance <= FAR_FROM_UNDERFLOW || ![m3, m4, largest].into_iter().all(f64::is_finite) {
            return Ok(());
        }
        let (skewness, kurtosis) = (m3 / n / variance / sigma, m4 / n / variance / variance);
        // Besides the stated errors, the mean's rounding where it is large beside the spread.
        let blur = slack + 64.0 * f64::EPSILON * max.abs().max(min.abs()) / sigma;
        let far = farthest / sigma;
        if skewness.abs() > far + blur * (1.0 + far) {
            return Err(ImplausibleAnswer::Skewness { skewness, most: far });
        }
        // `n Σd⁴ >= (Σd²)²` around any centre, so the mean's rounding does not matter to the 1.
        let (least, most) = (skewness * skewness + 1.0, far * far);
        if kurtosis < (least * (1.0 - blur)).max(1.0 - slack) || kurtosis > most * (1.0 + blur) {
            return Err(ImplausibleAnswer::Kurtosis { kurtosis, least, most });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
