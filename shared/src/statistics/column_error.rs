//! What quantization to int4 costs each column, and how much each column holds: `Σ(x - q(x))²` and `Σx²`. Together with the
//! squares of the activations that a column is multiplied with, the errors can be weighed by what they do to an output.

use alloc::{vec, vec::Vec};

use postcard_schema::{Schema, schema::NamedType};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ChunkSpan, Context, ImplausibleAnswer, Part, Statistic, row_column::Single};
use crate::quantization::{Scheme, dequantized};

/// The scheme whose errors are summed, and the elements of its blocks.
pub const SCHEME: Scheme = Scheme::Int4G32;
/// Elements of a block of [`SCHEME`].
pub const GROUP: usize = 32;

/// Sums by column of whole rows, in order: as many of each as a row has elements.
///
/// They are summed in binary64 and travel as binary32. Elements that are not finite, or beyond binary32, count as zero.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnErrors {
    /// `Σx²`.
    pub squares: Vec<f64>,
    /// `Σ(x - q(x))²` of int4 with a scale for 32 consecutive elements of a row.
    pub errors: Vec<f64>,
}

/// What travels: squares, then errors.
type Encoded = (Vec<f32>, Vec<f32>);

impl Schema for ColumnErrors {
    const SCHEMA: &'static NamedType = Encoded::SCHEMA;
}

impl Serialize for ColumnErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (Single(&self.squares), Single(&self.errors)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ColumnErrors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (squares, errors) = Encoded::deserialize(deserializer)?;
        let wide = |sums: Vec<f32>| sums.into_iter().map(f64::from).collect();
        Ok(Self { squares: wide(squares), errors: wide(errors) })
    }
}

/// How much larger than the squares errors may be, and the squares than those of the moments, beyond the device's accuracy:
/// sums are rounded to binary32.
const ROUNDING: f64 = 1e-6;

impl Statistic for ColumnErrors {
    const TAG: u16 = 6;
    const NAME: &'static str = "column errors";
    const MEANING: &'static str = "column errors: squares, squared errors of int4_g32";
    type Request = ();
    const LARGEST_REQUEST: Self::Request = ();
    const TOLERANCE: Option<f64> = Some(1e-4);
    const BY_ROW: bool = true;

    fn is_defined(span: &ChunkSpan) -> bool {
        span.has_whole_rows()
    }

    fn append(&mut self, next: &Self, (): (), _: &ChunkSpan) {
        self.squares.iter_mut().zip(&next.squares).for_each(|(sum, more)| *sum += more);
        self.errors.iter_mut().zip(&next.errors).for_each(|(sum, more)| *sum += more);
    }

    /// Parts that share rows with the whole are further rows of it; others are further columns of the same rows, and where
    /// they cut the whole's groups, its errors are others than theirs.
    fn join(parts: &[Part<'_, Self>]) -> Option<Self> {
        let (first, rest) = parts.split_first()?;
        let cuts_groups = |part: &Part<'_, Self>| part.layout.row == 0 || !part.layout.row.is_multiple_of(GROUP as u64);
        if !first.layout.shares_rows && parts.iter().any(cuts_groups) {
            return None;
        }
        let mut whole = first.statistic.clone();
        for Part { statistic, layout, .. } in rest {
            if !layout.shares_rows {
                whole.squares.extend_from_slice(&statistic.squares);
                whole.errors.extend_from_slice(&statistic.errors);
            } else if whole.squares.len() == statistic.squares.len() {
                whole.append(statistic, (), &ChunkSpan { offset: 0, count: 0, row: layout.row });
            } else {
                return None;
            }
        }
        Some(whole)
    }

    fn check(&self, (): (), context: &Context<'_>) -> Result<(), ImplausibleAnswer> {
        let (statistic, expected) = (Self::NAME, context.span.row);
        for found in [self.squares.len() as u64, self.errors.len() as u64] {
            if found != expected {
                return Err(ImplausibleAnswer::Count { statistic, found, expected });
            }
        }
        for sum in self.squares.iter().chain(&self.errors).copied() {
            // Infinite ones are sums that left the range of binary32.
            if sum.is_nan() {
                return Err(ImplausibleAnswer::NotFinite { statistic, value: sum });
            }
            if sum < 0.0 {
                return Err(ImplausibleAnswer::Negative { statistic, sum });
            }
        }
        let slack = 1.0 + ROUNDING + 16.0 * context.accuracy;
        let too_large = |(error, signal): &(f64, f64)| *error > signal * slack + f64::from(f32::MIN_POSITIVE);
        let signal = context.moments.sum_of_squares();
        let squares: f64 = self.squares.iter().sum();
        // A column may lose what is too small for binary32.
        let lost = self.squares.len() as f64 * f64::from(f32::MIN_POSITIVE);
        if signal < f64::from(f32::MAX) && squares * slack + lost < signal {
            return Err(ImplausibleAnswer::Squares { statistic, squares: signal, least: squares, most: squares });
        }
        let all = (squares, signal);
        let columns = self.errors.iter().copied().zip(self.squares.iter().copied());
        match columns.chain([all]).find(too_large) {
            Some((error, signal)) => Err(ImplausibleAnswer::Error { error, signal }),
            None => Ok(()),
        }
    }

    fn largest_encoded_len((): (), span: &ChunkSpan) -> usize {
        2 * (10 + size_of::<f32>() * usize::try_from(span.row).unwrap_or(usize::MAX / 16))
    }

    fn reference(values: &[f64], (): (), span: &ChunkSpan) -> Self {
        let width = usize::try_from(span.row).unwrap_or(usize::MAX).max(1).min(values.len());
        let finite = |value: &f64| Some(*value as f32).filter(|value| value.is_finite()).unwrap_or_default();
        let mut sums = Self { squares: vec![0.0; width], errors: vec![0.0; width] };
        for row in values.chunks(width) {
            let row: Vec<f32> = row.iter().map(finite).collect();
            let levels = row.chunks(GROUP).flat_map(|group| dequantized(SCHEME, group));
            for (column, (x, level)) in row.iter().zip(levels).enumerate() {
                sums.squares[column] += f64::from(*x) * f64::from(*x);
                sums.errors[column] += f64::from(x - level) * f64::from(x - level);
            }
        }
        sums
    }

    fn relative_error(&self, expected: &Self) -> f64 {
        if (self.squares.len(), self.errors.len()) != (expected.squares.len(), expected.errors.len()) {
            return f64::INFINITY;
        }
        let error = |(found, expected): (&f64, &f64)| {
            if found == expected { 0.0 } else { (found - expected).abs() / expected.max(f64::MIN_POSITIVE) }
        };
        let all = self.squares.iter().zip(&expected.squares).chain(self.errors.iter().zip(&expected.errors));
        all.map(error).fold(0.0, |worst, error| if error > worst || error.is_nan() { error } else { worst })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::PartLayout;

    #[test]
    fn sums_by_hand() {
        // The scale is 7 / 7 = 1 in both rows, so each element goes to the nearest whole number.
        let span = ChunkSpan { offset: 0, count: 6, row: 3 };
        let found = ColumnErrors::reference(&[7.0, -3.25, 0.5, -7.0, 2.0, 0.25], (), &span);
        assert_eq!(found.squares, [98.0, 3.25 * 3.25 + 4.0, 0.25 + 0.0625]);
        assert_eq!(found.errors, [0.0, 0.0625, 0.25 + 0.0625]);
    }

    #[test]
    fn parts_that_cut_groups_of_the_whole_do_not_say_its_errors() {
        let part = ColumnErrors { squares: vec![1.0, 2.0], errors: vec![0.5, 0.25] };
        let join = |row, shares_rows| {
            let layout = PartLayout { row, shares_rows, position: &|position| position };
            let part = || Part { statistic: &part, request: (), layout };
            ColumnErrors::join(&[part(), part()])
        };
        assert_eq!(join(2, true), Some(ColumnErrors { squares: vec![2.0, 4.0], errors: vec![1.0, 0.5] }));
        assert_eq!(join(2, false), None);
        assert_eq!(join(32, false).map(|whole| whole.errors), Some(vec![0.5, 0.25, 0.5, 0.25]));
    }
}
