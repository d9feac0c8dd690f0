//! Where the heavy elements are: the sums of fourth powers by row and by column.
//!
//! The powers are of the elements themselves, not of their distances from the mean, which no chunk knows: for weights,
//! whose mean is small beside their spread, the difference does not matter, and a host leaves the figure out where it does.

use alloc::{vec, vec::Vec};

use postcard_schema::{Schema, schema::NamedType};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ChunkSpan, Context, ImplausibleAnswer, Part, Statistic};

/// `Σx⁴` by row and by column of whole rows.
///
/// A device sums in binary32, and its answer travels so. The columns of several chunks are added up in binary64.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowColumnSums {
    /// One sum a row, in order.
    pub rows: Vec<f32>,
    /// One sum a column, in order: as many as a row has elements.
    pub columns: Vec<f64>,
}

/// What travels: rows, then columns.
type Encoded = (Vec<f32>, Vec<f32>);

impl Schema for RowColumnSums {
    const SCHEMA: &'static NamedType = Encoded::SCHEMA;
}

impl Serialize for RowColumnSums {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.rows, Single(&self.columns)).serialize(serializer)
    }
}

/// Sums in binary64 that travel as binary32.
pub(super) struct Single<'a>(pub(super) &'a [f64]);

impl Serialize for Single<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|sum| *sum as f32))
    }
}

impl<'de> Deserialize<'de> for RowColumnSums {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (rows, columns) = Encoded::deserialize(deserializer)?;
        Ok(Self { rows, columns: columns.into_iter().map(f64::from).collect() })
    }
}

/// The relative difference of two totals of the same powers, summed in binary32 in two orders, each of up to 2^17 terms.
const TOTALS_TOLERANCE: f64 = 0.02;

impl RowColumnSums {
    /// Whether the totals of rows and of columns are the moments' sum of fourth powers, as far as binary32 holds them.
    fn check_totals(&self, totals: [f64; 2], context: &Context<'_>) -> Result<(), ImplausibleAnswer> {
        let moments = context.moments;
        let magnitude = moments.max.abs().max(moments.min.abs());
        let (expected, error) = moments.sum_of_fourth_powers(TOTALS_TOLERANCE + 16.0 * context.accuracy);
        // A square beyond binary32, or a sum of fourth powers: infinite, or left out.
        let is_in_range = expected < f64::from(f32::MAX) / 2.0 && magnitude * magnitude < f64::from(f32::MAX);
        if moments.count == 0 || !is_in_range {
            return Ok(());
        }
        // Each sum may lose what is too small for binary32.
        let lost = (self.rows.len() + self.columns.len()) as f64 * f64::from(f32::MIN_POSITIVE);
        match totals.into_iter().find(|found| !((found - expected).abs() <= error + lost)) {
            Some(found) => Err(ImplausibleAnswer::FourthPowers { found, expected }),
            None => Ok(()),
        }
    }

    /// The sum of each column's fourth powers with those of `other`, a tensor with rows of the same length.
    fn add_columns(&mut self, other: &Self) {
        self.columns.iter_mut().zip(&other.columns).for_each(|(sum, more)| *sum += more);
    }
}

impl Statistic for RowColumnSums {
    const TAG: u16 = 4;
    const NAME: &'static str = "row and column sums";
    type Request = ();
    const LARGEST_REQUEST: Self::Request = ();
    const TOLERANCE: Option<f64> = Some(1e-4);
    const BY_ROW: bool = true;

    fn is_defined(span: &ChunkSpan) -> bool {
        span.has_whole_rows()
    }

    fn append(&mut self, next: &Self, (): (), _: &ChunkSpan) {
        self.rows.extend_from_slice(&next.rows);
        self.add_columns(next);
    }

    /// Parts that share rows with the whole are further rows of it; others are further columns of the same rows.
    fn join(parts: &[Part<'_, Self>]) -> Option<Self> {
        let (first, rest) = parts.split_first()?;
        let mut whole = first.statistic.clone();
        for Part { statistic, layout, .. } in rest {
            if layout.shares_rows {
                if whole.columns.len() != statistic.columns.len() {
                    return None;
                }
                whole.rows.extend_from_slice(&statistic.rows);
                whole.add_columns(statistic);
            } else {
                if whole.rows.len() != statistic.rows.len() {
                    return None;
                }
                whole.rows.iter_mut().zip(&statistic.rows).for_each(|(sum, more)| *sum += more);
                whole.columns.extend_from_slice(&statistic.columns);
            }
        }
        Some(whole)
    }

    fn check(&self, (): (), context: &Context<'_>) -> Result<(), ImplausibleAnswer> {
        let ChunkSpan { count, row, .. } = *context.span;
        let statistic = Self::NAME;
        for (found, expected) in [(self.rows.len() as u64, count / row.max(1)), (self.columns.len() as u64, row)] {
            if found != expected {
                return Err(ImplausibleAnswer::Count { statistic, found, expected });
            }
        }
        let sums = || self.rows.iter().map(|sum| f64::from(*sum)).chain(self.columns.iter().copied());
        // Infinite ones are sums that left the range of binary32.
        if let Some(value) = sums().find(|sum| sum.is_nan()) {
            return Err(ImplausibleAnswer::NotFinite { statistic, value });
        }
        if let Some(sum) = sums().find(|sum| *sum < 0.0) {
            return Err(ImplausibleAnswer::Negative { statistic, sum });
        }
        let rows: f64 = self.rows.iter().map(|sum| f64::from(*sum)).sum();
        let columns: f64 = self.columns.iter().sum();
        if rows.is_finite() && columns.is_finite() && (rows - columns).abs() > TOTALS_TOLERANCE * rows.max(columns) {
            return Err(ImplausibleAnswer::Totals { rows, columns });
        }
        self.check_totals([rows, columns], context)
    }

    fn largest_encoded_len((): (), span: &ChunkSpan) -> usize {
        let lines = span.count / span.row.max(1) + span.row;
        2 * 10 + size_of::<f32>() * usize::try_from(lines).unwrap_or(usize::MAX / 8)
    }

    fn reference(values: &[f64], (): (), span: &ChunkSpan) -> Self {
        let width = usize::try_from(span.row).unwrap_or(usize::MAX).max(1);
        let fourth = |value: &f64| {
            let single = *value as f32;
            if single.is_finite() { f64::from(single * single) * f64::from(single * single) } else { 0.0 }
        };
        let mut sums = Self { rows: Vec::new(), columns: vec![0.0; width.min(values.len())] };
        for row in values.chunks(width) {
            sums.rows.push(row.iter().map(fourth).sum::<f64>() as f32);
            sums.columns.iter_mut().zip(row).for_each(|(sum, value)| *sum += fourth(value));
        }
        sums
    }

    fn relative_error(&self, expected: &Self) -> f64 {
        if (self.rows.len(), self.columns.len()) != (expected.rows.len(), expected.columns.len()) {
            return f64::INFINITY;
        }
        let error = |found: f64, expected: f64| {
            if found == expected { 0.0 } else { (found - expected).abs() / expected.max(f64::MIN_POSITIVE) }
        };
        let rows = self.rows.iter().zip(&expected.rows).map(|(a, b)| error(f64::from(*a), f64::from(*b)));
        let columns = self.columns.iter().zip(&expected.columns).map(|(a, b)| error(*a, *b));
        rows.chain(columns).fold(0.0, |worst, error| if error > worst || error.is_nan() { error } else { worst })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(statistic: &RowColumnSums, shares_rows: bool) -> Part<'_, RowColumnSums> {
        let layout = super::super::PartLayout { row: 2, shares_rows, position: &|position| position };
        Part { statistic, request: (), layout }
    }

    #[test]
    fn parts_make_up_the_whole() {
        let upper = RowColumnSums { rows: vec![3.0], columns: vec![1.0, 2.0] };
        let lower = RowColumnSums { rows: vec![7.0], columns: vec![3.0, 4.0] };
        let join = |shares_rows| RowColumnSums::join(&[part(&upper, shares_rows), part(&lower, shares_rows)]);
        assert_eq!(join(true), Some(RowColumnSums { rows: vec![3.0, 7.0], columns: vec![4.0, 6.0] }));
        assert_eq!(join(false), Some(RowColumnSums { rows: vec![10.0], columns: vec![1.0, 2.0, 3.0, 4.0] }));
        let longer = RowColumnSums { rows: vec![1.0, 1.0], columns: vec![2.0] };
        assert_eq!(RowColumnSums::join(&[part(&upper, true), part(&longer, true)]), None);
        assert_eq!(RowColumnSums::join(&[part(&upper, false), part(&longer, false)]), None);
    }

    #[test]
    fn sums_by_hand() {
        // 1 2 3 / 0 -1 NaN: fourth powers 1 16 81 / 0 1 -.
        let span = ChunkSpan { offset: 0, count: 6, row: 3 };
        let found = RowColumnSums::reference(&[1.0, 2.0, 3.0, 0.0, -1.0, f64::NAN], (), &span);
        assert_eq!(found, RowColumnSums { rows: vec![98.0, 1.0], columns: vec![1.0, 17.0, 81.0] });
    }
}
