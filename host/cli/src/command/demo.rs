//! `kurtoscope demo`: `analyze` on a synthetic model that needs no download, through a device that needs no hardware.

use std::path::PathBuf;

use clap::Args;

use super::{
    arguments::{MeasuringArguments, Outcome, device_url},
    output,
    progress::Shown,
};
use crate::demo;
use kurtoscope_checkpoint::Checkpoint;
use kurtoscope_host::{
    analysis::{self, RunOptions},
    link::DeviceUrl,
    report,
};

/// The device that every system has: a virtual board where there are pseudo-terminals.
const DEFAULT_DEVICE: &str = if cfg!(unix) { "pty:" } else { "local" };

/// Where to measure the synthetic checkpoint, and what to keep.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Where to measure, as for `analyze`
    #[arg(long = "device", value_name = "URL", value_parser = device_url, default_value = DEFAULT_DEVICE)]
    devices: Vec<DeviceUrl>,

    /// Keep the synthetic checkpoint (DIR/model) and write the reports into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(flatten)]
    measuring: MeasuringArguments,
}

pub(super) fn run(arguments: &DemoArguments) -> Outcome {
    // Held until the end: dropping it removes the checkpoint.
    let temporary = tempfile::tempdir()?;
    let folder = arguments.out.as_ref().map_or_else(|| temporary.path().to_owned(), |out| out.join("model"));
    demo::write(&folder)?;
    let mut model = Checkpoint::open(&folder)?;
    model.source = demo::NAME.into();
    let mut devices = arguments.measuring.open(&arguments.devices)?;
    let mut options = RunOptions { chunk_bytes: arguments.measuring.chunk_bytes, ..RunOptions::default() };
    let run = analysis::analyze_with(&model, &mut devices, &mut options, &mut Shown::new(arguments.measuring.quiet))?;
    if let Some(out) = &arguments.out {
        report::write_all(out, &run)?;
    }
    Ok(output::print(&output::render(&[run], arguments.measuring.format)?)?)
}
