//! `kurtoscope compare`: does the device compute what the desktop computes?

use std::path::{Path, PathBuf};

use clap::Args;

use super::{MeasuringArguments, Outcome, device_url, model::ModelArgument, output, progress::Shown};
use kurtoscope_host::{
    analysis::{self, RunOptions},
    compare::{self, Comparison},
    files,
    link::DeviceUrl,
    record::Run,
    report::{self, comparison},
    run_file::{self, RUN_FILE},
};

/// What to compare: a model on two devices, or two runs that are already measured.
#[derive(Debug, Args)]
pub(super) struct CompareArguments {
    /// With --device, a model to measure on both; otherwise two runs: run.json, or the folders that hold it
    #[arg(required = true, num_args = 1..=2, value_name = "MODEL or RUN_A RUN_B")]
    subjects: Vec<PathBuf>,

    /// The device in question
    #[arg(long, value_name = "URL", value_parser = device_url)]
    device: Option<DeviceUrl>,

    /// The device that it is held against
    #[arg(long, value_name = "URL", value_parser = device_url, default_value = "local", requires = "device")]
    reference: DeviceUrl,

    /// Write both runs into this folder, as reference/ and device/
    #[arg(long, value_name = "DIR", requires = "device")]
    out: Option<PathBuf>,

    /// The relative difference that is accepted; without it, what the devices state as their accuracy, and counts and
    /// extremes exact
    #[arg(long, value_name = "RELATIVE", value_parser = relative)]
    tolerance: Option<f64>,

    #[command(flatten)]
    measuring: MeasuringArguments,
}

/// The runs differ by more than was accepted. The report on standard output says how.
#[derive(Debug, thiserror::Error)]
#[error("the runs differ beyond {limit}; exit code 3 says so to scripts")]
pub(super) struct BeyondTolerance {
    limit: String,
}

/// Why the subjects of a comparison do not fit the options.
#[derive(Debug, thiserror::Error)]
enum SubjectsError {
    #[error("one run is no comparison; name a second run, or a model with --device URL")]
    OneRun,
    #[error("--device measures one model; {found} were named. To compare two finished runs leave --device out")]
    TwoModels { found: usize },
}

pub(super) fn run(arguments: &CompareArguments) -> Outcome {
    let (reference, candidate) = match (&arguments.device, arguments.subjects.as_slice()) {
        (Some(device), [model]) => measure(arguments, model, device)?,
        (Some(_), models) => return Err(SubjectsError::TwoModels { found: models.len() }.into()),
        (None, [reference, candidate]) => (read(reference)?, read(candidate)?),
        (None, _) => return Err(SubjectsError::OneRun.into()),
    };
    let comparison = compare::compare(&reference, &candidate)?;
    let verdict = judge(&comparison, arguments.tolerance);
    output::print(&render(&comparison, arguments)?)?;
    Ok(verdict?)
}

/// Whether the runs are close enough.
fn judge(comparison: &Comparison, tolerance: Option<f64>) -> Result<(), BeyondTolerance> {
    if !comparison.is_beyond(tolerance) {
        return Ok(());
    }
    let limit = match tolerance {
        Some(tolerance) => format!("the tolerance of {tolerance:e}"),
        None => format!("the stated accuracy of {:.0e}", comparison.accuracy),
    };
    Err(BeyondTolerance { limit })
}

/// Measures the model on the reference, then on the device.
fn measure(
    arguments: &CompareArguments,
    model: &Path,
    device: &DeviceUrl,
) -> Result<(Run, Run), Box<dyn std::error::Error + Send + Sync>> {
    let quiet = arguments.measuring.quiet;
    let checkpoint = ModelArgument::from_typed(model.as_os_str())?.open(quiet)?;
    let folders = arguments.out.as_ref().map(|out| (out.join("reference"), out.join("device")));
    if let Some((reference, candidate)) = &folders {
        files::create_directory(reference)?;
        files::create_directory(candidate)?;
    }
    // Both have answered before either measures, so that a device that is not there costs no time.
    let mut devices = arguments.measuring.open(&[arguments.reference.clone(), device.clone()])?;
    let (reference, candidate) = devices.split_at_mut(1);
    let analyze = |devices: &mut [analysis::Device]| {
        let mut options = RunOptions {
            statistics: arguments.measuring.statistics.into(),
            chunk_bytes: arguments.measuring.chunk_bytes,
            ..RunOptions::default()
        };
        analysis::analyze_with(&checkpoint, devices, &mut options, &mut Shown::new(quiet))
    };
    let (reference, candidate) = (analyze(reference)?, analyze(candidate)?);
    if let Some((first, second)) = &folders {
        report::write_all(first, &reference)?;
        report::write_all(second, &candidate)?;
    }
    Ok((reference, candidate))
}

fn read(path: &Path) -> Result<Run, run_file::ReadError> {
    if path.is_dir() { run_file::read(&path.join(RUN_FILE)) } else { run_file::read(path) }
}

fn render(comparison: &Comparison, arguments: &CompareArguments) -> Result<String, serde_json::Error> {
    Ok(match arguments.measuring.format {
        output::Format::Table => comparison::terminal(comparison, arguments.tolerance, &output::style()),
        output::Format::Markdown => comparison::markdown(comparison, arguments.tolerance),
        output::Format::Json => serde_json::to_string_pretty(comparison)? + "\n",
    })
}

fn relative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(relative) if (0.0..=1.0).contains(&relative) => Ok(relative),
        _ => Err("a relative difference from 0 to 1 is needed, such as 1e-6".into()),
    }
}
