//! The command line: arguments in, exit code out.
//!
//! Exit codes: 0 done; 1 failed, with the reason on standard error; 2 arguments that cannot be understood; 3 compared,
//! and different beyond the tolerance; 130 stopped with Ctrl-C. They are the same whoever reads the output (`| head`).

mod advice;
mod analyze;
mod boards;
mod compare;
mod demo;
mod devices;
mod flash;
mod hypotheses;
mod interrupt;
mod model;
mod output;
mod plan;
mod progress;

use std::{error::Error, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::device_options::link_options;
use kurtoscope_shared::Requests;

use kurtoscope_host::{
    analysis::{AnalysisError, CompressionMode, Device, DeviceOptions, Timeouts},
    link::DeviceUrl,
};

/// The exit code of a comparison whose runs differ by more than was accepted.
const BEYOND_TOLERANCE: u8 = 3;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed; standard error says why
  2    the arguments cannot be understood
  3    compared, and different beyond the tolerance
  130  stopped with Ctrl-C";

/// How heavy are the tails of a model's weights, measured on the device that will run it
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, after_long_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure checkpoints on a device and report
    Analyze(analyze::AnalyzeArguments),
    /// Compare a device with the desktop, or two runs, statistic by statistic
    Compare(compare::CompareArguments),
    /// What would be quantized how: which tensors pass, which are at risk, what helps, where bits are spent best
    Plan(plan::PlanArguments),
    /// Hold hypotheses about outliers against runs, or against the recorded investigation
    Hypotheses(hypotheses::HypothesesArguments),
    /// Measure a small synthetic checkpoint on a virtual board, to see what a report looks like
    Demo(demo::DemoArguments),
    /// List the boards that are known, explain one, or build its firmware
    Boards(boards::BoardsArguments),
    /// Put firmware onto a board, and show its answer and its self-test
    Flash(flash::FlashArguments),
    /// List the devices that could be used
    Devices,
    /// Be a device: what `kurtoscope-device` does on a board, in this program
    Device(kurtoscope_device::command::DeviceArguments),
}

/// What the commands that measure have in common.
#[derive(Debug, Clone, Args)]
struct MeasuringArguments {
    /// What to print
    #[arg(long, value_enum, default_value_t = output::Format::Table)]
    format: output::Format,

    /// Show no progress
    #[arg(long, short)]
    quiet: bool,

    /// Measure even on a device that fails its self-test; the report says so in its first line
    #[arg(long)]
    allow_untrusted: bool,

    /// How long a device may be silent before what it was sent is sent again
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    timeout: f64,

    /// How long a device may be lost, or answer nothing valid, before the run goes on or ends without it
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    give_up: f64,

    /// When to compress chunks, without loss, on their way to a device
    #[arg(long = "packing", value_name = "PACKING", value_enum, default_value_t = CompressionArgument::Auto)]
    compression: CompressionArgument,

    /// What to measure, as far as the device does
    #[arg(long, value_enum, default_value_t = Statistics::All)]
    statistics: Statistics,

    /// Send tensors in chunks of this many bytes; chosen from the devices and the speed of their links otherwise
    #[arg(long, value_name = "BYTES")]
    chunk_bytes: Option<usize>,
}

impl MeasuringArguments {
    /// Opens the devices of these URLs.
    fn open(&self, urls: &[DeviceUrl]) -> Result<Vec<Device>, Box<dyn Error + Send + Sync>> {
        let options = DeviceOptions {
            allow_untrusted: self.allow_untrusted,
            timeouts: Timeouts {
                resend: Duration::from_secs_f64(self.timeout),
                give_up: Duration::from_secs_f64(self.give_up),
            },
            compression: self.compression.into(),
            link: link_options(urls)?,
        };
        Ok(urls.iter().map(|url| Device::open(url, options.clone())).collect::<Result<_, _>>()?)
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Statistics {
    /// Count, moments, smallest and largest element
    Moments,
    /// These, quantiles and the farthest weights, and errors of quantizing with one scale a tensor
    Tails,
    /// These, errors of quantizing in blocks, and the weight of rows and columns
    All,
}

impl From<Statistics> for Requests {
    fn from(statistics: Statistics) -> Self {
        match statistics {
            Statistics::Moments => Self::MOMENTS,
            Statistics::Tails => Self::TAILS,
            Statistics::All => Self::FULL,
        }
    }
}

/// When chunks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CompressionArgument {
    /// Where the link is slow enough for it to pay
    Auto,
    /// Wherever it makes a chunk shorter
    Always,
    /// Never
    Never,
}

impl From<CompressionArgument> for CompressionMode {
    fn from(compression: CompressionArgument) -> Self {
        match compression {
            CompressionArgument::Auto => Self::Auto,
            CompressionArgument::Always => Self::Always,
            CompressionArgument::Never => Self::Never,
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.05..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.05 to 86400 is needed".into()),
    }
}

fn device_url(text: &str) -> Result<DeviceUrl, String> {
    text.parse().map_err(|error: kurtoscope_host::link::UrlError| advice::in_full(&error))
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Analyze(arguments) => analyze::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Hypotheses(arguments) => hypotheses::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Boards(arguments) => boards::run(&arguments),
        Command::Flash(arguments) => flash::run(&arguments),
        Command::Devices => devices::run(),
        Command::Device(arguments) => kurtoscope_device::command::run(&arguments).map_err(Into::into),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("kurtoscope: {}", advice::in_full(error.as_ref()));
            match error.downcast_ref() {
                Some(AnalysisError::Stopped { .. }) => ExitCode::from(interrupt::EXIT_CODE),
                _ if error.is::<compare::BeyondTolerance>() => ExitCode::from(BEYOND_TOLERANCE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;
