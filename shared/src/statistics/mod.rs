//! The statistics that are measured of a chunk, and the one list of them. What a statistic is (its fields, how chunks and
//! parts merge, what makes an answer impossible) is in its own file; how an engine computes it is the firmware's.
//!
//! | tag | field of [`Measurement`] | file | what it holds |
//! |---|---|---|---|
//! | 1 | `moments` | `moments` | count, mean, central moments, smallest, largest; always measured |
//! | 2 | `histogram` | [`histogram`] | counts of magnitudes, eight bins an octave |
//! | 3 | `extremes` | `extremes` | the elements at both ends, with positions |
//! | 4 | `row_column_sums` | `row_column` | sums of fourth powers by row and by column |
//! | 5 | `quantization_errors` | `quantization_error` | squared errors of quantization in blocks |
//! | 6 | `column_errors` | [`column_error`] | squares and int4 errors by column |
//!
//! # A new statistic
//!
//! A file here with a type that implements [`Statistic`], one line in the list at the end of this file, a collector in the
//! engine that measures it, and the place that shows it. Requests, reports, journals, merging, checks and the self-test go
//! by the list.

mod check;
pub mod column_error;
mod extremes;
pub mod histogram;
mod moments;
mod quantization_error;
mod registry;
mod row_column;

use core::fmt::Debug;

use postcard_schema::{Schema, key::hash::fnv1a64::hash_ty_path};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use check::ImplausibleAnswer;
pub use column_error::ColumnErrors;
pub use extremes::{Extreme, ExtremeCount, Extremes};
pub use histogram::MagnitudeHistogram;
pub use moments::Moments;
pub use quantization_error::{QuantizationErrors, SampleStride, ScaleSums, SquaredErrors};
pub use row_column::RowColumnSums;

/// Something that is measured of a chunk and merges into that of a tensor.
///
/// The fields, in postcard encoding, are what travels and what journals keep. A change of the fields changes
/// [`KEY`](Self::KEY), and so does one of [`MEANING`](Self::MEANING).
pub trait Statistic: Clone + PartialEq + Debug + Serialize + DeserializeOwned + Schema {
    /// Its number on the wire and in journals, used for nothing else ever after.
    const TAG: u16;
    /// What messages call it.
    const NAME: &'static str;
    /// What the types of its fields do not say and both ends must agree on, for [`KEY`](Self::KEY).
    const MEANING: &'static str = Self::NAME;
    /// What can be asked for: `()` where there is nothing to choose.
    type Request: Copy + PartialEq + Debug + Serialize + DeserializeOwned + Schema;
    /// The request with the longest answer.
    const LARGEST_REQUEST: Self::Request;
    /// The relative error up to which an engine's answer is right; `None` where that is the accuracy that the engine states.
    const TOLERANCE: Option<f64>;
    /// Whether it goes by the tensor's rows, so that chunks have to be whole rows, or begin at a block of their row.
    const BY_ROW: bool = false;
    /// A hash of the meaning and of the fields and types of the statistic and of its request: two programs with the same key
    /// mean the same by the same bytes.
    const KEY: [u8; 8] = hash_ty_path::<(Self, Self::Request)>(Self::MEANING);

    /// Whether it exists for a chunk at this position.
    fn is_defined(span: &ChunkSpan) -> bool {
        let _ = span;
        true
    }

    /// Adds the next chunk of the same tensor, which is at `span`, after everything that is in `self`. Chunks are
    /// appended in order of their offsets, so the same chunks give the same bits.
    fn append(&mut self, next: &Self, request: Self::Request, span: &ChunkSpan);

    /// The statistic of a fused tensor from those of its parts, at least one; `None` where they do not determine it.
    fn join(parts: &[Part<'_, Self>]) -> Option<Self>;

    /// Whether this can be the answer to `request`, as far as the answer itself shows.
    ///
    /// # Errors
    /// What is impossible about it, beyond the accuracy that the device states. Sums of powers that left the range of
    /// their numbers are possible.
    fn check(&self, request: Self::Request, context: &Context<'_>) -> Result<(), ImplausibleAnswer>;

    /// The most bytes that the answer to `request` takes for a chunk at `span`.
    fn largest_encoded_len(request: Self::Request, span: &ChunkSpan) -> usize;

    /// The statistic of `values`, which are the chunk at `span`, computed by its definition: one element at a time and
    /// without haste. What engines are tested against.
    fn reference(values: &[f64], request: Self::Request, span: &ChunkSpan) -> Self;

    /// The largest relative error against an `expected` answer to the same request; infinite where what is exact differs.
    fn relative_error(&self, expected: &Self) -> f64;
}

/// The position of a chunk in the tensor that it is measured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSpan {
    /// Position of the first element.
    pub offset: u64,
    /// Number of elements.
    pub count: u64,
    /// Elements in a row of the tensor; 0 where it has no rows.
    pub row: u64,
}

impl ChunkSpan {
    /// Whether the chunk is one or more whole rows.
    pub const fn has_whole_rows(&self) -> bool {
        self.row > 0 && self.count > 0 && self.offset.is_multiple_of(self.row) && self.count.is_multiple_of(self.row)
    }
}

/// How the elements of one part of a fused tensor are placed in the whole.
#[derive(Clone, Copy)]
pub struct PartLayout<'a> {
    /// Elements in a row of the part; 0 where it has no rows.
    pub row: u64,
    /// Whether rows of the part are rows of the whole; otherwise each row of the whole is made up of one row of each part.
    pub shares_rows: bool,
    /// The position in the whole of an element of the part.
    pub position: &'a dyn Fn(u64) -> u64,
}

/// One part of a fused tensor: what was measured of it, what was asked for, its layout in the whole.
pub struct Part<'a, S: Statistic> {
    /// What was measured.
    pub statistic: &'a S,
    /// What was asked for.
    pub request: S::Request,
    /// Where its elements are.
    pub layout: PartLayout<'a>,
}

/// One part of a fused tensor, with everything that was measured of it.
#[derive(Clone, Copy)]
pub struct MeasuredPart<'a> {
    /// What was measured.
    pub measurement: &'a Measurement,
    /// What was asked for.
    pub requests: Requests,
    /// Where its elements are.
    pub layout: PartLayout<'a>,
}

/// What an answer is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The position of the chunk.
    pub span: &'a ChunkSpan,
    /// The moments of the same answer.
    pub moments: &'a Moments,
    /// The relative accuracy that the device states.
    pub accuracy: f64,
}

/// A statistic's identity in a program: two programs mean the same where tag and key are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticKey {
    /// [`Statistic::TAG`].
    pub tag: u16,
    /// [`Statistic::KEY`].
    pub key: [u8; 8],
}

impl StatisticKey {
    /// The key of `S` in this build.
    pub const fn of<S: Statistic>() -> Self {
        Self { tag: S::TAG, key: S::KEY }
    }
}

/// A statistic of the list at the end of this file: where it is in a measurement and among the requests.
pub trait Registered: Statistic {
    /// What a measurement holds of it.
    fn find(measurement: &Measurement) -> Option<&Self>;

    /// Puts it into a measurement.
    fn put(self, measurement: &mut Measurement);

    /// What is asked for.
    fn request(requests: &Requests) -> Option<Self::Request>;
}

/// A statistic that an engine measures. Checking the engine's answer, and holding it against the definition, come with it, so that
/// a small program contains these for no other statistic.
#[derive(Debug, Clone, Copy)]
pub struct SupportedStatistic {
    /// Tag and key.
    pub key: StatisticKey,
    check: fn(&Measurement, &Requests, &Context<'_>) -> Result<(), ImplausibleAnswer>,
    is_right: fn(&Measurement, &Requests, accuracy: f64) -> bool,
}

impl SupportedStatistic {
    /// `S`, as an engine supports it.
    pub const fn of<S: Registered>() -> Self {
        Self { key: StatisticKey::of::<S>(), check: check::<S>, is_right: is_right::<S> }
    }

    /// Whether what `measurement` holds of this statistic can be the answer to `requests` about a chunk at `span`, within the
    /// relative `accuracy` of the engine.
    ///
    /// # Errors
    /// As [`Measurement::check`], which checks every statistic.
    pub fn check(
        &self,
        measurement: &Measurement,
        requests: &Requests,
        span: &ChunkSpan,
        accuracy: f64,
    ) -> Result<(), ImplausibleAnswer> {
        (self.check)(measurement, requests, &Context { span, moments: &measurement.moments, accuracy })
    }

    /// Whether `found`, measured of the [self-test's values](self_test_values), is right to within `accuracy`.
    pub fn is_right(&self, found: &Measurement, requests: &Requests, accuracy: f64) -> bool {
        (self.is_right)(found, requests, accuracy)
    }
}

fn check<S: Registered>(
    measurement: &Measurement,
    requests: &Requests,
    context: &Context<'_>,
) -> Result<(), ImplausibleAnswer> {
    registry::check(S::find(measurement), S::request(requests), context)
}

fn is_right<S: Registered>(found: &Measurement, requests: &Requests, accuracy: f64) -> bool {
    let Some(request) = S::request(requests) else { return true };
    let values: alloc::vec::Vec<f64> = self_test_values().map(f64::from).collect();
    let expected = S::reference(&values, request, &SELF_TEST_SPAN);
    S::find(found).is_some_and(|found| found.relative_error(&expected) <= S::TOLERANCE.unwrap_or(accuracy))
}

/// The position of the self-test's values: three rows of one block.
pub const SELF_TEST_SPAN: ChunkSpan = ChunkSpan { offset: 0, count: 3 * 128, row: 128 };

/// The values with which a device shows that it measures every statistic as it is defined.
pub fn self_test_values() -> impl Iterator<Item = f32> {
    (0..SELF_TEST_SPAN.count as u32).map(|index| (index * index % 251) as f32 - 125.3)
}

registry::statistics! {
    $ moments: Moments;
    histogram: MagnitudeHistogram,
    extremes: Extremes,
    row_column_sums: RowColumnSums,
    quantization_errors: QuantizationErrors,
    column_errors: ColumnErrors,
}

impl Requests {
    /// The moments, the histogram and 16 elements at each end.
    pub const TAILS: Self = Self { histogram: Some(()), extremes: Some(ExtremeCount::DEFAULT), ..Self::MOMENTS };
    /// Everything that reports show, with the quantization errors of every element.
    pub const FULL: Self =
        Self { quantization_errors: Some(SampleStride::EVERY), row_column_sums: Some(()), ..Self::TAILS };
}

#[cfg(test)]
mod tests;
