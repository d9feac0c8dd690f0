//! The comparison of two groups by ranks.

use super::ranks;

/// Mann and Whitney's U of the first group, divided by the number of pairs: the share of pairs in which the first
/// group's number is the larger, ties counting half. `None` where a group is empty or holds a NaN.
pub fn mann_whitney(first: &[f64], second: &[f64]) -> Option<f64> {
    let all: Vec<f64> = first.iter().chain(second).copied().collect();
    if first.is_empty() || second.is_empty() || all.iter().any(|value| value.is_nan()) {
        return None;
    }
    let n = first.len() as f64;
    let sum: f64 = ranks(&all)[..first.len()].iter().sum();
    Some((sum - n * (n + 1.0) / 2.0) / (n * second.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counted by hand: of the six pairs the first group wins 4 and ties 1.
    #[test]
    fn counts_pairs() {
        assert_eq!(mann_whitney(&[3.0, 5.0], &[1.0, 3.0, 4.0]), Some(4.5 / 6.0));
        assert_eq!(mann_whitney(&[], &[1.0]), None);
        assert_eq!(mann_whitney(&[f64::NAN], &[1.0]), None);
    }
}
