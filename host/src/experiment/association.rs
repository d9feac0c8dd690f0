//! The correlation that is printed under tables. It carries no test: hypotheses test, tables describe.

/// Spearman's rank correlation; `None` for fewer than three pairs and where one side is constant.
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.len() < 3 {
        return None;
    }
    let x = ranks(pairs.iter().map(|pair| pair.0).collect());
    let y = ranks(pairs.iter().map(|pair| pair.1).collect());
    let middle = (pairs.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    let spread = product(&x, &x) * product(&y, &y);
    (spread > 0.0).then(|| product(&x, &y) / spread.sqrt())
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: Vec<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let before = order.partition_point(|place| values[*place].total_cmp(&values[group[0]]).is_lt());
        let shared = before as f64 + (group.len() as f64 + 1.0) / 2.0;
        for place in group {
            ranks[*place] = shared;
        }
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_ties_are_shared() {
        assert_eq!(ranks(vec![10.0, 20.0, 10.0, 5.0]), [2.5, 4.0, 2.5, 1.0]);
    }

    #[test]
    fn a_textbook_example_and_the_extremes() {
        // Hours of television a week against IQ: rho = -29/165.
        let iq = [106.0, 100.0, 86.0, 101.0, 99.0, 103.0, 97.0, 113.0, 112.0, 110.0];
        let hours = [7.0, 27.0, 2.0, 50.0, 28.0, 29.0, 20.0, 12.0, 6.0, 17.0];
        let pairs: Vec<(f64, f64)> = iq.into_iter().zip(hours).collect();
        assert!((spearman(&pairs).expect("ten pairs") + 29.0 / 165.0).abs() < 1e-12);
        assert_eq!(spearman(&[(1.0, 2.0), (2.0, 4.0), (3.0, 9.0)]), Some(1.0));
        assert_eq!(spearman(&[(1.0, 2.0), (2.0, 2.0), (3.0, 2.0)]), None);
        assert_eq!(spearman(&[(1.0, 2.0), (2.0, 1.0)]), None);
    }
}
