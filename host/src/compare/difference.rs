//! How far apart two records of one tensor are, statistic by statistic.

use serde::Serialize;

use crate::record::Tensor;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Finite elements. Exact.
    Count,
    /// Elements that are not finite. Exact.
    NonFinite,
    /// Elements equal to zero. Exact.
    Zeros,
    /// The smallest element. Exact.
    Minimum,
    /// The largest element. Exact.
    Maximum,
    /// Values of the farthest elements, and where they stand. Exact.
    Top,
    /// The mean, in standard deviations.
    Mean,
    /// Population variance.
    Variance,
    /// Population skewness; absolute below 1.
    Skewness,
    /// Pearson's kurtosis.
    Kurtosis,
    /// Kurtosis without the farthest element.
    KurtosisWithout1,
    /// Kurtosis without the 4 farthest.
    KurtosisWithout4,
    /// Kurtosis without the 16 farthest.
    KurtosisWithout16,
    /// The quantile of |x| that differs most.
    Quantiles,
    /// The quantization error that differs most, as signal-to-noise ratio.
    Quantization,
}

impl Statistic {
    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::NonFinite => "non-finite",
            Self::Zeros => "zeros",
            Self::Minimum => "minimum",
            Self::Maximum => "maximum",
            Self::Top => "farthest weights",
            Self::Mean => "mean (σ)",
            Self::Variance => "variance",
            Self::Skewness => "skewness",
            Self::Kurtosis => "kurtosis",
            Self::KurtosisWithout1 => "kurtosis w/o 1",
            Self::KurtosisWithout4 => "kurtosis w/o 4",
            Self::KurtosisWithout16 => "kurtosis w/o 16",
            Self::Quantiles => "quantiles of |x|",
            Self::Quantization => "quantization error",
        }
    }

    /// Whether every correct device gives the same value to the last bit in any arithmetic: counts, extremes, and
    /// the magnitudes' histogram, from which quantiles come.
    pub const fn is_exact(self) -> bool {
        matches!(
            self,
            Self::Count | Self::NonFinite | Self::Zeros | Self::Minimum | Self::Maximum | Self::Top | Self::Quantiles
        )
    }
}

/// One statistic that differs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Which.
    pub statistic: Statistic,
    /// The reference's value.
    pub reference: Option<f64>,
    /// The candidate's.
    pub candidate: Option<f64>,
    /// The relative difference (of the mean: in standard deviations); null where one side is undefined.
    pub relative: Option<f64>,
    /// The relative difference that two correct devices may show; 0 for exact statistics.
    pub accuracy: f64,
}

impl Difference {
    /// The difference in units of the accuracy; infinite where an exact statistic differs or one side is undefined.
    pub fn units(&self) -> f64 {
        match self.relative {
            Some(relative) if self.accuracy > 0.0 => relative / self.accuracy,
            _ => f64::INFINITY,
        }
    }
}

/// The statistics in which two records of one tensor differ, the farthest beyond its accuracy first.
pub fn between(reference: &Tensor, candidate: &Tensor, accuracy: f64) -> Vec<Difference> {
    let sigma = reference.variance.map(f64::sqrt);
    let counts = |statistic, a: u64, b: u64| pair(statistic, Some(a as f64), Some(b as f64), 0.0);
    let mut differences = vec![
        counts(Statistic::Count, reference.count, candidate.count),
        counts(Statistic::NonFinite, reference.non_finite, candidate.non_finite),
        counts(Statistic::Zeros, reference.zeros, candidate.zeros),
        pair(Statistic::Minimum, reference.min, candidate.min, 0.0),
        pair(Statistic::Maximum, reference.max, candidate.max, 0.0),
        top(reference, candidate),
        mean(reference, candidate, sigma, accuracy),
        pair(Statistic::Variance, reference.variance, candidate.variance, accuracy),
        skewness(reference, candidate, accuracy),
        pair(Statistic::Kurtosis, reference.kurtosis, candidate.kurtosis, accuracy),
        quantiles(reference, candidate),
        quantization(reference, candidate, accuracy),
    ];
    differences.extend(without_top(reference, candidate, accuracy));
    let mut differing: Vec<Difference> =
        differences.into_iter().filter(|difference| difference.relative != Some(0.0)).collect();
    let far = |difference: &Difference| (difference.units(), difference.relative.unwrap_or(f64::INFINITY));
    differing.sort_by(|a, b| far(b).0.total_cmp(&far(a).0).then(far(b).1.total_cmp(&far(a).1)));
    differing
}

/// Undefined on both sides is no difference; undefined on one is an infinite one.
fn pair(statistic: Statistic, reference: Option<f64>, candidate: Option<f64>, accuracy: f64) -> Difference {
    let relative = match (reference, candidate) {
        (Some(a), Some(b)) => Some(relative(a, b)),
        (None, None) => Some(0.0),
        _ => None,
    };
    Difference { statistic, reference, candidate, relative, accuracy }
}

fn relative(reference: f64, candidate: f64) -> f64 {
    if reference == candidate {
        return 0.0;
    }
    let scale = if reference == 0.0 { candidate.abs() } else { reference.abs() };
    (candidate - reference).abs() / scale
}

fn mean(reference: &Tensor, candidate: &Tensor, sigma: Option<f64>, accuracy: f64) -> Difference {
    let plain = pair(Statistic::Mean, reference.mean, candidate.mean, accuracy);
    match (reference.mean, candidate.mean, sigma) {
        (Some(a), Some(b), Some(sigma)) if sigma > 0.0 => Difference { relative: Some((b - a).abs() / sigma), ..plain },
        _ => plain,
    }
}

fn skewness(reference: &Tensor, candidate: &Tensor, accuracy: f64) -> Difference {
    let plain = pair(Statistic::Skewness, reference.skewness, candidate.skewness, accuracy);
    match (reference.skewness, candidate.skewness) {
        (Some(a), Some(b)) => Difference { relative: Some((b - a).abs() / a.abs().max(1.0)), ..plain },
        _ => plain,
    }
}

/// The first of the farthest elements that differs in value or place.
fn top(reference: &Tensor, candidate: &Tensor) -> Difference {
    let (a, b) = (&reference.top, &candidate.top);
    let same = |index: usize| match (a.get(index), b.get(index)) {
        (Some(a), Some(b)) => a.value == b.value && a.index == b.index,
        _ => false,
    };
    let first = (0..a.len().max(b.len())).find(|index| !same(*index));
    let value = |index: usize| (a.get(index).map(|one| one.value), b.get(index).map(|one| one.value));
    match first.map(value) {
        None => pair(Statistic::Top, None, None, 0.0),
        // Another place with the same value is as wrong as can be.
        Some((Some(a), Some(b))) if a == b => {
            Difference { relative: Some(1.0), ..pair(Statistic::Top, Some(a), Some(b), 0.0) }
        }
        Some((a, b)) => pair(Statistic::Top, a, b, 0.0),
    }
}

/// Null on one side means that this side's accuracy does not resolve the rest, which is no difference.
pub(super) fn without_top(reference: &Tensor, candidate: &Tensor, accuracy: f64) -> Vec<Difference> {
    let (a, b) = (reference.kurtosis_without_top, candidate.kurtosis_without_top);
    [
        (Statistic::KurtosisWithout1, 1, a.one, b.one),
        (Statistic::KurtosisWithout4, 4, a.four, b.four),
        (Statistic::KurtosisWithout16, 16, a.sixteen, b.sixteen),
    ]
    .into_iter()
    .filter_map(|(statistic, k, a, b)| {
        let (a, b) = (a?, b?);
        Some(pair(statistic, Some(a), Some(b), 4.0 * growth(reference, k, a) * accuracy))
    })
    .collect()
}

/// How much larger than that of the moments the relative error of the kurtosis `rest` without the `k` farthest elements is. What
/// is left of a subtraction has the error of the whole: the fourth moment grows by its ratio to that of the rest, the variance,
/// which the kurtosis holds squared, by twice its own.
fn growth(tensor: &Tensor, k: usize, rest: f64) -> f64 {
    let (n, left) = (tensor.count as f64, tensor.count.saturating_sub(k as u64) as f64);
    let taken = || tensor.top.iter().take(k).filter_map(|extreme| extreme.z);
    let (sum, squares) = taken().fold((0.0, 0.0), |(sum, squares), z| (sum + z, squares + z * z));
    // The rest's share of Σ(x - mean)², around its own mean.
    let share = 1.0 - squares / n - sum * sum / (n * left);
    let fourth = tensor.kurtosis.unwrap_or(rest) / rest * left / n / (share * share);
    if share > 0.0 { fourth.max(1.0) + 2.0 / share } else { f64::INFINITY }
}

/// None at all on one side means that its device keeps no histogram, which is no difference.
fn quantiles(reference: &Tensor, candidate: &Tensor) -> Difference {
    let kept = !candidate.quantiles.is_empty();
    let pairs = reference
        .quantiles
        .iter()
        .filter(|_| kept)
        .map(|(key, a)| pair(Statistic::Quantiles, Some(*a), candidate.quantiles.get(key).copied(), 0.0));
    farthest(pairs).unwrap_or(pair(Statistic::Quantiles, None, None, 0.0))
}

/// The relative error of measured squared errors, which are summed in binary32.
const MEASURED_ACCURACY: f64 = 1e-5;

/// Signal-to-noise ratios compared as ratios: 0.01 dB are 0.23 %.
fn quantization(reference: &Tensor, candidate: &Tensor, accuracy: f64) -> Difference {
    let pairs = reference.quantization.iter().filter_map(|(key, a)| {
        let other = candidate.quantization.get(key)?;
        let accuracy = if a.predicted { accuracy } else { accuracy.max(MEASURED_ACCURACY) };
        let plain = pair(Statistic::Quantization, a.sqnr_db, other.sqnr_db, accuracy);
        Some(match (a.sqnr_db, other.sqnr_db) {
            (Some(a), Some(b)) => Difference { relative: Some((10f64.powf((b - a) / 10.0) - 1.0).abs()), ..plain },
            _ => plain,
        })
    });
    farthest(pairs).unwrap_or(pair(Statistic::Quantization, None, None, accuracy))
}

/// The one farthest beyond its accuracy.
fn farthest(differences: impl Iterator<Item = Difference>) -> Option<Difference> {
    let far = |difference: &Difference| match difference.relative {
        Some(0.0) => 0.0,
        _ => difference.units(),
    };
    differences.max_by(|a, b| far(a).total_cmp(&far(b)))
}
