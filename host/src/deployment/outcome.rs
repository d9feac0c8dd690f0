//! The outcome of a choice of precisions: signal to noise over all matrices, and bytes.
//!
//! The overall signal to noise is that of the average relative error, each matrix counting once:
//! `-10 log10(mean of Σ(x - q(x))² / Σx²)`. A model's loss rises about in proportion to a weighted sum of these errors
//! (V. Malinovskii et al., *Pushing the Limits of Large Language Model Quantization via the Linearity Theorem*, 2024); the
//! weights depend on data and are taken as equal here. The ratio of all energy to all noise is given as well.

use serde::Serialize;

use super::error_estimate::{self, ErrorEstimate};
use super::precision::Precision;
use super::weights::{Matrix, Sorted, elements, energy, stored_bits};
use crate::record::{Run, Tensor};

/// What a choice of precisions comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outcome {
    /// Average bits over the elements of the matrices.
    pub bits_per_weight: f64,
    /// Signal to noise of the average relative error; null where nothing is rounded.
    pub sqnr_db: Option<f64>,
    /// All energy over all noise.
    pub energy_sqnr_db: Option<f64>,
    /// The lowest signal to noise of a matrix; null where nothing is rounded.
    pub worst_db: Option<f64>,
    /// Bytes of the model: matrices as planned, and the rest.
    pub bytes: f64,
}

/// The tensors that are not quantized.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest {
    bits: f64,
}

impl Rest {
    /// They take 16 bits an element, or what they are stored in where that is less.
    pub(super) fn of(others: &[&Tensor]) -> Self {
        let bits = |tensor: &&Tensor| elements(tensor) as f64 * stored_bits(tensor).unwrap_or(16.0).min(16.0);
        Self { bits: others.iter().map(bits).sum() }
    }
}

/// What it comes to when matrices are stored so, one precision and error for each.
pub(super) fn outcome(
    matrices: &[Matrix<'_>],
    stored: impl Iterator<Item = (Precision, ErrorEstimate)>,
    rest: Rest,
) -> Outcome {
    let (mut bits, mut weights, mut relative, mut noise, mut signal) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let mut worst = 0.0f64;
    for (matrix, (precision, error)) in matrices.iter().zip(stored) {
        let (elements, energy) = (elements(matrix.tensor) as f64, energy(matrix.tensor));
        bits += elements * precision.bits_per_weight(matrix.inputs);
        weights += elements;
        relative += error.relative_mse;
        noise += error.relative_mse * energy;
        signal += energy;
        worst = worst.max(error.relative_mse);
    }
    let whole = |sum: f64, parts: f64| if parts > 0.0 { sum / parts } else { 0.0 };
    Outcome {
        bits_per_weight: whole(bits, weights),
        sqnr_db: error_estimate::decibels(whole(relative, matrices.len() as f64)),
        energy_sqnr_db: error_estimate::decibels(whole(noise, signal)),
        worst_db: error_estimate::decibels(worst),
        bytes: (bits + rest.bits) / 8.0,
    }
}

/// Bytes of the parameters as they are stored; what the run measured where a type's size is not known.
pub(super) fn bytes_before(run: &Run, sorted: &Sorted<'_>) -> f64 {
    let tensors = sorted.matrices.iter().map(|matrix| matrix.tensor).chain(sorted.others.iter().copied());
    let bits: Option<f64> = tensors.map(|tensor| Some(elements(tensor) as f64 * stored_bits(tensor)?)).sum();
    bits.map_or(run.bytes as f64, |bits| bits / 8.0)
}
