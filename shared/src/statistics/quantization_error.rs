//! The squared errors of quantization in blocks, `Σ(x - q(x))²` for each scheme of [`quantization`](crate::quantization),
//! measured of all elements of a chunk or estimated from samples.

use alloc::{vec, vec::Vec};

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

use super::{ChunkSpan, Context, ImplausibleAnswer, Part, Statistic};
use crate::quantization::{Scheme, dequantized};

/// Of how many elements one is quantized: 1, 2, 4, 8, 16, 32 or 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Schema)]
#[serde(try_from = "u8", into = "u8")]
pub struct SampleStride(u8);

impl SampleStride {
    /// Every element is quantized.
    pub const EVERY: Self = Self(1);
    /// One of 64 is quantized: the longest stride.
    pub const LONGEST: Self = Self(64);

    /// One of `stride` elements; `None` where that is no power of two up to 64.
    pub const fn new(stride: u8) -> Option<Self> {
        if stride.is_power_of_two() && stride <= Self::LONGEST.0 { Some(Self(stride)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for SampleStride {
    type Error = &'static str;

    fn try_from(stride: u8) -> Result<Self, &'static str> {
        Self::new(stride).ok_or("a stride other than 1, 2, 4, 8, 16, 32 and 64")
    }
}

impl From<SampleStride> for u8 {
    fn from(stride: SampleStride) -> Self {
        stride.0
    }
}

/// The squared errors of a chunk or a tensor, by scheme. They merge by addition, and describe all elements where only some
/// were quantized.
///
/// Errors grow with the scale, which is known of every block. So what the samples say is not multiplied by how few they
/// are, but by the ratio of the squares of all scales to those of the samples' scales: the ratio estimator (W. G.
/// Cochran, *Sampling Techniques*, 3rd edition, 1977, chapter 6).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Schema)]
pub struct QuantizationErrors {
    /// One a scheme in the order of [`Scheme::ALL`]; `None` for a scheme whose blocks the chunk cuts, or whose sum left the
    /// range of its numbers.
    pub errors: Vec<Option<SquaredErrors>>,
    /// The scales of blocks of 32.
    pub blocks: ScaleSums,
    /// The scales of rows.
    pub rows: ScaleSums,
}

/// Sums of squared errors, `Σ(x - q(x))²`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, Schema)]
pub struct SquaredErrors {
    /// Of elements in groups that were quantized in full.
    pub in_full: f64,
    /// Of the elements that were taken of the other groups.
    pub sampled: f64,
}

/// Sums of the squares of largest magnitudes, over the groups of which samples were taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, Schema)]
pub struct ScaleSums {
    /// Each group once.
    pub all: f64,
    /// Each group as often as the share of it that was taken.
    pub sampled: f64,
}

impl ScaleSums {
    fn add(&mut self, other: &Self) {
        self.all += other.all;
        self.sampled += other.sampled;
    }

    /// What all groups' errors are, if `sampled` are those of the samples; `None` where there are groups and no samples.
    fn extend(&self, sampled: f64) -> Option<f64> {
        if self.sampled > 0.0 {
            Some(sampled * (self.all / self.sampled))
        } else {
            // Groups of zeros have no errors.
            (self.all == 0.0).then_some(0.0)
        }
    }
}

/// How much larger than `Σx²` a scheme's error may be: scales are rounded to binary16, and sums to binary32.
const SIGNAL_TOLERANCE: f64 = 0.02;
/// The same absolutely, for each element: a block whose scale has no inverse in binary32, which takes a largest magnitude
/// below 4e-37, is quantized to its largest magnitude everywhere.
const LEAST_ERROR: f64 = 1e-72;

impl QuantizationErrors {
    /// The error of one scheme over all elements; `None` where it was not measured.
    pub fn of(&self, scheme: Scheme) -> Option<f64> {
        let errors = self.errors.get(scheme as usize).copied().flatten()?;
        let scales = if scheme.block().is_none() { &self.rows } else { &self.blocks };
        Some(errors.in_full + scales.extend(errors.sampled)?).filter(|sum| sum.is_finite())
    }

    /// Adds another part's errors. A scheme that is missing in either part is missing in the whole.
    fn add(&mut self, other: &Self) {
        for (errors, more) in self.errors.iter_mut().zip(&other.errors) {
            *errors = errors.zip(*more).map(|(errors, more)| SquaredErrors {
                in_full: errors.in_full + more.in_full,
                sampled: errors.sampled + more.sampled,
            });
        }
        self.blocks.add(&other.blocks);
        self.rows.add(&other.rows);
    }

    /// Leaves out the schemes for which `is_kept` is false.
    fn retain(&mut self, is_kept: impl Fn(Scheme) -> bool) {
        for (scheme, errors) in Scheme::ALL.into_iter().zip(&mut self.errors) {
            *errors = errors.filter(|_| is_kept(scheme));
        }
    }
}

impl Statistic for QuantizationErrors {
    const TAG: u16 = 5;
    const NAME: &'static str = "quantization errors";
    const MEANING: &'static str = "quantization errors: int8_per_row int8_g32 int8_g64 int8_g128 int4_per_row int4_g32 \
                                   int4_g64 int4_g128 q8_0 q4_0 nf4_b64 mxfp4";
    type Request = SampleStride;
    const LARGEST_REQUEST: Self::Request = SampleStride::EVERY;
    const TOLERANCE: Option<f64> = Some(1e-4);
    const BY_ROW: bool = true;

    fn append(&mut self, next: &Self, _: SampleStride, _: &ChunkSpan) {
        self.add(next);
    }

    /// Where each row of the whole is made up of one row of each part, the blocks that the parts cut are not those of the
    /// whole.
    fn join(parts: &[Part<'_, Self>]) -> Option<Self> {
        let mut all = parts.iter().map(|Part { statistic, layout, .. }| {
            let row = usize::try_from(layout.row).unwrap_or_default();
            let holds = |block: usize| row > 0 && row.is_multiple_of(block);
            let mut part = (*statistic).clone();
            part.retain(|scheme| layout.shares_rows || scheme.block().is_some_and(holds));
            part
        });
        let first = all.next()?;
        Some(all.fold(first, |mut whole, part| {
            whole.add(&part);
            whole
        }))
    }

    fn check(&self, _: SampleStride, context: &Context<'_>) -> Result<(), ImplausibleAnswer> {
        let Context { span, moments, .. } = *context;
        let statistic = Self::NAME;
        let count = |found: usize, expected: usize| {
            let (found, expected) = (found as u64, expected as u64);
            if found == expected { Ok(()) } else { Err(ImplausibleAnswer::Count { statistic, found, expected }) }
        };
        count(self.errors.len(), Scheme::ALL.len())?;
        let by_row = Scheme::ALL.into_iter().zip(&self.errors).filter(|(scheme, _)| scheme.block().is_none());
        if !span.has_whole_rows() {
            count(by_row.filter(|(_, errors)| errors.is_some()).count(), 0)?;
        }
        let scales = [self.blocks.all, self.blocks.sampled, self.rows.all, self.rows.sampled];
        let errors = self.errors.iter().flatten().flat_map(|errors| [errors.in_full, errors.sampled]);
        for sum in errors.chain(scales) {
            if !sum.is_finite() {
                return Err(ImplausibleAnswer::NotFinite { statistic, value: sum });
            }
            if sum < 0.0 {
                return Err(ImplausibleAnswer::Negative { statistic, sum });
            }
        }
        let signal = moments.sum_of_squares();
        for errors in self.errors.iter().flatten() {
            let error = errors.in_full + errors.sampled;
            if error > signal * (1.0 + SIGNAL_TOLERANCE) + LEAST_ERROR * span.count as f64 {
                return Err(ImplausibleAnswer::Error { error, signal });
            }
        }
        Ok(())
    }

    fn largest_encoded_len(_: SampleStride, _: &ChunkSpan) -> usize {
        1 + Scheme::ALL.len() * (1 + 2 * 8) + 4 * 8
    }

    /// Every element quantized, whatever the stride, and nothing sampled.
    fn reference(values: &[f64], _: SampleStride, span: &ChunkSpan) -> Self {
        let width = if span.row == 0 { values.len() } else { usize::try_from(span.row).unwrap_or(usize::MAX) }.max(1);
        let finite = |value: &f64| Some(*value as f32).filter(|value| value.is_finite()).unwrap_or_default();
        let values: Vec<f32> = values.iter().map(finite).collect();
        let error_of = |scheme: Scheme| {
            let blocks = values.chunks(width).flat_map(|row| row.chunks(scheme.block().unwrap_or(width)));
            let squares = blocks.flat_map(|block| {
                let square = |(x, q): (&f32, f32)| f64::from(x - q) * f64::from(x - q);
                block.iter().zip(dequantized(scheme, block)).map(square).collect::<Vec<_>>()
            });
            squares.sum::<f64>()
        };
        let mut errors = vec![None; Scheme::ALL.len()];
        for (scheme, errors) in Scheme::ALL.into_iter().zip(&mut errors) {
            let in_full = error_of(scheme);
            let is_stated = in_full.is_finite() && (scheme.block().is_some() || span.has_whole_rows());
            *errors = is_stated.then_some(SquaredErrors { in_full, sampled: 0.0 });
        }
        Self { errors, ..Self::default() }
    }

    fn relative_error(&self, expected: &Self) -> f64 {
        let error = |scheme| match (self.of(scheme), expected.of(scheme)) {
            (Some(found), Some(expected)) if found != expected => (found - expected).abs() / expected.abs(),
            (Some(_), Some(_)) | (None, None) => 0.0,
            _ => f64::INFINITY,
        };
        Scheme::ALL.into_iter().map(error).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::PartLayout;

    fn errors(each: SquaredErrors, blocks: ScaleSums) -> QuantizationErrors {
        let rows = ScaleSums { all: 5.0, sampled: 5.0 };
        QuantizationErrors { errors: vec![Some(each); Scheme::ALL.len()], blocks, rows }
    }

    #[test]
    fn sums_add_up_and_say_what_is_missing() {
        let mut part = errors(SquaredErrors { in_full: 1.0, sampled: 0.25 }, ScaleSums { all: 8.0, sampled: 1.0 });
        part.errors[Scheme::Int8PerRow as usize] = None;
        let mut whole = part.clone();
        assert_eq!(QuantizationErrors::default().of(Scheme::Q8_0), None);
        assert_eq!(whole.of(Scheme::Q8_0), Some(1.0 + 0.25 * 8.0));
        // 2 in full, 0.5 sampled at a ratio of 10 to 2.
        part.blocks = ScaleSums { all: 2.0, sampled: 1.0 };
        whole.add(&part);
        assert_eq!(whole.of(Scheme::Q8_0), Some(2.0 + 0.5 * 5.0));
        assert_eq!((whole.of(Scheme::Int8PerRow), whole.of(Scheme::Int4PerRow)), (None, Some(2.5)));
    }

    #[test]
    fn blocks_that_parts_cut_are_left_out() {
        let part = errors(SquaredErrors { in_full: 1.0, sampled: 0.0 }, ScaleSums::default());
        let join = |row, shares_rows| {
            let layout = PartLayout { row, shares_rows, position: &|position| position };
            let part = || Part { statistic: &part, request: SampleStride::EVERY, layout };
            QuantizationErrors::join(&[part(), part()]).expect("parts")
        };
        let whole = join(96, false);
        assert_eq!((whole.of(Scheme::Q8_0), whole.of(Scheme::Int8G64)), (Some(2.0), None));
        assert_eq!(whole.of(Scheme::Int4PerRow), None);
        assert_eq!(join(96, true).of(Scheme::Int4PerRow), Some(2.0));
    }

    #[test]
    fn the_key_covers_the_schemes_in_their_order() {
        let schemes: Vec<&str> = Scheme::ALL.map(Scheme::key).into();
        assert_eq!(QuantizationErrors::MEANING, alloc::format!("quantization errors: {}", schemes.join(" ")));
    }

    #[test]
    fn groups_without_samples_say_nothing() {
        let good = SquaredErrors { in_full: 1.0, sampled: 0.0 };
        assert_eq!(errors(good, ScaleSums { all: 1.0, sampled: 0.0 }).of(Scheme::Q8_0), None);
        assert_eq!(errors(good, ScaleSums::default()).of(Scheme::Q8_0), Some(1.0));
    }
}
