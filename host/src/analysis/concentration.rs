//! Where the fourth powers of a tensor lie: in few rows, in few columns, or everywhere.

use kurtoscope_shared::{Lines, Moments};

use crate::record::Concentration;

/// The share of lines that counts as few.
const FEW: f64 = 0.01;
/// The largest mean, in standard deviations, at which powers around zero stand for powers around the mean.
const LARGEST_MEAN: f64 = 0.25;

/// `Σx⁴` by row and by column; both empty where they are not known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    rows: Vec<f32>,
    columns: Vec<f64>,
}

impl Sums {
    /// Adds the rows of the next chunk. Once a chunk has none, the sums are not known any more.
    pub fn append(&mut self, lines: &Lines, is_first: bool) {
        if is_first {
            self.columns = vec![0.0; lines.columns.len()];
        }
        if lines.columns.is_empty() || lines.columns.len() != self.columns.len() {
            *self = Self::default();
            return;
        }
        self.rows.extend_from_slice(&lines.rows);
        add(&mut self.columns, lines.columns.iter().map(|sum| f64::from(*sum)));
    }

    /// Adds a tensor of further rows of the same length.
    pub fn below(mut self, other: &Self) -> Self {
        if self.columns.len() != other.columns.len() {
            return Self::default();
        }
        self.rows.extend_from_slice(&other.rows);
        add(&mut self.columns, other.columns.iter().copied());
        self
    }

    /// Adds a tensor of further columns for the same rows.
    pub fn beside(mut self, other: &Self) -> Self {
        if self.rows.len() != other.rows.len() {
            return Self::default();
        }
        self.rows.iter_mut().zip(&other.rows).for_each(|(sum, more)| *sum += more);
        self.columns.extend_from_slice(&other.columns);
        self
    }
}

fn add(sums: &mut [f64], more: impl Iterator<Item = f64>) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// The shares of the heaviest hundredths. `None` where the sums are not known or left the range of their numbers, and where
/// the mean is so far from zero that they say little about the tails.
pub fn of(sums: &Sums, moments: &Moments) -> Option<Concentration> {
    let sigma = moments.standard_deviation()?;
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

    fn moments() -> Moments {
        Moments::from_values([1.0, -1.0].into_iter())
    }

    fn lines(rows: &[f32], columns: &[f32]) -> Lines {
        Lines { rows: rows.into(), columns: columns.into() }
    }

    #[test]
    fn shares_by_hand() {
        // 200 rows, two of which are the heaviest hundredth: 100 and 50 of 348.
        let mut rows = vec![1.0f32; 200];
        (rows[17], rows[150]) = (100.0, 50.0);
        let mut sums = Sums::default();
        sums.append(&lines(&rows[..100], &[100.0, 99.0]), true);
        sums.append(&lines(&rows[100..], &[100.0, 49.0]), false);
        let found = of(&sums, &moments()).expect("known");
        assert!((found.rows - 150.0 / 348.0).abs() < 1e-12 && (found.columns - 200.0 / 348.0).abs() < 1e-12);
        assert_eq!((found.row_count, found.column_count), (200, 2));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let mut sums = Sums::default();
        sums.append(&lines(&[1.0], &[0.5, 0.5]), true);
        assert!(of(&sums, &moments()).is_some());
        let off_centre = Moments::from_values([10.0, 12.0].into_iter());
        assert_eq!(of(&sums, &off_centre), None);
        sums.append(&Lines::default(), false);
        sums.append(&lines(&[1.0], &[0.5, 0.5]), false);
        assert_eq!(of(&sums, &moments()), None);
        let mut infinite = Sums::default();
        infinite.append(&lines(&[f32::INFINITY], &[f32::INFINITY]), true);
        assert_eq!(of(&infinite, &moments()), None);
    }

    #[test]
    fn parts_make_up_the_whole() {
        let mut upper = Sums::default();
        upper.append(&lines(&[3.0], &[1.0, 2.0]), true);
        let mut lower = Sums::default();
        lower.append(&lines(&[7.0], &[3.0, 4.0]), true);
        assert_eq!(upper.clone().below(&lower), Sums { rows: vec![3.0, 7.0], columns: vec![4.0, 6.0] });
        assert_eq!(upper.beside(&lower), Sums { rows: vec![10.0], columns: vec![1.0, 2.0, 3.0, 4.0] });
    }
}
