//! `kurtoscope analyze`: measures models on devices and writes the reports.

use std::path::PathBuf;

use clap::Args;

use super::{
    arguments::{MeasuringArguments, Outcome, device_help, device_url},
    hypotheses, interrupt,
    model::ModelArgument,
    output,
    progress::Shown,
};
use kurtoscope_checkpoint::FORMATS;
use kurtoscope_host::{
    analysis::{self, Journal, Resume, RunOptions},
    files,
    link::DeviceUrl,
    report,
};

/// What a model is, with the formats that are read.
fn model_help() -> String {
    format!("A file of weights ({FORMATS}), a model's folder, or hf:ORGANISATION/NAME for one on the Hugging Face hub")
}

/// What `--help` says besides.
const HUB_HELP: &str = "\
hf:ORGANISATION/NAME[/FILE][@REVISION] is downloaded into the cache that other tools share and looked for there first. \
FILE chooses one of several, REVISION is a branch, a tag or a commit. HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT and \
HF_HUB_OFFLINE are honoured.";

/// What to measure, where, and what to do with the result.
#[derive(Debug, Args)]
pub(super) struct AnalyzeArguments {
    #[arg(
        required = true,
        value_name = "MODEL",
        value_parser = ModelArgument::parser(),
        help = model_help(),
        long_help = format!("{}\n\n{HUB_HELP}", model_help())
    )]
    models: Vec<ModelArgument>,

    /// Where to measure; repeat to share the work between devices
    #[arg(long = "device", value_name = "URL", value_parser = device_url, default_value = "local", long_help = device_help())]
    devices: Vec<DeviceUrl>,

    /// Write run.json, report.md and tensors.csv into this folder; for several models into a folder each, with
    /// hypotheses.json, report.md and report.html over all of them beside these
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Continue the run that was cut off in the folder of --out, or fail; without this it is continued where it can be
    #[arg(long, requires = "out", conflicts_with = "fresh")]
    resume: bool,

    /// Start over, whatever an earlier run left in the folder of --out
    #[arg(long, requires = "out")]
    fresh: bool,

    #[command(flatten)]
    sources: hypotheses::Sources,

    #[command(flatten)]
    measuring: MeasuringArguments,
}

pub(super) fn run(arguments: &AnalyzeArguments) -> Outcome {
    // What can be wrong is looked at before anything is measured: the user's files, the models, the folders, the devices.
    let added = arguments.sources.read()?;
    let models =
        arguments.models.iter().map(|model| model.open(arguments.measuring.quiet)).collect::<Result<Vec<_>, _>>()?;
    let sources: Vec<&str> = models.iter().map(|model| model.source.as_str()).collect();
    let folders = arguments.out.as_ref().map(|out| output::folders(out, &sources));
    if let Some(out) = arguments.out.as_ref().filter(|_| models.len() > 1) {
        hypotheses::prepare(out)?;
    }
    for folder in folders.iter().flatten() {
        files::create_directory(folder)?;
    }
    let mut journals = open_journals(arguments, folders.as_deref().unwrap_or_default())?;
    let mut devices = arguments.measuring.open(&arguments.devices)?;
    let stop = interrupt::watch();
    let mut runs = Vec::new();
    for (number, model) in models.iter().enumerate() {
        let mut options = RunOptions {
            statistics: arguments.measuring.statistics.into(),
            chunk_bytes: arguments.measuring.chunk_bytes,
            journal: journals.get_mut(number),
            stop: Some(stop),
        };
        let run =
            analysis::analyze_with(model, &mut devices, &mut options, &mut Shown::new(arguments.measuring.quiet))?;
        if let Some(folder) = folders.as_ref().and_then(|folders| folders.get(number)) {
            report::write_all(folder, &run)?;
        }
        runs.push(run);
    }
    let format = arguments.measuring.format;
    // One model is no evidence about differences between models, and its folder has a report.md of its own.
    let conclusion = match runs.len() {
        0 | 1 => None,
        _ => hypotheses::conclude(&runs, &added, arguments.out.as_deref(), format)?,
    };
    // Only now, so that a command that is cut off at one model measures none of those before it again.
    journals.into_iter().for_each(Journal::remove);
    let mut text = output::render(&runs, format)?;
    if let Some(conclusion) = conclusion {
        text = text + "\n" + &conclusion;
    }
    Ok(output::print(&text)?)
}

/// A journal for each model's folder.
fn open_journals(
    arguments: &AnalyzeArguments,
    folders: &[PathBuf],
) -> Result<Vec<Journal>, Box<dyn std::error::Error + Send + Sync>> {
    let resume = match (arguments.resume, arguments.fresh) {
        (true, _) => Resume::Required,
        (_, true) => Resume::Fresh,
        (false, false) => Resume::Automatic,
    };
    let mut journals = folders.iter().map(|folder| Journal::open(folder, resume)).collect::<Result<Vec<_>, _>>()?;
    // Of several models, some were not begun when the run was cut off: one that was is enough.
    if journals.iter().any(Journal::is_left_over) {
        for journal in journals.iter_mut().filter(|journal| !journal.is_left_over()) {
            journal.start_afresh();
        }
    }
    Ok(journals)
}
