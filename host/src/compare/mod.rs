//! Two runs of one model side by side: does the device compute what the desktop computes?
//!
//! `difference` measures how far apart two records are, `diagnosis` names the kind of device that would differ like
//! that, `flips` what would be decided otherwise. Nothing is measured here.

mod diagnosis;
mod difference;
mod flips;

use std::collections::HashMap;

use serde::Serialize;

pub use diagnosis::Diagnosis;
pub use difference::{Difference, Statistic};
pub use flips::{Flip, Flips, Subject};

use crate::record::{Device, Role, Run, Tensor};

/// The accuracy that is assumed of a device whose record does not state one.
const UNSTATED_ACCURACY: f64 = 1e-6;

/// Two runs, and how far apart they are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The run that the other is held against.
    pub reference: Side,
    /// The run in question.
    pub candidate: Side,
    /// The relative error that both sides together may show: the larger of the two stated accuracies.
    pub accuracy: f64,
    /// Tensors in both runs, the farthest apart first.
    pub tensors: Vec<TensorDifference>,
    /// Tensors that only the reference has.
    pub only_in_reference: Vec<String>,
    /// Tensors that only the candidate has.
    pub only_in_candidate: Vec<String>,
    /// What kind of device would differ like this; none where nothing differs beyond accuracy.
    pub diagnosis: Option<Diagnosis>,
    /// What would be decided otherwise: entries of plans, remedies, heavy tails.
    pub flips: Flips,
}

/// One of the two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// What was measured.
    pub model: String,
    /// With what.
    pub device: Device,
    /// Seconds that the run took.
    pub seconds: f64,
    /// Bytes of weights that it measured.
    pub bytes: u64,
    /// Chunks sent again on its link.
    pub resent: u64,
    /// Frames that arrived damaged on its link.
    pub damaged: u64,
}

/// One tensor in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorDifference {
    /// Its name.
    pub name: String,
    /// Statistics that differ at all, the farthest beyond its accuracy first.
    pub differences: Vec<Difference>,
}

impl TensorDifference {
    /// The largest difference in units of accuracy; 0 where nothing differs, infinite where an exact statistic does.
    pub fn units(&self) -> f64 {
        self.differences.first().map_or(0.0, Difference::units)
    }
}

/// Why two runs cannot be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CompareError {
    /// They measured different weights.
    #[error(
        "the runs are of different weights: {reference} (fingerprint {reference_fingerprint}) and {candidate} \
         (fingerprint {candidate_fingerprint}); measure the same files on both devices"
    )]
    Weights {
        /// The reference's model.
        reference: String,
        /// Its fingerprint.
        reference_fingerprint: String,
        /// The candidate's model.
        candidate: String,
        /// Its fingerprint.
        candidate_fingerprint: String,
    },
    /// There is nothing in common.
    #[error("the runs have no tensor in common: {reference} has {reference_count}, {candidate} has {candidate_count}")]
    NothingInCommon {
        /// The reference's model.
        reference: String,
        /// Its tensors.
        reference_count: usize,
        /// The candidate's model.
        candidate: String,
        /// Its tensors.
        candidate_count: usize,
    },
}

/// Compares two runs of the same weights.
///
/// # Errors
/// When the fingerprints differ or there is no tensor in common.
pub fn compare(reference: &Run, candidate: &Run) -> Result<Comparison, CompareError> {
    if reference.model.fingerprint != candidate.model.fingerprint {
        return Err(CompareError::Weights {
            reference: reference.model.source.clone(),
            reference_fingerprint: reference.model.fingerprint.clone(),
            candidate: candidate.model.source.clone(),
            candidate_fingerprint: candidate.model.fingerprint.clone(),
        });
    }
    let accuracy = stated_accuracy(reference).max(stated_accuracy(candidate));
    let found: HashMap<&str, _> = candidate.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let (mut tensors, mut pairs, mut only_in_reference) = (Vec::new(), Vec::new(), Vec::new());
    // Tied tensors repeat another's numbers, and those that describe quantized weights have none.
    let is_compared = |tensor: &&Tensor| !matches!(tensor.role, Role::Tied | Role::Quantization);
    for tensor in reference.tensors.iter().filter(is_compared) {
        match found.get(tensor.name.as_str()) {
            Some(other) => {
                let differences = difference::between(tensor, other, accuracy);
                tensors.push(TensorDifference { name: tensor.name.clone(), differences });
                pairs.push((tensor, *other));
            }
            None => only_in_reference.push(tensor.name.clone()),
        }
    }
    if pairs.is_empty() {
        return Err(CompareError::NothingInCommon {
            reference: reference.model.source.clone(),
            reference_count: reference.tensors.len(),
            candidate: candidate.model.source.clone(),
            candidate_count: candidate.tensors.len(),
        });
    }
    let differs = tensors.iter().any(|tensor| tensor.units() > 1.0);
    let diagnosis = differs.then(|| diagnosis::diagnose(&pairs, accuracy));
    // Stable: tensors that are equally far apart stay in the checkpoint's order.
    tensors.sort_by(|a, b| b.units().total_cmp(&a.units()));
    let known: std::collections::HashSet<&str> = reference.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let unknown = |name: &&str| !known.contains(name);
    let only_in_candidate =
        candidate.tensors.iter().map(|tensor| tensor.name.as_str()).filter(unknown).map(str::to_owned).collect();
    Ok(Comparison {
        reference: side(reference),
        candidate: side(candidate),
        accuracy,
        tensors,
        only_in_reference,
        only_in_candidate,
        diagnosis,
        flips: Flips::between(reference, candidate),
    })
}

impl Comparison {
    /// Whether any statistic differs beyond `tolerance` (relative), or beyond the stated accuracy where none is given.
    pub fn is_beyond(&self, tolerance: Option<f64>) -> bool {
        let beyond = |difference: &Difference| match tolerance {
            Some(tolerance) => difference.relative.is_none_or(|relative| relative > tolerance),
            None => difference.units() > 1.0,
        };
        !self.only_in_reference.is_empty()
            || !self.only_in_candidate.is_empty()
            || self.tensors.iter().flat_map(|tensor| &tensor.differences).any(beyond)
    }
}

/// The least accurate of the devices that took part.
fn stated_accuracy(run: &Run) -> f64 {
    let devices = run.devices.iter().map(|share| &share.device).chain([&run.device]);
    devices.map(|device| device.self_test.tolerance.unwrap_or(UNSTATED_ACCURACY)).fold(0.0, f64::max)
}

fn side(run: &Run) -> Side {
    Side {
        model: run.model.source.clone(),
        device: run.device.clone(),
        seconds: run.seconds,
        bytes: run.bytes,
        resent: run.devices.iter().map(|share| share.resent).sum(),
        damaged: run.devices.iter().map(|share| share.damaged).sum(),
    }
}

#[cfg(test)]
mod tests;
