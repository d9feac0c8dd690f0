//! Student's t: whether a mean differs from zero, given few numbers.

/// A mean with its test against zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanTest {
    /// The mean.
    pub mean: f64,
    /// Two-sided p value with n - 1 degrees of freedom.
    pub p: f64,
    /// Number of values.
    pub n: usize,
}

/// Spread below this share of the mean is that of rounding: the values are equal.
const EQUAL: f64 = 1e-12;

/// Student's one-sample test (1908). Values that are all the same, and not zero, have the limit of values that come ever closer
/// together: p is 0. `None` below two values, where all are zero, or where one is not finite.
pub fn mean_test(values: &[f64]) -> Option<MeanTest> {
    let n = values.len();
    if n < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (n - 1) as f64 / n as f64).sqrt();
    if error <= EQUAL * mean.abs() && mean != 0.0 {
        return Some(MeanTest { mean, p: 0.0, n });
    }
    let t = mean / error;
    (error > 0.0 && t.is_finite()).then(|| MeanTest { mean, p: two_sided_p(t, n - 1), n })
}

/// The chance of a t at least this far from zero. Closed form for whole degrees of freedom: Abramowitz and Stegun,
/// *Handbook of Mathematical Functions*, 26.7.3 and 26.7.4. 1 without degrees of freedom or for a NaN.
pub fn two_sided_p(t: f64, degrees: usize) -> f64 {
    if degrees == 0 || t.is_nan() {
        return 1.0;
    }
    let angle = (t.abs() / (degrees as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = degrees % 2 == 1;
    let (mut term, mut sum) = (if odd { cosine } else { 1.0 }, 0.0);
    let mut power = if odd { 1 } else { 0 };
    while power + 2 <= degrees {
        sum += term;
        term *= cosine * cosine * (power + 1) as f64 / (power + 2) as f64;
        power += 2;
    }
    let inside = if odd { (angle + sine * sum) * std::f64::consts::FRAC_2_PI } else { sine * sum };
    (1.0 - inside).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The 97.5 % points of published tables of t.
    #[test]
    fn as_the_tables() {
        for (degrees, t) in [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042)] {
            // The tables round t to three digits; the exact point is within.
            assert!(two_sided_p(t - 0.0005, degrees) >= 0.05, "{degrees} degrees of freedom");
            assert!(two_sided_p(t + 0.0005, degrees) <= 0.05, "{degrees} degrees of freedom");
        }
        assert_eq!(two_sided_p(0.0, 4), 1.0);
    }

    #[test]
    fn values_that_agree_to_the_last_bits_agree() {
        let p = |values: &[f64]| mean_test(values).expect("defined").p;
        // Mean correlations that come out the same, with and without a rounding.
        for values in [[-1.0, -1.0, -1.0], [0.1 + 0.2, 0.3, 0.3]] {
            assert_eq!(p(&values), 0.0);
        }
        assert!(p(&[-1.0, -1.0, -0.999]) < 1e-6);
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(mean_test(&[1.0]), None);
        assert_eq!(mean_test(&[0.0, 0.0]), None);
        assert_eq!(mean_test(&[f64::NAN, 1.0]), None);
    }
}
