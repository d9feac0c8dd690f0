//! A mergeable histogram of magnitudes, fine enough to answer questions about tails after the fact.
//!
//! A bin is named by the upper 11 bits of the binary32 of |x|: the exponent and three mantissa bits, so eight bins an
//! octave, each 1/8 to 1/16 of its value wide. Zeros and non-finite elements are not in the histogram.

use alloc::{vec, vec::Vec};

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

use super::{ChunkSpan, Context, ImplausibleAnswer, Part, Statistic};

/// Mantissa bits that a bin's number keeps.
pub const MANTISSA_BITS: u32 = 3;
/// How far the bits of a binary32 are shifted to the right to give its bin.
pub const BIN_SHIFT: u32 = 23 - MANTISSA_BITS;
/// Number of bins: all finite binary32 magnitudes.
pub const BINS: usize = (0x7f80_0000u32 >> BIN_SHIFT) as usize;

/// Counts of magnitudes, from the first bin that holds any to the last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct MagnitudeHistogram {
    first: u16,
    counts: Vec<u64>,
}

/// A non-empty bin: magnitudes in `lower <= |x| < upper`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Smallest magnitude of the bin (0 only for the bin that holds the smallest subnormals).
    pub lower: f64,
    /// The next bin's smallest magnitude.
    pub upper: f64,
    /// Elements in the bin.
    pub count: u64,
}

/// The bin of a finite magnitude. Values beyond binary32's range fall into the outermost bins.
pub fn bin_of(magnitude: f64) -> usize {
    let mut single = magnitude as f32;
    if f64::from(single) > magnitude {
        // The conversion rounded up; the bin is that of the value below.
        single = f32::from_bits(single.to_bits() - 1);
    }
    ((single.to_bits() >> BIN_SHIFT) as usize).min(BINS - 1)
}

/// Where binary32 ends: 2^128.
const END: f64 = 2.0 * (1u128 << 127) as f64;

/// The smallest magnitude of bin number `bin`; 2^128 for every number beyond the last bin's.
pub fn lower_edge(bin: usize) -> f64 {
    if bin < BINS { f64::from(f32::from_bits((bin as u32) << BIN_SHIFT)) } else { END }
}

impl MagnitudeHistogram {
    /// A histogram from dense counts, bin 0 first. Counts beyond [`BINS`] are ignored.
    pub fn from_dense<C: Copy + Into<u64>>(dense: &[C]) -> Self {
        let dense = &dense[..dense.len().min(BINS)];
        let filled = |count: &C| (*count).into() != 0;
        let Some(first) = dense.iter().position(filled) else {
            return Self::default();
        };
        let last = dense.iter().rposition(filled).unwrap_or(first);
        Self { first: first as u16, counts: dense[first..=last].iter().map(|count| (*count).into()).collect() }
    }

    /// Elements counted; saturating, so that any answer of a device can be checked.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Adds another histogram's counts.
    pub fn merge(&mut self, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            self.clone_from(other);
            return;
        }
        let first = self.first.min(other.first);
        let end = (usize::from(self.first) + self.counts.len()).max(usize::from(other.first) + other.counts.len());
        let lead = usize::from(self.first - first);
        self.counts.splice(0..0, core::iter::repeat_n(0, lead));
        self.counts.resize(end - usize::from(first), 0);
        self.first = first;
        let offset = usize::from(other.first - first);
        for (sum, count) in self.counts[offset..].iter_mut().zip(&other.counts) {
            *sum += count;
        }
    }

    /// The non-empty bins, smallest magnitudes first.
    pub fn bins(&self) -> impl DoubleEndedIterator<Item = Bin> + '_ {
        let first = usize::from(self.first);
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(move |(index, count)| Bin {
            lower: lower_edge(first + index),
            upper: lower_edge(first + index + 1),
            count: *count,
        })
    }

    /// The magnitude that a fraction `q` (0 to 1) of `zeros` zeros and the counted elements does not exceed, linear
    /// inside a bin, so at most a bin's width off, an eighth of the octave's; it can exceed the
    /// largest element. `None` without elements.
    pub fn quantile(&self, q: f64, zeros: u64) -> Option<f64> {
        let total = self.total() + zeros;
        if total == 0 {
            return None;
        }
        let rank = q.clamp(0.0, 1.0) * total as f64;
        let mut below = zeros as f64;
        if rank <= below {
            return Some(0.0);
        }
        let mut answer = 0.0;
        for bin in self.bins() {
            let count = bin.count as f64;
            if rank <= below + count {
                return Some(bin.lower + (bin.upper - bin.lower) * ((rank - below) / count));
            }
            below += count;
            answer = bin.upper;
        }
        Some(answer)
    }

    /// Elements with a magnitude beyond `threshold`; the bin that the threshold cuts counts in proportion, rounded.
    pub fn count_beyond(&self, threshold: f64) -> u64 {
        self.bins()
            .map(|bin| {
                if bin.lower >= threshold {
                    bin.count
                } else if bin.upper <= threshold {
                    0
                } else {
                    libm::round(bin.count as f64 * (bin.upper - threshold) / (bin.upper - bin.lower)) as u64
                }
            })
            .sum()
    }
}

impl Statistic for MagnitudeHistogram {
    const TAG: u16 = 2;
    const NAME: &'static str = "histogram of magnitudes";
    type Request = ();
    const LARGEST_REQUEST: Self::Request = ();
    const TOLERANCE: Option<f64> = Some(0.0);

    fn append(&mut self, next: &Self, (): (), _: &ChunkSpan) {
        self.merge(next);
    }

    fn join(parts: &[Part<'_, Self>]) -> Option<Self> {
        let mut whole = Self::default();
        parts.iter().for_each(|part| whole.merge(part.statistic));
        Some(whole)
    }

    fn check(&self, (): (), context: &Context<'_>) -> Result<(), ImplausibleAnswer> {
        let Context { moments, .. } = context;
        let statistic = Self::NAME;
        let end = usize::from(self.first) + self.counts.len();
        if end > BINS {
            return Err(ImplausibleAnswer::Count { statistic, found: end as u64, expected: BINS as u64 });
        }
        let (found, expected) = (self.total(), moments.count.saturating_sub(moments.zeros));
        if found != expected {
            return Err(ImplausibleAnswer::Count { statistic, found, expected });
        }
        let largest = bin_of(moments.max.abs().max(moments.min.abs()));
        let last = self.counts.iter().rposition(|count| *count > 0).map(|last| usize::from(self.first) + last);
        match last {
            Some(last) if last != largest => {
                Err(ImplausibleAnswer::Bin { found: last as u64, expected: largest as u64 })
            }
            _ => self.check_squares(context),
        }
    }

    fn largest_encoded_len((): (), _: &ChunkSpan) -> usize {
        // The first bin, the number of bins, and a varint for each.
        3 + 3 + 10 * BINS
    }

    fn reference(values: &[f64], (): (), _: &ChunkSpan) -> Self {
        let mut dense = vec![0u64; BINS];
        values
            .iter()
            .filter(|value| value.is_finite() && **value != 0.0)
            .for_each(|value| dense[bin_of(value.abs())] += 1);
        Self::from_dense(&dense)
    }

    fn relative_error(&self, expected: &Self) -> f64 {
        if self == expected { 0.0 } else { f64::INFINITY }
    }
}

impl MagnitudeHistogram {
    /// Whether magnitudes in these bins can have the moments' sum of squares.
    fn check_squares(&self, context: &Context<'_>) -> Result<(), ImplausibleAnswer> {
        let (mut least, mut most) = (0.0, 0.0);
        for Bin { lower, upper, count } in self.bins() {
            least += count as f64 * lower * lower;
            // Magnitudes beyond binary32's range are in the last bin.
            most += if upper < END { count as f64 * upper * upper } else { f64::INFINITY };
        }
        let squares = context.moments.sum_of_squares();
        let slack = 1e-9 + 16.0 * context.accuracy;
        if squares < least * (1.0 - slack) || squares > most * (1.0 + slack) {
            return Err(ImplausibleAnswer::Squares { statistic: Self::NAME, squares, least, most });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram_of(values: &[f64]) -> MagnitudeHistogram {
        MagnitudeHistogram::reference(values, (), &ChunkSpan { offset: 0, count: values.len() as u64, row: 0 })
    }

    #[test]
    fn edges_bracket_their_values() {
        for value in [1e-45, 1e-39, 1.0, 1.124, 1.125, 1.99, 2.0, 3e38, 0.1, 1e-300, 1e300, f64::from(f32::MAX)] {
            let bin = bin_of(value);
            assert!(value >= lower_edge(bin) || bin == 0, "{value}");
            assert!(value < lower_edge(bin + 1) || bin == BINS - 1, "{value}");
        }
        assert_eq!(bin_of(1.125) - bin_of(1.0), 1);
        assert_eq!(bin_of(2.0) - bin_of(1.0), 8);
        // The largest f64 below 1.125 rounds to 1.125 in binary32 and still belongs below.
        assert_eq!(bin_of(1.125f64.next_down()), bin_of(1.0));
    }

    #[test]
    fn quantiles_of_a_known_set() {
        let values: Vec<f64> = (1..=1000).map(f64::from).collect();
        let histogram = histogram_of(&values);
        for (q, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(q, 0).expect("elements");
            assert!((found / expected - 1.0).abs() < 0.04, "q {q}: {found} against {expected}");
        }
        assert_eq!(histogram.quantile(0.3, 1000), Some(0.0));
        assert_eq!(MagnitudeHistogram::default().quantile(0.5, 0), None);
        assert_eq!(histogram.count_beyond(512.0), 489, "512 is a bin's edge and belongs to the bin above");
    }

    proptest! {
        #[test]
        fn merging_equals_counting_the_union(a in prop::collection::vec(-1e9..1e9f64, 0..50), b in prop::collection::vec(-1e-9..1e-9f64, 0..50)) {
            let mut merged = histogram_of(&a);
            merged.merge(&histogram_of(&b));
            prop_assert_eq!(&merged, &histogram_of(&[a.clone(), b.clone()].concat()));
            let mut other_way = histogram_of(&b);
            other_way.merge(&histogram_of(&a));
            prop_assert_eq!(merged, other_way);
        }
    }
}
