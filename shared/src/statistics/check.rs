//! What can be impossible about an answer, with the numbers that show it.

use core::fmt;

/// Why a measurement cannot be the answer to what was asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ImplausibleAnswer {
    /// A statistic that was asked for is not there.
    Missing {
        /// Which.
        statistic: &'static str,
    },
    /// A statistic is there that was not asked for, or that does not exist for such a chunk.
    NotAskedFor {
        /// Which.
        statistic: &'static str,
    },
    /// It counts or lists another number of things than the chunk has.
    Count {
        /// Which statistic.
        statistic: &'static str,
        /// As answered.
        found: u64,
        /// As the chunk, the request or the moments say.
        expected: u64,
    },
    /// A sum of squares or fourth powers, or a count, is negative.
    Negative {
        /// Which statistic.
        statistic: &'static str,
        /// The sum.
        sum: f64,
    },
    /// A number is NaN or infinite where every element of the chunk allows a finite one.
    NotFinite {
        /// Which statistic.
        statistic: &'static str,
        /// The number.
        value: f64,
    },
    /// The mean is not between smallest and largest.
    Mean {
        /// The mean.
        mean: f64,
        /// The smallest element.
        min: f64,
        /// The largest element.
        max: f64,
    },
    /// The smallest element is above the largest.
    Range {
        /// The smallest element.
        min: f64,
        /// The largest element.
        max: f64,
    },
    /// The variance is smaller or larger than any set of so many elements with this smallest and largest can have.
    Variance {
        /// The variance.
        variance: f64,
        /// The least that is possible.
        least: f64,
        /// The most that is possible.
        most: f64,
    },
    /// The skewness is larger, either way, than the farthest element's distance from the mean in standard deviations.
    Skewness {
        /// The skewness.
        skewness: f64,
        /// That distance.
        most: f64,
    },
    /// Pearson's kurtosis is below `skewness² + 1`, or above the square of the farthest element's distance from the mean in
    /// standard deviations.
    Kurtosis {
        /// The kurtosis.
        kurtosis: f64,
        /// The least that is possible.
        least: f64,
        /// The most that is possible.
        most: f64,
    },
    /// There are zeros, and smallest and largest are on the same side of zero or leave no room for so many.
    Zeros {
        /// How many.
        zeros: u64,
        /// The smallest element.
        min: f64,
        /// The largest element.
        max: f64,
    },
    /// An extreme element has a position beyond the chunk, or the same as another one.
    Position {
        /// The position.
        position: u64,
        /// Elements of the chunk.
        count: u64,
    },
    /// The extremes are not in order, or do not begin with the smallest and the largest element.
    Extreme {
        /// The element that is out of place.
        value: f64,
        /// The element that it should be, or that it should come before.
        other: f64,
    },
    /// The largest magnitude is in another bin than the histogram's last.
    Bin {
        /// The histogram's last bin.
        found: u64,
        /// That of the largest magnitude.
        expected: u64,
    },
    /// The moments' sum of squares is not one that the statistic allows.
    Squares {
        /// Which statistic.
        statistic: &'static str,
        /// The sum of squares, from the moments.
        squares: f64,
        /// The least that the statistic allows.
        least: f64,
        /// The most that it allows.
        most: f64,
    },
    /// The moments' sum of fourth powers is another one than that of the rows and columns.
    FourthPowers {
        /// The sum of rows or of columns.
        found: f64,
        /// The sum from the moments.
        expected: f64,
    },
    /// The sums by row and those by column add up to different totals.
    Totals {
        /// Of the rows.
        rows: f64,
        /// Of the columns.
        columns: f64,
    },
    /// An error of quantization is larger than that of giving every element the value zero.
    Error {
        /// The sum of squared errors.
        error: f64,
        /// The sum of squares.
        signal: f64,
    },
}

impl fmt::Display for ImplausibleAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { statistic } => write!(f, "{statistic} missing"),
            Self::NotAskedFor { statistic } => write!(f, "{statistic} not asked for"),
            Self::Count { statistic, found, expected } => write!(f, "{statistic} of {found} instead of {expected}"),
            Self::Negative { statistic, sum } => write!(f, "{statistic} with a negative sum, {sum:e}"),
            Self::NotFinite { statistic, value } => write!(f, "{statistic} with a number that is not finite, {value}"),
            Self::Mean { mean, min, max } => write!(f, "mean {mean:e} of elements between {min:e} and {max:e}"),
            Self::Range { min, max } => write!(f, "smallest element {min:e}, largest {max:e}"),
            Self::Variance { variance, least, most } => {
                write!(f, "variance {variance:e} where {least:e} to {most:e} is possible")
            }
            Self::Skewness { skewness, most } => write!(f, "skewness {skewness:e} where at most {most:e} is possible"),
            Self::Kurtosis { kurtosis, least, most } => {
                write!(f, "kurtosis {kurtosis:e} where {least:e} to {most:e} is possible")
            }
            Self::Zeros { zeros, min, max } => write!(f, "{zeros} zeros among elements between {min:e} and {max:e}"),
            Self::Position { position, count } => {
                write!(f, "an extreme element at position {position} of {count}, beyond the end or twice")
            }
            Self::Extreme { value, other } => write!(f, "extreme element {value:e} in the place of {other:e}"),
            Self::Bin { found, expected } => {
                write!(f, "a histogram that ends in bin {found}, with the largest magnitude in bin {expected}")
            }
            Self::Squares { statistic, squares, least, most } => {
                write!(f, "sum of squares {squares:e} where the {statistic} allows {least:e} to {most:e}")
            }
            Self::FourthPowers { found, expected } => {
                write!(f, "row and column sums of {found:e} where the moments call for {expected:e}")
            }
            Self::Totals { rows, columns } => write!(f, "row sums of {rows:e} and column sums of {columns:e} in total"),
            Self::Error { error, signal } => {
                write!(f, "a squared error of {error:e} for a sum of squares of {signal:e}")
            }
        }
    }
}

impl core::error::Error for ImplausibleAnswer {}
