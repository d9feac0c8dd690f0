//! What kind of device would differ like this: the ways in which accelerators are known to go wrong leave different
//! traces in counts, extremes and sums.
//!
//! | kind | counts | extremes | sums |
//! |---|---|---|---|
//! | values rounded to binary16 | zeros may grow | the reference's, rounded | off by about 1e-4 |
//! | subnormal numbers flushed to zero | zeros grow | right, unless subnormal themselves | right |
//! | elements left out | may be short | mostly right | variance short by the same share in every tensor |
//! | sums inaccurate | right | right | off, by no common share |

use half::f16;
use serde::Serialize;

use crate::{record::Tensor, statistics::median};

/// The smallest normal number of binary32, and of bfloat16.
const SMALLEST_NORMAL: f64 = f32::MIN_POSITIVE as f64;
/// The smallest normal number of binary16.
const SMALLEST_NORMAL_HALF: f64 = 6.103_515_625e-5;
/// Shares of missing variance count as common to all tensors while their median distance from their median is below
/// this part of it.
const COMMON: f64 = 0.5;

/// What is most likely wrong with the candidate's device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Diagnosis {
    /// It rounds every value to binary16 before it computes.
    HalfPrecision {
        /// Tensors whose extremes show it.
        tensors: usize,
    },
    /// It takes subnormal numbers for zero.
    SubnormalsFlushed {
        /// Elements that became zero.
        elements: u64,
    },
    /// It leaves elements out of its sums.
    ElementsMissing {
        /// The share that is missing: one in `1 / share`.
        share: f64,
    },
    /// Counts and extremes are right and sums are not.
    SumsInaccurate {
        /// The largest relative difference of a variance or a kurtosis.
        largest: Option<f64>,
    },
    /// None of the known ways.
    Unexplained,
}

impl std::fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::HalfPrecision { tensors } => write!(
                f,
                "the device rounds values to 16-bit floats before it computes: in {tensors} tensors the extremes are the \
                 reference's, rounded to binary16; look for a driver option that relaxes precision"
            ),
            Self::SubnormalsFlushed { elements } => write!(
                f,
                "the device takes subnormal numbers for zero: {elements} elements became zeros and the rest is right; \
                 that harms no quantized model, but exact zeros are overcounted"
            ),
            Self::ElementsMissing { share } => write!(
                f,
                "the device leaves elements out of its sums, about one in {:.0}; its reductions are broken, so do not \
                 trust its other numbers either (update the driver)",
                1.0 / share
            ),
            Self::SumsInaccurate { largest } => {
                write!(f, "counts and extremes are right, but sums are not")?;
                if let Some(largest) = largest {
                    write!(f, " (variance or kurtosis off by up to {largest:.1e})")?;
                }
                write!(f, "; the device accumulates with too few digits, or loses partial sums")
            }
            Self::Unexplained => {
                write!(f, "the differences fit no known fault; repeat the run to see whether they stay the same")
            }
        }
    }
}

/// Diagnoses tensors as `(reference, candidate)`, some of which differ beyond the relative `accuracy`.
pub fn diagnose(pairs: &[(&Tensor, &Tensor)], accuracy: f64) -> Diagnosis {
    if let Some(tensors) = rounded_to_half(pairs) {
        return Diagnosis::HalfPrecision { tensors };
    }
    if let Some(elements) = flushed(pairs, accuracy) {
        return Diagnosis::SubnormalsFlushed { elements };
    }
    if let Some(share) = missing(pairs, accuracy) {
        return Diagnosis::ElementsMissing { share };
    }
    let exact = |(a, b): &(&Tensor, &Tensor)| {
        (a.count, a.zeros, a.non_finite, a.min, a.max) == (b.count, b.zeros, b.non_finite, b.min, b.max)
    };
    if pairs.iter().all(exact) {
        let gaps = pairs.iter().flat_map(|(a, b)| [gap(a.variance, b.variance), gap(a.kurtosis, b.kurtosis)]);
        return Diagnosis::SumsInaccurate { largest: gaps.flatten().map(f64::abs).reduce(f64::max) };
    }
    Diagnosis::Unexplained
}

/// The number of tensors whose extremes are the reference's rounded to binary16, if any and if none contradicts.
fn rounded_to_half(pairs: &[(&Tensor, &Tensor)]) -> Option<usize> {
    let round = |value: f64| f16::from_f64(value).to_f64();
    let mut showing = 0;
    for (a, b) in pairs {
        for (reference, candidate) in [(a.min, b.min), (a.max, b.max)] {
            let Some(reference) = reference else { continue };
            let rounded = round(reference);
            // Beyond the range it becomes infinite and is no longer among the finite elements.
            if rounded.is_finite() && candidate != Some(rounded) {
                return None;
            }
        }
        let differs = |value: Option<f64>| value.is_some_and(|value| round(value) != value);
        showing += usize::from(differs(a.min) || differs(a.max));
    }
    (showing > 0).then_some(showing)
}

/// The number of elements that became zero, if nothing else changed.
fn flushed(pairs: &[(&Tensor, &Tensor)], accuracy: f64) -> Option<u64> {
    let mut elements = 0;
    for (a, b) in pairs {
        let smallest = if a.dtype == "f16" { SMALLEST_NORMAL_HALF } else { SMALLEST_NORMAL };
        let same = |reference: Option<f64>, candidate: Option<f64>| {
            reference == candidate || (reference.is_some_and(|x| x.abs() < smallest) && candidate == Some(0.0))
        };
        if (a.count, a.non_finite) != (b.count, b.non_finite) || b.zeros < a.zeros {
            return None;
        }
        let tiny = a.variance.is_some_and(|variance| variance.sqrt() < smallest);
        let moved = [gap(a.variance, b.variance), gap(a.kurtosis, b.kurtosis)]
            .into_iter()
            .any(|gap| gap.is_some_and(|gap| gap.abs() > accuracy));
        if !same(a.min, b.min) || !same(a.max, b.max) || (moved && !tiny) {
            return None;
        }
        elements += b.zeros - a.zeros;
    }
    (elements > 0).then_some(elements)
}

/// The share of elements that is missing: from the counts where they say it, otherwise from variances that are all
/// short by about the same share.
fn missing(pairs: &[(&Tensor, &Tensor)], accuracy: f64) -> Option<f64> {
    let seen = |tensor: &Tensor| tensor.count + tensor.non_finite;
    let (all, short) =
        pairs.iter().fold((0, 0), |(all, short), (a, b)| (all + seen(a), short + seen(a).saturating_sub(seen(b))));
    if short > 0 {
        return Some(short as f64 / all as f64);
    }
    // Small tensors may have lost nothing at all.
    let gaps: Vec<f64> = pairs.iter().filter_map(variance_gap).filter(|gap| gap.abs() > accuracy).collect();
    let share = -median(gaps.iter().copied())?;
    let spread = median(gaps.iter().map(|gap| (gap + share).abs()))?;
    (share > 0.0 && spread < COMMON * share).then_some(share)
}

/// The relative difference of the variances, negative where the candidate's is the smaller.
fn variance_gap((reference, candidate): &(&Tensor, &Tensor)) -> Option<f64> {
    gap(reference.variance, candidate.variance)
}

/// The relative difference of two positive statistics.
fn gap(reference: Option<f64>, candidate: Option<f64>) -> Option<f64> {
    let (a, b) = (reference?, candidate?);
    (a > 0.0).then(|| b / a - 1.0)
}
