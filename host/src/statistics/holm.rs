//! Holm's adjustment of p values that are judged together (Holm 1979).

/// The adjusted p values, in the order given; `None` stays `None` and does not count as a test.
///
/// The smallest is multiplied by the number of tests, the next by one less, and so on; none may fall below one before
/// it, none exceeds 1. Rejecting what is at most α keeps the chance of any false rejection at α.
pub fn holm(p_values: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> =
        p_values.iter().enumerate().filter_map(|(index, p)| p.filter(|p| !p.is_nan()).map(|p| (index, p))).collect();
    order.sort_by(|left, right| left.1.total_cmp(&right.1));
    let mut adjusted = vec![None; p_values.len()];
    let mut least = 0.0_f64;
    for (place, &(index, p)) in order.iter().enumerate() {
        least = least.max(p * (order.len() - place) as f64).min(1.0);
        adjusted[index] = Some(least);
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 gives 0.02, 0.03, 0.06, 0.04; the last may not fall.
    #[test]
    fn as_by_hand() {
        let adjusted = holm(&[Some(0.01), Some(0.04), None, Some(0.03), Some(0.005)]);
        let expected = [Some(0.03), Some(0.06), None, Some(0.06), Some(0.02)];
        for (got, want) in adjusted.iter().zip(expected) {
            match (got, want) {
                (Some(got), Some(want)) => assert!((got - want).abs() < 1e-15),
                (got, want) => assert_eq!(*got, want),
            }
        }
        assert_eq!(holm(&[Some(0.9), Some(0.8)]), [Some(1.0), Some(1.0)]);
    }
}
