//! The plan for a target: which matrices pass, which are at risk and which are kept in more bits, with the signal to noise
//! and the size to expect.
//!
//! The outcome of a choice is in [`outcome`](super::outcome).

use serde::Serialize;
use thiserror::Error;

use super::error_estimate::{self, Basis, ErrorEstimate};
use super::outcome::{Outcome, Rest, bytes_before, outcome};
use super::precision::Precision;
use super::remedy::{Remedy, remedy};
use super::target::{Target, Thresholds};
use super::weights::{Matrix, Sorted, elements, energy, sort, stored_bits};
use crate::record::Run;
use crate::scheme_key::SchemeKey;
use kurtoscope_checkpoint::model::Component;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PlanError {
    /// The run lacks what the target rests on.
    #[error("the run of {model} (kurtoscope {version}) lacks what {target} rests on: {}", listed(schemes))]
    NotMeasured {
        /// The model's source.
        model: String,
        /// The version that wrote the run.
        version: String,
        /// The target.
        target: String,
        /// Schemes whose errors no matrix has.
        schemes: Vec<SchemeKey>,
    },
    /// The run is of an adapter.
    #[error(
        "{model} is an adapter: it changes the weights of {base} and has none of its own; merge it into the model and plan that"
    )]
    Adapter {
        /// The adapter's source.
        model: String,
        /// The model that it changes, as far as it says.
        base: String,
    },
    /// There is nothing to quantize.
    #[error("the run of {model} has no matrix that {target} would quantize; it has {tensors} tensors")]
    NothingToQuantize {
        /// The model's source.
        model: String,
        /// The target.
        target: String,
        /// Tensors in the run.
        tensors: usize,
    },
    /// The budget cannot be met, or is more than 16 bits.
    #[error(
        "an average of {bits} bits is out of range: with the precisions of {target} this model takes from {least:.2} to 16 bits per \
         quantized weight on average"
    )]
    Budget {
        /// What was asked for.
        bits: f64,
        /// The target.
        target: String,
        /// The average with the cheapest precision throughout.
        least: f64,
    },
}

/// What becomes of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetVerdict {
    /// It is kept in more bits than the target's.
    Keep,
    /// It is quantized, with more noise than is comfortable.
    AtRisk,
    /// It is quantized.
    Pass,
    /// The run does not say; it is kept in more bits, 16 where that is all that is sure.
    Unknown,
}

impl TargetVerdict {
    /// Every verdict, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Keep, Self::AtRisk, Self::Pass, Self::Unknown];

    /// In reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep higher",
            Self::AtRisk => "at risk",
            Self::Pass => "pass",
            Self::Unknown => "not measured",
        }
    }
}

/// One matrix in a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedMatrix {
    /// The checkpoint's name for it.
    pub name: String,
    /// Its place in the network.
    pub component: Component,
    /// Its layer; null outside the layers.
    pub layer: Option<u32>,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Elements.
    pub elements: u64,
    /// `Σx²`.
    pub energy: f64,
    /// What becomes of it.
    pub verdict: TargetVerdict,
    /// What the target stores it as by default.
    pub target: Precision,
    /// The error of that; null where it does not follow from the run.
    pub at_target: Option<ErrorEstimate>,
    /// What it is stored as.
    pub precision: Precision,
    /// The error of that.
    pub noise: ErrorEstimate,
    /// Bits an element takes, scales included.
    pub bits_per_weight: f64,
    /// What helps it at the target's bits; null where it passes.
    pub remedy: Option<Remedy>,
}

/// The plan for one target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeploymentPlan {
    /// The target's name.
    pub target: &'static str,
    /// What the target stores matrices as.
    pub precision: Precision,
    /// From here on a matrix passes, in dB.
    pub pass_db: f64,
    /// From here on it is at risk.
    pub risk_db: f64,
    /// Why these thresholds.
    pub reason: &'static str,
    /// Every matrix that the target's tools would quantize, in the checkpoint's order.
    pub entries: Vec<PlannedMatrix>,
    /// Everything as planned.
    pub planned: Outcome,
    /// Every matrix at the target's precision, whatever its verdict.
    pub uniform: Outcome,
    /// Elements of the tensors that are not quantized: vectors, positions, and embeddings where the tools leave them.
    pub others: u64,
    /// Bytes of the model as it is stored.
    pub bytes_before: f64,
    /// What a reader must know: matrices stored `[in, out]`, weights that are quantized already.
    pub remarks: Vec<String>,
}

impl DeploymentPlan {
    /// Plans `run` for `target`.
    ///
    /// # Errors
    /// Where the run has nothing to quantize, or no matrix has the figures that the target rests on.
    pub fn of(run: &Run, target: &'static Target) -> Result<Self, PlanError> {
        let sorted = sorted(run, target)?;
        let judged: Vec<_> = sorted.matrices.iter().map(|matrix| judge(matrix, target)).collect();
        if let Some(keys) = all_missing(&judged) {
            return Err(not_measured(run, target, keys));
        }
        let entries: Vec<PlannedMatrix> = judged.into_iter().map(|(entry, _)| entry).collect();
        let thresholds = target.thresholds();
        let rest = Rest::of(&sorted.others);
        let uniform: Vec<(Precision, ErrorEstimate)> =
            entries.iter().map(|entry| (entry.target, entry.at_target.unwrap_or(ErrorEstimate::NONE))).collect();
        Ok(Self {
            target: target.name,
            precision: target.precision,
            pass_db: thresholds.pass,
            risk_db: thresholds.risk,
            reason: thresholds.reason,
            planned: outcome(&sorted.matrices, entries.iter().map(|entry| (entry.precision, entry.noise)), rest),
            uniform: outcome(&sorted.matrices, uniform.into_iter(), rest),
            others: sorted.others.iter().map(|tensor| elements(tensor)).sum(),
            bytes_before: bytes_before(run, &sorted),
            remarks: remarks(&sorted.matrices).into_iter().chain(undivided(target, &entries)).collect(),
            entries,
        })
    }

    /// The plans for every target, and why there is none for the others.
    pub fn all(run: &Run) -> (Vec<Self>, Vec<(&'static str, PlanError)>) {
        let (mut plans, mut without) = (Vec::new(), Vec::new());
        for target in &super::target::ALL {
            match Self::of(run, target) {
                Ok(plan) => plans.push(plan),
                Err(error) => without.push((target.name, error)),
            }
        }
        (plans, without)
    }

    /// How many matrices have this verdict.
    pub fn count(&self, verdict: TargetVerdict) -> usize {
        self.entries.iter().filter(|entry| entry.verdict == verdict).count()
    }

    /// The matrices that do not simply pass, the noisiest at the target's precision first.
    pub fn not_passing(&self) -> Vec<&PlannedMatrix> {
        let mut entries: Vec<&PlannedMatrix> =
            self.entries.iter().filter(|entry| entry.verdict != TargetVerdict::Pass).collect();
        let noise = |entry: &PlannedMatrix| entry.at_target.map_or(f64::INFINITY, |noise| noise.relative_mse);
        entries.sort_by(|a, b| noise(b).total_cmp(&noise(a)));
        entries
    }
}

/// A run's tensors, sorted; there is at least one matrix.
pub(super) fn sorted<'r>(run: &'r Run, target: &Target) -> Result<Sorted<'r>, PlanError> {
    let model = || run.model.source.clone();
    if run.is_adapter() {
        let base = run.adapted_model().unwrap_or("another model").to_owned();
        return Err(PlanError::Adapter { model: model(), base });
    }
    let sorted = sort(run, target.quantizes);
    if sorted.matrices.is_empty() {
        let (target, tensors) = (target.name.into(), run.tensors.len());
        return Err(PlanError::NothingToQuantize { model: model(), target, tensors });
    }
    Ok(sorted)
}

/// The keys of schemes, in a list.
fn listed(schemes: &[SchemeKey]) -> String {
    let keys: Vec<&str> = schemes.iter().map(|scheme| scheme.key()).collect();
    keys.join(", ")
}

pub(super) fn not_measured(run: &Run, target: &Target, mut schemes: Vec<SchemeKey>) -> PlanError {
    schemes.sort_by_key(|scheme| scheme.key());
    schemes.dedup();
    PlanError::NotMeasured {
        model: run.model.source.clone(),
        version: run.tool.version.clone(),
        target: target.name.into(),
        schemes,
    }
}

/// The schemes that are missing, where they are missing of every matrix.
fn all_missing(judged: &[(PlannedMatrix, Vec<SchemeKey>)]) -> Option<Vec<SchemeKey>> {
    judged
        .iter()
        .all(|(_, missing)| !missing.is_empty())
        .then(|| judged.iter().flat_map(|(_, missing)| missing.clone()).collect())
}

/// A matrix's entry, and the schemes that its verdict would have needed.
fn judge(matrix: &Matrix<'_>, target: &Target) -> (PlannedMatrix, Vec<SchemeKey>) {
    let asked = target.precision.fitted(matrix.inputs);
    let at_target = error_estimate::of(matrix, asked);
    let (verdict, precision, found) = match &at_target {
        Err(_) => (TargetVerdict::Unknown, Precision::Unquantized, ErrorEstimate::NONE),
        // A tool that cannot cut rows of this length into blocks leaves the matrix alone.
        Ok(found) if !asked.is_quantized() => (TargetVerdict::Keep, asked, *found),
        Ok(found) => match level(target.thresholds(), *found) {
            // Not enough is known to pass; it may be much better than its bound.
            TargetVerdict::Keep | TargetVerdict::AtRisk if found.basis == Basis::AtMost => {
                let (precision, noise) = higher(matrix, target, asked);
                (TargetVerdict::Unknown, precision, noise)
            }
            TargetVerdict::Keep => {
                let (precision, noise) = higher(matrix, target, asked);
                (TargetVerdict::Keep, precision, noise)
            }
            verdict => (verdict, asked, *found),
        },
    };
    let tensor = matrix.tensor;
    let entry = PlannedMatrix {
        name: tensor.name.clone(),
        component: tensor.component,
        layer: tensor.layer,
        shape: tensor.shape.clone(),
        elements: elements(tensor),
        energy: energy(tensor),
        verdict,
        target: asked,
        at_target: at_target.as_ref().ok().copied(),
        precision,
        noise: found,
        bits_per_weight: precision.bits_per_weight(matrix.inputs),
        remedy: (verdict != TargetVerdict::Pass).then(|| remedy(matrix, target.precision.nominal_bits())),
    };
    (entry, at_target.err().unwrap_or_default())
}

/// The verdict on so much noise. What a target requires is required of the precisions above it as well.
pub fn level(thresholds: Thresholds, noise: ErrorEstimate) -> TargetVerdict {
    match noise.decibels() {
        Some(decibels) if decibels < thresholds.risk => TargetVerdict::Keep,
        Some(decibels) if decibels < thresholds.pass => TargetVerdict::AtRisk,
        _ => TargetVerdict::Pass,
    }
}

/// The first of the target's higher precisions in which the matrix passes, otherwise 16 bits.
fn higher(matrix: &Matrix<'_>, target: &Target, asked: Precision) -> (Precision, ErrorEstimate) {
    target
        .higher
        .iter()
        .map(|precision| precision.fitted(matrix.inputs))
        .filter(|precision| *precision != asked)
        .find_map(|precision| {
            let noise = error_estimate::of(matrix, precision).ok()?;
            (level(target.thresholds(), noise) == TargetVerdict::Pass).then_some((precision, noise))
        })
        .unwrap_or((Precision::Unquantized, ErrorEstimate::NONE))
}

/// What a reader must know before any figure.
pub(super) fn remarks(matrices: &[Matrix<'_>]) -> Vec<String> {
    let mut remarks = Vec::new();
    let transposed = matrices.iter().filter(|matrix| matrix.is_transposed).count();
    if transposed > 0 {
        remarks.push(format!(
            "{transposed} matrices are stored [in, out], so their rows are input channels and were measured along these. \
             Figures per output channel are those of one scale for the tensor, which is the least that they can be; figures \
             of groups and blocks were measured along the other axis than the tools'. A GGUF file of the model is stored \
             [out, in]: measure that for exact ones."
        ));
    }
    if matrices.iter().any(|matrix| stored_bits(matrix.tensor).is_none_or(|bits| bits < 16.0)) {
        remarks.push(
            "Matrices here are stored in fewer than 16 bits already. The plan is about quantizing the values that they stand \
             for once more; start from the original weights where there are any."
                .to_owned(),
        );
    }
    remarks
}

/// How many matrices the target's blocks do not fit, and what becomes of them.
fn undivided(target: &Target, entries: &[PlannedMatrix]) -> Option<String> {
    let mut instead: Vec<Precision> =
        entries.iter().map(|entry| entry.target).filter(|precision| *precision != target.precision).collect();
    let count = instead.len();
    instead.sort();
    instead.dedup();
    let instead: Vec<String> = instead.iter().map(Precision::to_string).collect();
    (count > 0).then(|| {
        format!(
            "{}: {count} of {} matrices have channels that do not divide into blocks of {}, and are stored in {} instead.",
            target.name,
            entries.len(),
            target.precision.block(),
            instead.join(" or ")
        )
    })
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
