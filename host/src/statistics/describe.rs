//! Single numbers that describe a list: its median, a place on a scale.

/// The median of the numbers in `values`, the mean of the middle two where their count is even. NaNs are left out.
/// `None` without numbers.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = sorted[sorted.len() / 2 - 1];
    // Halved first: the sum of two large numbers may overflow.
    Some(lower / 2.0 + upper / 2.0)
}

/// Position of `value` between `low` (0) and `high` (1) on a logarithmic scale; values outside are moved to the nearer
/// end. 0 where the scale has no extent: `low` not positive or `high` not above it.
pub fn log_position(value: f64, low: f64, high: f64) -> f64 {
    let extent = (high / low).ln();
    if !(low > 0.0 && extent > 0.0 && extent.is_finite() && value > low) {
        return 0.0;
    }
    ((value / low).ln() / extent).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_even_and_none() {
        assert_eq!(median([9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median([4.0, 1.0, 2.0, 100.0]), Some(3.0));
        assert_eq!(median([f64::MAX, f64::MAX]), Some(f64::MAX));
        assert_eq!(median([f64::NAN, 7.0]), Some(7.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn log_position_is_linear_in_the_exponent() {
        assert!((log_position(10.0, 1.0, 1000.0) - 1.0 / 3.0).abs() < 1e-15);
        assert_eq!(log_position(1e9, 1.0, 1000.0), 1.0);
        assert_eq!(log_position(0.5, 1.0, 1000.0), 0.0);
        assert_eq!(log_position(2.0, 1.0, 1.0), 0.0);
        assert_eq!(log_position(f64::NAN, 1.0, 10.0), 0.0);
    }
}
