//! What the measurements mean for a quantized deployment: which tensors survive a precision, what helps those that do
//! not, and where bits are spent best.
//!
//! | module | holds |
//! |---|---|
//! | `precision` | the forms in which weights can be stored: bits, blocks |
//! | `error_estimate` | the error that a precision makes in a tensor, and what that figure rests on |
//! | [`target`] | what a user deploys to, with the thresholds of its verdicts |
//! | [`weights`] | which tensors of a run are quantized, and along which axis |
//! | `remedy` | where a tensor's outliers are and what reduces their effect |
//! | `outcome` | the outcome of a choice of precisions: signal to noise, bytes |
//! | `plan` | the verdicts for a target |
//! | `budget` | the best choice among options that cost bits |
//! | `allocation` | a plan for an average number of bits, beside the uniform plan and the kurtosis rule |
//! | [`export`] | plans in the formats of other tools |
//!
//! Nothing is measured here, and nothing but weights is looked at: what activations do to a quantized model is not known to
//! these modules.

pub(crate) mod allocation;
mod budget;
mod error_estimate;
pub mod export;
mod outcome;
mod plan;
mod precision;
pub(crate) mod remedy;
pub mod target;
#[cfg(test)]
pub(crate) mod testing;
pub mod weights;

pub use allocation::{Allocated, Assigned, KurtosisRule, Uniform};
pub use error_estimate::{Basis, ErrorEstimate};
pub use outcome::Outcome;
pub use plan::{DeploymentPlan, PlanError, PlannedMatrix, TargetVerdict};
pub use precision::{GroupSize, Precision, Scale};
pub use remedy::{Quantity, Remedy, Treatment};
pub use target::Target;
