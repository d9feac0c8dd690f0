//! Plans in the formats of the tools that carry them out: a file for each, to run or to paste from.
//!
//! | module | writes |
//! |---|---|
//! | [`llama_cpp`] | the command line of `llama-quantize` |
//! | [`onnxruntime`] | `nodes_to_exclude`, in Python |
//! | [`torchao`] | filters for `quantize_`, in Python, also for ExecuTorch |
//! | [`json`] | the plan itself |
//!
//! Every fragment lists what the tool's format cannot express. Names come from checkpoints and are quoted as the
//! language requires.

pub mod gguf_names;
pub mod json;
pub mod llama_cpp;
pub mod onnxruntime;
mod python;
pub mod torchao;

use thiserror::Error;

use super::allocation::Allocated;
use super::plan::{DeploymentPlan, TargetVerdict};
use super::precision::Precision;
use super::target::{ALL, Target};
use crate::record::Run;
use kurtoscope_checkpoint::model::Component;

/// The tools that a plan can be exported for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `llama-quantize`.
    LlamaCpp,
    /// ONNX Runtime's quantizers.
    OnnxRuntime,
    /// torchao's `quantize_`.
    Torchao,
    /// ExecuTorch, through torchao's `quantize_`.
    Executorch,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 4] = [Self::LlamaCpp, Self::OnnxRuntime, Self::Torchao, Self::Executorch];

    /// As the command line has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LlamaCpp => "llama.cpp",
            Self::OnnxRuntime => "onnxruntime",
            Self::Torchao => "torchao",
            Self::Executorch => "executorch",
        }
    }

    /// The name of its file.
    pub const fn file(self) -> &'static str {
        match self {
            Self::LlamaCpp => "plan.llama-cpp.sh",
            Self::OnnxRuntime => "plan_onnxruntime.py",
            Self::Torchao => "plan_torchao.py",
            Self::Executorch => "plan_executorch.py",
        }
    }

    /// Whether it can carry out plans for this target.
    pub fn takes(self, target: &Target) -> bool {
        match self {
            Self::LlamaCpp => llama_cpp::type_name(target.precision).is_some(),
            Self::OnnxRuntime => matches!(target.precision, Precision::Integer { .. }),
            Self::Torchao | Self::Executorch => torchao::configuration(self, target.precision).is_some(),
        }
    }
}

/// Why a plan cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExportError {
    /// The tool does not know the target.
    #[error("{tool} has nothing like {target}; it has {}", targets.join(", "))]
    Target {
        /// The tool.
        tool: &'static str,
        /// The target.
        target: &'static str,
        /// Targets that it can carry out.
        targets: Vec<&'static str>,
    },
    /// No tensor's name can be put into the tool's words.
    #[error("no tensor of this model can be named in {tool}: {reason}")]
    Names {
        /// The tool.
        tool: &'static str,
        /// Why.
        reason: String,
    },
}

/// What every matrix is stored as, whatever decided it.
#[derive(Debug, Clone)]
pub struct Assignment<'a> {
    /// The measured model.
    pub run: &'a Run,
    /// The target.
    pub target: &'static Target,
    /// What the tool does by default.
    pub common: Precision,
    /// In a line: what was planned and what to expect.
    pub heading: String,
    /// Every matrix.
    pub stored: Vec<Stored<'a>>,
}

/// One matrix.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// The checkpoint's name for it.
    pub name: &'a str,
    /// Its place in the network.
    pub component: Component,
    /// What it is stored as.
    pub precision: Precision,
}

impl<'a> Assignment<'a> {
    /// What a plan for a target says.
    pub fn of_plan(run: &'a Run, target: &'static Target, plan: &'a DeploymentPlan) -> Self {
        let entry = |entry: &'a super::plan::PlannedMatrix| Stored {
            name: &entry.name,
            component: entry.component,
            precision: entry.precision,
        };
        let kept = plan.count(TargetVerdict::Keep) + plan.count(TargetVerdict::Unknown);
        Self {
            run,
            target,
            common: target.precision,
            heading: format!(
                "{}: {kept} of {} matrices in more bits, {:.2} bits per quantized weight",
                target.name,
                plan.entries.len(),
                plan.planned.bits_per_weight
            ),
            stored: plan.entries.iter().map(entry).collect(),
        }
    }

    /// What a plan for a budget says.
    pub fn of_budget(run: &'a Run, target: &'static Target, plan: &'a Allocated) -> Self {
        let entry = |entry: &'a super::allocation::Assigned| Stored {
            name: &entry.name,
            component: entry.component,
            precision: entry.precision,
        };
        Self {
            run,
            target,
            common: plan.common,
            heading: format!(
                "a budget of {} bits per quantized weight, {:.2} spent on {} matrices",
                plan.budget,
                plan.outcome.bits_per_weight,
                plan.entries.len()
            ),
            stored: plan.entries.iter().map(entry).collect(),
        }
    }
}

/// The fragment for a tool.
///
/// # Errors
/// Where the tool does not know the target, or none of the tensors can be named.
pub fn render(tool: Tool, assignment: &Assignment<'_>) -> Result<String, ExportError> {
    if !tool.takes(assignment.target) {
        return Err(ExportError::Target {
            tool: tool.name(),
            target: assignment.target.name,
            targets: ALL.iter().filter(|target| tool.takes(target)).map(|target| target.name).collect(),
        });
    }
    match tool {
        Tool::LlamaCpp => llama_cpp::render(assignment),
        Tool::OnnxRuntime => Ok(onnxruntime::render(assignment)),
        Tool::Torchao | Tool::Executorch => Ok(torchao::render(tool, assignment)),
    }
}

/// The first lines of every fragment, as comments.
fn head(assignment: &Assignment<'_>) -> String {
    // A name from a checkpoint could end the comment.
    let model = crate::text::plain(&assignment.run.model.source);
    let warning =
        if assignment.run.model.synthetic { "# SYNTHETIC weights: nothing here is about a real model.\n" } else { "" };
    format!("# Made by kurtoscope {} for {model}\n# {}\n{warning}", env!("CARGO_PKG_VERSION"), assignment.heading)
}

#[cfg(test)]
mod tests;
