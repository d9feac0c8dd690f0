//! Tensors that are listed without a measurement.

use serde::{Deserialize, Serialize};

/// A tensor that was listed but not measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmeasured {
    /// The checkpoint's name for it.
    pub name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// The type as the checkpoint names it.
    pub dtype: String,
    /// Why, in one sentence.
    pub reason: String,
}
