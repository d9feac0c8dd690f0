//! `plan.json`: plans for programs.
//!
//! ```json
//! {
//!   "schema": 1,
//!   "tool": { "name": "kurtoscope", "version": "…" },
//!   "model": { "source": "…", "fingerprint": "…", "synthetic": false },
//!   "plans": [ … ],
//!   "budget": { … }
//! }
//! ```
//!
//! An element of `plans` is a [`DeploymentPlan`], one for each target; `budget` is an [`Allocated`], or null where no budget was given.
//! Their fields are documented there and carry the same names. Sizes are in bytes, `…_db` in decibels, precisions are the
//! names that reports use: `int4-g128`, `q4_k`, `16-bit`. Fields may be added within a schema, never removed or redefined.

use serde::Serialize;

use crate::deployment::{Allocated, DeploymentPlan};
use crate::record::{Run, Tool};

/// The schema that this version writes.
pub const SCHEMA: u32 = 1;

/// The name of the file.
pub const FILE: &str = "plan.json";

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    tool: Tool,
    model: Model<'a>,
    plans: &'a [DeploymentPlan],
    budget: Option<&'a Allocated>,
}

#[derive(Serialize)]
struct Model<'a> {
    source: &'a str,
    fingerprint: &'a str,
    synthetic: bool,
}

/// The document, with a line break at its end.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn render(run: &Run, plans: &[DeploymentPlan], budget: Option<&Allocated>) -> Result<String, serde_json::Error> {
    let document = Document {
        schema: SCHEMA,
        tool: Tool { name: "kurtoscope".into(), version: env!("CARGO_PKG_VERSION").into() },
        model: Model { source: &run.model.source, fingerprint: &run.model.fingerprint, synthetic: run.model.synthetic },
        plans,
        budget,
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}
