//! Correlation with 95 % intervals.

use super::ranks;

/// The two-sided 97.5 % quantile of the standard normal distribution.
const NORMAL_975: f64 = 1.959_963_984_540_054;

/// A correlation coefficient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    /// The coefficient, from -1 to 1.
    pub coefficient: f64,
    /// 95 % interval; `None` below four pairs, and at -1 and 1, where Fisher's z is infinite.
    pub interval: Option<[f64; 2]>,
    /// Number of pairs.
    pub n: usize,
}

/// Pearson's correlation of the pairs. Its interval is Fisher's (1921): z = artanh(r), standard error 1 / √(n - 3).
/// `None` where one side does not vary, is not finite, or the lengths differ.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<Correlation> {
    let coefficient = coefficient(x, y)?;
    Some(with_interval(coefficient, x.len(), 1.0))
}

/// Spearman's correlation of ranks, ties at their mean rank. Its interval is Fisher's z with the variance of Bonett and
/// Wright (2000): (1 + r²/2) / (n - 3).
pub fn spearman(x: &[f64], y: &[f64]) -> Option<Correlation> {
    if x.iter().chain(y).any(|value| value.is_nan()) {
        return None;
    }
    let coefficient = coefficient(&ranks(x), &ranks(y))?;
    Some(with_interval(coefficient, x.len(), 1.0 + coefficient * coefficient / 2.0))
}

fn coefficient(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() != y.len() || x.len() < 2 {
        return None;
    }
    let (x, y) = (unit(x)?, unit(y)?);
    let coefficient: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
    coefficient.is_finite().then(|| coefficient.clamp(-1.0, 1.0))
}

/// The deviations from the mean, scaled to length 1.
fn unit(values: &[f64]) -> Option<Vec<f64>> {
    let n = values.len() as f64;
    let mean: f64 = values.iter().map(|value| value / n).sum();
    let deviations: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let largest = deviations.iter().fold(0.0_f64, |largest, deviation| largest.max(deviation.abs()));
    // Rounding leaves constant lists with deviations of a few units in the last place.
    if !(largest.is_finite() && largest > mean.abs() * 1e-14) {
        return None;
    }
    let length = deviations.iter().map(|deviation| (deviation / largest).powi(2)).sum::<f64>().sqrt() * largest;
    Some(deviations.iter().map(|deviation| deviation / length).collect())
}

fn with_interval(coefficient: f64, n: usize, variance: f64) -> Correlation {
    let interval = (n > 3 && coefficient.abs() < 1.0 - 1e-12).then(|| {
        let half = NORMAL_975 * (variance / (n as f64 - 3.0)).sqrt();
        [(coefficient.atanh() - half).tanh(), (coefficient.atanh() + half).tanh()]
    });
    Correlation { coefficient, interval, n }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: deviations (-1.5, -0.5, 0.5, 1.5) and (-1.5, 0.5, -0.5, 1.5), products 4, squares 5 and 5: r = 0.8.
    /// artanh(0.8) = 1.0986, so Fisher's interval with n = 4 is tanh(1.0986 ± 1.95996) = (-0.6969, 0.9956).
    #[test]
    fn pearson_as_by_hand() {
        let found = pearson(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]).unwrap();
        assert!((found.coefficient - 0.8).abs() < 1e-15);
        let [low, high] = found.interval.unwrap();
        assert!((low + 0.696_9).abs() < 1e-3 && (high - 0.995_6).abs() < 1e-3, "{low} {high}");
    }

    /// Published: IQ against hours of television, ten people, ρ = -29/165.
    #[test]
    fn spearman_as_published() {
        let iq = [106.0, 100.0, 86.0, 101.0, 99.0, 103.0, 97.0, 113.0, 112.0, 110.0];
        let hours = [7.0, 27.0, 2.0, 50.0, 28.0, 29.0, 20.0, 12.0, 6.0, 17.0];
        let found = spearman(&iq, &hours).unwrap();
        assert!((found.coefficient + 29.0 / 165.0).abs() < 1e-14);
        assert_eq!(found.n, 10);
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(pearson(&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0]), None);
        assert_eq!(spearman(&[f64::NAN, 1.0], &[1.0, 2.0]), None);
        assert_eq!(pearson(&[f64::INFINITY, 1.0], &[1.0, 2.0]), None);
        assert_eq!(pearson(&[1.0], &[1.0]), None);
        assert_eq!(pearson(&[1.0, 2.0], &[1.0]), None);
        assert_eq!(spearman(&[1.0, 2.0, 3.0, 4.0], &[2.0, 4.0, 6.0, 8.0]).unwrap().interval, None);
    }
}
