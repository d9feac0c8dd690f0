//! `kurtoscope plan`: what a model's measurements mean for a quantized deployment.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    arguments::{MeasuringArguments, Outcome, device_url},
    model::ModelArgument,
    output,
    progress::Shown,
};
use kurtoscope_host::{
    analysis::{self, RunOptions},
    deployment::{
        Allocated, DeploymentPlan, Target,
        export::{self, Assignment, Tool},
        target::ALL,
    },
    files,
    link::DeviceUrl,
    record::Run,
    report::{
        PLAN_FILE, deployment,
        hypotheses::{block::Block, markdown, terminal},
    },
    run_file::{self, RUN_FILE},
};

/// What to plan, for what, and in whose words.
#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// A finished run (run.json, or the folder that holds it), or a model, which is measured first
    #[arg(value_name = "RUN or MODEL")]
    subject: PathBuf,

    /// What to deploy to; without it and without --bits, all targets are shown side by side
    ///
    /// int8-per-tensor, int8-per-channel, int8-g32, int4-per-channel, int4-g128, int4-g64, int4-g32 (whole numbers with a
    /// scale per tensor, output channel or group), q8_0, q4_0, q4_k (GGUF), nf4, mxfp4.
    #[arg(long, value_name = "TARGET", value_parser = target)]
    target: Option<&'static Target>,

    /// Spend this many bits per quantized weight on average, scales included, where they save most noise; the precisions are
    /// those of the target's tools (int4-g32 without --target, or q4_k with --export llama.cpp)
    #[arg(long, value_name = "BITS", value_parser = number)]
    bits: Option<f64>,

    /// Write the plan in the format of a tool: llama.cpp, onnxruntime, torchao, executorch, or json; repeat for several.
    /// Without --out one of them is printed instead of the report
    #[arg(long = "export", value_name = "TOOL", value_parser = exported)]
    exports: Vec<Exported>,

    /// Write plan.md, plan.json and what --export names into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Where a model is measured; repeat to share the work between devices
    #[arg(long = "device", value_name = "URL", value_parser = device_url, default_value = "local")]
    devices: Vec<DeviceUrl>,

    #[command(flatten)]
    measuring: MeasuringArguments,
}

/// What a plan can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exported {
    Tool(Tool),
    Json,
}

/// Why arguments do not fit together.
#[derive(Debug, thiserror::Error)]
enum ArgumentsError {
    #[error("--export {tool} writes one plan; say which with --target or --bits")]
    NoPlan { tool: &'static str },
    #[error("{count} exports do not fit on standard output; write them into a folder with --out DIR")]
    ManyExports { count: usize },
}

type Failure = Box<dyn Error + Send + Sync>;

pub(super) fn run(arguments: &PlanArguments) -> Outcome {
    // What can be wrong with the arguments is looked at before anything is measured.
    check(arguments)?;
    if let Some(out) = &arguments.out {
        files::create_directory(out)?;
    }
    let run = read_or_measure(arguments)?;
    let planned = Planned::of(&run, arguments)?;
    let exports = planned.exports(&run, &arguments.exports)?;
    if let Some(out) = &arguments.out {
        let mut files = exports.clone();
        files.push((PLAN_FILE, markdown::render(&planned.blocks(&run, usize::MAX))));
        files.retain(|(name, _)| *name != export::json::FILE);
        files.push((export::json::FILE, planned.json(&run)?));
        files::write_all(out, &files)?;
    }
    let text = match (exports.as_slice(), &arguments.out) {
        ([(_, text)], None) => text.clone(),
        _ => match arguments.measuring.format {
            output::Format::Table => terminal::render(&planned.blocks(&run, deployment::SHOWN), "", &output::style()),
            output::Format::Markdown => markdown::render(&planned.blocks(&run, usize::MAX)),
            output::Format::Json => planned.json(&run)?,
        },
    };
    Ok(output::print(&text)?)
}

fn check(arguments: &PlanArguments) -> Result<(), ArgumentsError> {
    let tools = arguments.exports.iter().filter_map(|export| match export {
        Exported::Tool(tool) => Some(tool),
        Exported::Json => None,
    });
    if let (Some(tool), None, None) = (tools.clone().next(), arguments.target, arguments.bits) {
        return Err(ArgumentsError::NoPlan { tool: tool.name() });
    }
    match arguments.exports.len() {
        count @ 2.. if arguments.out.is_none() => Err(ArgumentsError::ManyExports { count }),
        _ => Ok(()),
    }
}

/// The run that was named, or that of the model that was named.
fn read_or_measure(arguments: &PlanArguments) -> Result<Run, Failure> {
    let subject = arguments.subject.as_path();
    if let Some(file) = run_file(subject) {
        return Ok(run_file::read(&file)?);
    }
    let quiet = arguments.measuring.quiet;
    let checkpoint = ModelArgument::from_typed(subject.as_os_str())?.open(quiet)?;
    let mut devices = arguments.measuring.open(&arguments.devices)?;
    let mut options = RunOptions {
        statistics: arguments.measuring.statistics.into(),
        chunk_bytes: arguments.measuring.chunk_bytes,
        ..RunOptions::default()
    };
    Ok(analysis::analyze_with(&checkpoint, &mut devices, &mut options, &mut Shown::new(quiet))?)
}

/// The file of a finished run, where the subject is one.
fn run_file(subject: &Path) -> Option<PathBuf> {
    let inside = subject.join(RUN_FILE);
    if inside.is_file() {
        return Some(inside);
    }
    let is_json = subject.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
    let is_index = subject.to_str().is_some_and(|name| name.ends_with(".index.json"));
    (is_json && !is_index).then(|| subject.to_owned())
}

/// What was planned.
enum Planned {
    Targets { plans: Vec<DeploymentPlan>, without: Vec<(&'static str, kurtoscope_host::deployment::PlanError)> },
    Target { target: &'static Target, plan: DeploymentPlan },
    Budget { target: &'static Target, plan: Allocated },
}

impl Planned {
    fn of(run: &Run, arguments: &PlanArguments) -> Result<Self, Failure> {
        match (arguments.bits, arguments.target) {
            (Some(bits), named) => {
                let target = named.unwrap_or_else(|| default_target(&arguments.exports));
                Ok(Self::Budget { target, plan: Allocated::of(run, target, bits)? })
            }
            (None, Some(target)) => Ok(Self::Target { target, plan: DeploymentPlan::of(run, target)? }),
            (None, None) => {
                let (plans, without) = DeploymentPlan::all(run);
                match without.into_iter().partition::<Vec<_>, _>(|_| plans.is_empty()) {
                    (failed, without) if failed.is_empty() => Ok(Self::Targets { plans, without }),
                    (failed, _) => {
                        Err(failed.into_iter().next().map_or_else(|| "no targets".into(), |(_, error)| error.into()))
                    }
                }
            }
        }
    }

    fn blocks(&self, run: &Run, limit: usize) -> Vec<Block> {
        match self {
            Self::Targets { plans, without } => deployment::overview(run, plans, without),
            Self::Target { plan, .. } => deployment::plan(run, plan, limit),
            Self::Budget { plan, .. } => deployment::budget(run, plan, limit),
        }
    }

    fn json(&self, run: &Run) -> Result<String, serde_json::Error> {
        match self {
            Self::Targets { plans, .. } => export::json::render(run, plans, None),
            Self::Target { plan, .. } => export::json::render(run, std::slice::from_ref(plan), None),
            Self::Budget { plan, .. } => export::json::render(run, &[], Some(plan)),
        }
    }

    /// The files of the exports: name and content.
    fn exports(&self, run: &Run, exports: &[Exported]) -> Result<Vec<(&'static str, String)>, Failure> {
        let assignment = match self {
            Self::Targets { .. } => None,
            Self::Target { target, plan } => Some(Assignment::of_plan(run, target, plan)),
            Self::Budget { target, plan } => Some(Assignment::of_budget(run, target, plan)),
        };
        let mut files = Vec::new();
        for export in exports {
            match (export, &assignment) {
                (Exported::Tool(tool), Some(assignment)) => {
                    files.push((tool.file(), export::render(*tool, assignment)?));
                }
                (Exported::Tool(tool), None) => return Err(ArgumentsError::NoPlan { tool: tool.name() }.into()),
                (Exported::Json, _) => files.push((export::json::FILE, self.json(run)?)),
            }
        }
        Ok(files)
    }
}

/// The target whose precisions a budget chooses from where none was named: one that the tools can carry out.
fn default_target(exports: &[Exported]) -> &'static Target {
    let wanted = if exports.contains(&Exported::Tool(Tool::LlamaCpp)) { "q4_k" } else { "int4-g32" };
    Target::named(wanted).unwrap_or(&ALL[0])
}

fn target(name: &str) -> Result<&'static Target, String> {
    Target::named(name).ok_or_else(|| {
        let known: Vec<&str> = ALL.iter().map(|target| target.name).collect();
        format!("no such target; there are {}", known.join(", "))
    })
}

fn number(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|bits| bits.is_finite())
        .ok_or_else(|| "an average number of bits is needed, such as 4.5".to_owned())
}

fn exported(name: &str) -> Result<Exported, String> {
    if name == "json" {
        return Ok(Exported::Json);
    }
    Tool::ALL.into_iter().find(|tool| tool.name() == name).map(Exported::Tool).ok_or_else(|| {
        let known: Vec<&str> = Tool::ALL.into_iter().map(Tool::name).collect();
        format!("no such tool; there are {}, json", known.join(", "))
    })
}
