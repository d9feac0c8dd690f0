//! Whether the fourth powers of a tensor are concentrated in few rows, in few columns, or spread over all.

use kurtoscope_shared::Measurement;

use crate::record::Concentration;

/// The share of lines that counts as few.
const FEW: f64 = 0.01;
/// The largest mean, in standard deviations, at which powers around zero say the same as powers around the mean.
const LARGEST_MEAN: f64 = 0.25;

/// The shares of the heaviest hundredths of rows and columns. `None` where the sums are not known or left the range of their
/// numbers, and where the mean is so far from zero that they say little about the tails.
pub fn of(found: &Measurement) -> Option<Concentration> {
    let Measurement { moments, row_column_sums, .. } = found;
    let (sums, sigma) = (row_column_sums.as_ref()?, moments.standard_deviation()?);
    if moments.mean.abs() > LARGEST_MEAN * sigma {
        return None;
    }
    Some(Concentration {
        rows: share(sums.rows.iter().map(|sum| f64::from(*sum)).collect())?,
        columns: share(sums.columns.clone())?,
        row_count: sums.rows.len() as u64,
        column_count: sums.columns.len() as u64,
    })
}

/// What the heaviest hundredth of the lines, at least one, carries of the sum of all.
fn share(mut sums: Vec<f64>) -> Option<f64> {
    let few = (sums.len() as f64 * FEW).ceil() as usize;
    let total: f64 = sums.iter().sum();
    if few == 0 || !(total > 0.0 && total.is_finite()) {
        return None;
    }
    sums.select_nth_unstable_by(few - 1, |a, b| b.total_cmp(a));
    Some(sums[..few].iter().sum::<f64>() / total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurtoscope_shared::{Moments, RowColumnSums};

    fn found(values: &[f64], rows: &[f32], columns: &[f64]) -> Measurement {
        let moments = Moments::from_values(values.iter().copied());
        let row_column_sums = Some(RowColumnSums { rows: rows.into(), columns: columns.into() });
        Measurement { moments, row_column_sums, ..Measurement::default() }
    }

    #[test]
    fn shares_by_hand() {
        // 200 rows, two of which are the heaviest hundredth: 100 and 50 of 348.
        let mut rows = vec![1.0f32; 200];
        (rows[17], rows[150]) = (100.0, 50.0);
        let found = of(&found(&[1.0, -1.0], &rows, &[200.0, 148.0])).expect("known");
        assert!((found.rows - 150.0 / 348.0).abs() < 1e-12 && (found.columns - 200.0 / 348.0).abs() < 1e-12);
        assert_eq!((found.row_count, found.column_count), (200, 2));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        assert!(of(&found(&[1.0, -1.0], &[1.0], &[0.5, 0.5])).is_some());
        assert_eq!(of(&found(&[10.0, 12.0], &[1.0], &[0.5, 0.5])), None);
        assert_eq!(of(&Measurement { row_column_sums: None, ..found(&[1.0, -1.0], &[], &[]) }), None);
        assert_eq!(of(&found(&[1.0, -1.0], &[f32::INFINITY], &[f64::INFINITY])), None);
    }
}
