//! Permutation tests within strata: exact where the arrangements can be counted out, seeded Monte Carlo otherwise.

use kurtoscope_shared::Random;

/// Observations that may be exchanged with each other, but not with those of other strata: the tensors of one model, or
/// the models of one family.
#[derive(Debug, Clone, PartialEq)]
pub struct Stratum {
    /// What is permuted: groups as numbers, sizes, ranks, …
    pub labels: Vec<f64>,
    /// What stays in place, a value a label.
    pub values: Vec<f64>,
}

/// The outcome of a permutation test.
#[derive(Debug, Clone, PartialEq)]
pub struct PermutationTest {
    /// Mean over the strata of `standardised`.
    pub statistic: f64,
    /// Two-sided p value.
    pub p: f64,
    /// Whether every arrangement was counted.
    pub exact: bool,
    /// The smallest p that the arrangement of labels admits, whatever the values.
    pub least_p: f64,
    /// A stratum's statistic less its mean over the arrangements; 0 where no arrangement differs.
    pub centred: Vec<f64>,
    /// The same in standard deviations over the arrangements.
    pub standardised: Vec<f64>,
    /// Each stratum's own two-sided p value.
    pub own_p: Vec<f64>,
}

/// Counts of arrangements up to this are counted out.
const COUNTED: f64 = 20_000.0;

/// Tests whether `statistic(labels, values)` is farther from its mean over all arrangements of the labels, over all strata together,
/// than chance explains. Each stratum counts alike, whatever its size. `draws` arrangements are drawn where there are too many
/// to count. `None` where no stratum has two different arrangements.
pub fn permutation_test(
    strata: &[Stratum],
    statistic: impl Fn(&[f64], &[f64]) -> f64,
    draws: usize,
    seed: u64,
) -> Option<PermutationTest> {
    let count: f64 = strata.iter().map(|stratum| arrangements(&stratum.labels)).product();
    let exact = count <= COUNTED;
    let mut random = Random::new(seed);
    let mut drawn: Vec<Vec<f64>> = Vec::with_capacity(strata.len());
    for stratum in strata {
        let observed = statistic(&stratum.labels, &stratum.values);
        let mut all = vec![observed];
        let mut labels = stratum.labels.clone();
        if exact {
            // Every arrangement once, the observed one among them.
            all.clear();
            labels.sort_by(f64::total_cmp);
            loop {
                all.push(statistic(&labels, &stratum.values));
                if !next_arrangement(&mut labels) {
                    break;
                }
            }
        } else {
            for _ in 0..draws {
                random.shuffle(&mut labels);
                all.push(statistic(&labels, &stratum.values));
            }
        }
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let deviation = (all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
        let scale = if deviation > mean.abs() * 1e-12 && deviation.is_finite() { 1.0 / deviation } else { 0.0 };
        let centred = if scale > 0.0 { observed - mean } else { 0.0 };
        drawn.push(all.iter().map(|value| if scale > 0.0 { (value - mean) * scale } else { 0.0 }).collect());
        // Behind the arrangements, taken off again below.
        if let Some(last) = drawn.last_mut() {
            last.push(centred * scale);
            last.push(centred);
        }
    }
    let mut centred = Vec::new();
    let mut standardised = Vec::new();
    for all in &mut drawn {
        centred.push(all.pop()?);
        standardised.push(all.pop()?);
    }
    if drawn.iter().all(|all| all.iter().all(|value| *value == 0.0)) {
        return None;
    }
    let strata_count = strata.len() as f64;
    let observed = standardised.iter().sum::<f64>();
    let together =
        if exact { sums(&drawn) } else { (0..=draws).map(|draw| drawn.iter().map(|all| all[draw]).sum()).collect() };
    let own_p = drawn.iter().zip(&standardised).map(|(all, own)| share(all, *own)).collect();
    let least_p = if exact {
        share(&together, together.iter().fold(0.0, |most: f64, value| most.max(value.abs())))
    } else {
        1.0 / (draws as f64 + 1.0)
    };
    let p = share(&together, observed);
    Some(PermutationTest { statistic: observed / strata_count, p, exact, least_p, centred, standardised, own_p })
}

/// The share of `all` at least as far from zero as `observed`.
fn share(all: &[f64], observed: f64) -> f64 {
    let reached = all.iter().filter(|value| value.abs() >= observed.abs() - 1e-9).count();
    reached as f64 / all.len() as f64
}

/// Every sum of one value from each list.
fn sums(lists: &[Vec<f64>]) -> Vec<f64> {
    lists
        .iter()
        .fold(vec![0.0], |sums, list| sums.iter().flat_map(|sum| list.iter().map(move |value| sum + value)).collect())
}

/// How many different arrangements the labels have: n! / (k₁! k₂! …).
fn arrangements(labels: &[f64]) -> f64 {
    let mut sorted = labels.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut count = 1.0;
    let mut placed = 0.0;
    for tied in sorted.chunk_by(|left, right| left.total_cmp(right).is_eq()) {
        for number in 1..=tied.len() {
            placed += 1.0;
            count *= placed / number as f64;
        }
    }
    count.round()
}

/// Steps to the next arrangement in rising order; false after the last.
fn next_arrangement(labels: &mut [f64]) -> bool {
    let rises = |at: usize, labels: &[f64]| labels[at].total_cmp(&labels[at + 1]).is_lt();
    let Some(pivot) = (0..labels.len().saturating_sub(1)).rev().find(|&at| rises(at, labels)) else {
        return false;
    };
    let above = (pivot + 1..labels.len()).rev().find(|&at| labels[at].total_cmp(&labels[pivot]).is_gt());
    labels.swap(pivot, above.unwrap_or(pivot + 1));
    labels[pivot + 1..].reverse();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(labels: &[f64], values: &[f64]) -> f64 {
        labels.iter().zip(values).map(|(label, value)| label * value).sum()
    }

    /// By hand: of the six choices of two places in four, {3, 4} and {1, 2} are the farthest: p = 2 / 6.
    #[test]
    fn counts_out_small_cases() {
        let stratum = Stratum { labels: vec![0.0, 0.0, 1.0, 1.0], values: vec![1.0, 2.0, 3.0, 4.0] };
        let test = permutation_test(&[stratum], product, 99, 1).unwrap();
        assert!(test.exact);
        assert!((test.p - 1.0 / 3.0).abs() < 1e-12 && (test.least_p - 1.0 / 3.0).abs() < 1e-12, "{test:?}");
        assert!((test.centred[0] - 2.0).abs() < 1e-12);
    }

    /// Two strata of three in perfect order: 2 of 36 arrangements are as far out.
    #[test]
    fn strata_multiply() {
        let stratum = Stratum { labels: vec![1.0, 2.0, 3.0], values: vec![1.0, 2.0, 3.0] };
        let test = permutation_test(&[stratum.clone(), stratum], product, 99, 1).unwrap();
        assert!((test.p - 2.0 / 36.0).abs() < 1e-12, "{test:?}");
        assert!((test.own_p[0] - 2.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn draws_where_there_are_too_many() {
        let values: Vec<f64> = (0..40).map(f64::from).collect();
        let test = permutation_test(&[Stratum { labels: values.clone(), values }], product, 999, 1).unwrap();
        assert!(!test.exact);
        assert_eq!(test.p, 1.0 / 1000.0);
    }

    #[test]
    fn nothing_to_exchange_is_none() {
        let stratum = Stratum { labels: vec![1.0, 1.0], values: vec![1.0, 2.0] };
        assert_eq!(permutation_test(&[stratum], product, 99, 1), None);
        assert_eq!(permutation_test(&[], product, 99, 1), None);
    }
}
