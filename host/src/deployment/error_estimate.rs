//! The error that a precision makes in a matrix, taken from what a run recorded, and how far that figure can be trusted.
//!
//! What was measured is used as it is. Where a precision was not measured, its error is estimated from one that was:
//!
//! - **Whole numbers of 3, 5, 6 and 7 bits** lie between the figures at 4 and at 8 bits with the same scales. Signal to noise
//!   rises by 20 log10 of the ratio of the highest levels, so the decibels are interpolated along the logarithm of the
//!   highest level. Against quantizing every element: within 0.1 dB on normal weights, within 0.6 dB for 5 to 7 bits on
//!   Student's t with 3 degrees of freedom and 1.4 dB with isolated weights of 20 sigma; at 3 bits heavy tails come out
//!   too noisy, by up to 3.6 dB, never too good by more than 0.1.
//! - **GGUF's K-quants and their relatives** choose scale and offset by search, which gains the more over a symmetric group
//!   of 32 the heavier the tail. The gain was measured with ggml itself on matrices of a trained encoder and of eight
//!   distributions and is linear in the symmetric figure; see [`GGML`].
//!
//! In a matrix stored `[in, out]`, as GPT-2's, rows are input channels. There a scale per output channel is taken as no better
//! than one scale for the tensor, and groups as if they ran along the other axis; both are marked so.

use kurtoscope_shared::quantization::Scheme;
use serde::Serialize;

use super::precision::{GroupSize, Precision, Scale};
use super::weights::Matrix;
use crate::scheme_key::{SchemeKey, TensorScheme};

/// What a figure rests on, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Nothing is rounded.
    Exact,
    /// Quantized on the device: all elements, or of a large tensor the share that `share` in `run.json` gives.
    Measured,
    /// Predicted from the histogram of magnitudes.
    Histogram,
    /// Estimated from the figures of other precisions.
    Estimated,
    /// Measured in groups along the other axis, because the matrix is stored `[in, out]`.
    OtherAxis,
    /// The figure of one scale for the tensor, because the matrix is stored `[in, out]`: the real noise is at most this.
    AtMost,
}

impl Basis {
    /// In reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Measured => "measured",
            Self::Histogram => "histogram",
            Self::Estimated => "estimated",
            Self::OtherAxis => "other axis",
            Self::AtMost => "at least",
        }
    }
}

/// An error of quantization.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ErrorEstimate {
    /// `Σ(x - q(x))² / Σx²`; 0 where nothing is lost or nothing is there.
    pub relative_mse: f64,
    /// What the figure rests on.
    pub basis: Basis,
}

impl ErrorEstimate {
    /// No error.
    pub const NONE: Self = Self { relative_mse: 0.0, basis: Basis::Exact };

    /// Signal to noise; `None` where there is no noise.
    pub fn decibels(self) -> Option<f64> {
        decibels(self.relative_mse)
    }
}

/// Signal to noise of a relative error; `None` where there is none.
pub fn decibels(relative_mse: f64) -> Option<f64> {
    (relative_mse > 0.0).then(|| -10.0 * relative_mse.log10())
}

/// How a precision of GGUF follows from the symmetric figure at 4 bits in groups of 32: `intercept + slope · dB`, where the
/// gain over that figure stays within what was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GgmlFit {
    /// What is estimated.
    pub precision: Precision,
    /// Decibels at 0 dB.
    pub intercept: f64,
    /// Decibels a decibel.
    pub slope: f64,
    /// The least and the largest gain over the symmetric figure that were seen.
    pub gain: (f64, f64),
}

/// Least squares over 47 matrices (39 of a trained encoder, 8 distributions from uniform to Student's t with 3 degrees of
/// freedom, with heavy rows, columns and isolated weights), each quantized with ggml: the largest deviation on the trained
/// ones is 0.23 dB, on the distributions 0.67 dB. `docs/measurements.md` has the table.
pub const GGML: [GgmlFit; 7] = [
    GgmlFit { precision: Precision::Q3K, intercept: 5.227, slope: 0.551, gain: (-5.28, -1.76) },
    GgmlFit { precision: Precision::Iq4Nl, intercept: 9.198, slope: 0.649, gain: (0.55, 3.35) },
    GgmlFit { precision: Precision::Q4K, intercept: 10.503, slope: 0.613, gain: (1.93, 4.91) },
    GgmlFit { precision: Precision::Q5_0, intercept: 6.963, slope: 1.007, gain: (6.52, 7.17) },
    GgmlFit { precision: Precision::Q5_1, intercept: 16.684, slope: 0.580, gain: (7.32, 10.62) },
    GgmlFit { precision: Precision::Q5K, intercept: 16.382, slope: 0.615, gain: (7.86, 10.88) },
    GgmlFit { precision: Precision::Q6K, intercept: 17.989, slope: 0.840, gain: (14.23, 15.68) },
];

/// The figure that [`GGML`] starts from.
const SYMMETRIC: Scheme = Scheme::Int4G32;

/// The error of storing `matrix` in `precision`.
///
/// # Errors
/// The schemes whose errors the figure needs and the run lacks.
pub fn of(matrix: &Matrix<'_>, precision: Precision) -> Result<ErrorEstimate, Vec<SchemeKey>> {
    match precision {
        Precision::Unquantized => Ok(ErrorEstimate::NONE),
        Precision::Integer { bits, scale } => integer(matrix, bits, scale),
        Precision::Q8_0 => along_rows(matrix, Scheme::Q8_0),
        Precision::Q4_0 => along_rows(matrix, Scheme::Q4_0),
        Precision::Nf4 => along_rows(matrix, Scheme::Nf4B64),
        Precision::Mxfp4 => along_rows(matrix, Scheme::Mxfp4),
        Precision::Q3K
        | Precision::Iq4Nl
        | Precision::Q4K
        | Precision::Q5_0
        | Precision::Q5_1
        | Precision::Q5K
        | Precision::Q6K => {
            let symmetric = along_rows(matrix, SYMMETRIC)?;
            let found = GGML.iter().find(|estimate| estimate.precision == precision);
            Ok(found.map_or(symmetric, |estimate| estimate.apply(symmetric)))
        }
    }
}

impl GgmlFit {
    fn apply(&self, symmetric: ErrorEstimate) -> ErrorEstimate {
        let Some(from) = symmetric.decibels() else {
            return ErrorEstimate { basis: Basis::Estimated, ..symmetric };
        };
        let gain = self.intercept + (self.slope - 1.0) * from;
        let found = from + gain.clamp(self.gain.0, self.gain.1);
        ErrorEstimate { relative_mse: 10f64.powf(-found / 10.0), basis: symmetric.basis.max(Basis::Estimated) }
    }
}

fn integer(matrix: &Matrix<'_>, bits: u8, scale: Scale) -> Result<ErrorEstimate, Vec<SchemeKey>> {
    let at = |bits: MeasuredBits| match scale {
        Scale::Tensor => recorded(matrix, bits.per_tensor()),
        Scale::Channel if matrix.is_transposed => {
            recorded(matrix, bits.per_tensor()).map(|noise| ErrorEstimate { basis: Basis::AtMost, ..noise })
        }
        Scale::Channel => recorded(matrix, bits.per_row()),
        Scale::Group(size) => along_rows(matrix, bits.per_group(size)),
    };
    match bits {
        4 => return at(MeasuredBits::Four),
        8 => return at(MeasuredBits::Eight),
        _ => {}
    }
    let (four, eight) = match (at(MeasuredBits::Four), at(MeasuredBits::Eight)) {
        (Ok(four), Ok(eight)) => (four, eight),
        (four, eight) => return Err([four, eight].into_iter().filter_map(Result::err).flatten().collect()),
    };
    Ok(ErrorEstimate {
        relative_mse: between(four.relative_mse, eight.relative_mse, bits),
        basis: four.basis.max(Basis::Estimated),
    })
}

/// The bits at which integers are measured or predicted.
#[derive(Debug, Clone, Copy)]
enum MeasuredBits {
    Four,
    Eight,
}

impl MeasuredBits {
    const fn per_tensor(self) -> TensorScheme {
        match self {
            Self::Four => TensorScheme::Int4,
            Self::Eight => TensorScheme::Int8,
        }
    }

    const fn per_row(self) -> Scheme {
        match self {
            Self::Four => Scheme::Int4PerRow,
            Self::Eight => Scheme::Int8PerRow,
        }
    }

    const fn per_group(self, size: GroupSize) -> Scheme {
        match (self, size) {
            (Self::Four, GroupSize::G32) => Scheme::Int4G32,
            (Self::Four, GroupSize::G64) => Scheme::Int4G64,
            (Self::Four, GroupSize::G128) => Scheme::Int4G128,
            (Self::Eight, GroupSize::G32) => Scheme::Int8G32,
            (Self::Eight, GroupSize::G64) => Scheme::Int8G64,
            (Self::Eight, GroupSize::G128) => Scheme::Int8G128,
        }
    }
}

/// The relative error at `bits` bits, from those at 4 and at 8.
fn between(four: f64, eight: f64, bits: u8) -> f64 {
    if four <= 0.0 || eight <= 0.0 {
        // What has few distinct values may be exact at 8 bits; then 4 bits are the best that is known.
        return if bits < 4 { four } else { four.max(eight) };
    }
    let level = |bits: u8| f64::from((1u32 << (bits - 1)) - 1).ln();
    let place = (level(bits) - level(4)) / (level(8) - level(4));
    // Rounding to nearest never makes more noise than signal.
    (four.ln() + place * (eight.ln() - four.ln())).exp().min(1.0)
}

/// What the run recorded of a scheme whose blocks run along rows.
fn along_rows(matrix: &Matrix<'_>, scheme: Scheme) -> Result<ErrorEstimate, Vec<SchemeKey>> {
    let found = recorded(matrix, scheme)?;
    let is_across = matrix.is_transposed && found.basis == Basis::Measured;
    Ok(if is_across { ErrorEstimate { basis: Basis::OtherAxis, ..found } } else { found })
}

/// What the run recorded of a scheme.
fn recorded(matrix: &Matrix<'_>, scheme: impl Into<SchemeKey>) -> Result<ErrorEstimate, Vec<SchemeKey>> {
    let scheme = scheme.into();
    let error = matrix.tensor.quantization_error(scheme).ok_or_else(|| vec![scheme])?;
    let basis = if error.predicted { Basis::Histogram } else { Basis::Measured };
    // Without a signal there is nothing to lose.
    Ok(ErrorEstimate { relative_mse: error.relative_mse.unwrap_or(0.0), basis })
}

#[cfg(test)]
#[path = "error_estimate_tests.rs"]
mod tests;
