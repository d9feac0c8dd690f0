//! Arguments that several subcommands share, and what each of them returns.

use std::{error::Error, time::Duration};

use clap::{Args, ValueEnum};

use super::{advice, output};
use crate::device_options::link_options;
use kurtoscope_host::{
    analysis::{CompressionMode, Device, DeviceOptions, Timeouts},
    link::{DeviceUrl, KINDS, UrlError},
};
use kurtoscope_shared::Requests;

/// What a subcommand returns; its result is printed before.
pub(super) type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// What the commands that measure have in common.
#[derive(Debug, Clone, Args)]
pub(super) struct MeasuringArguments {
    /// What to print
    #[arg(long, value_enum, default_value_t = output::Format::Table)]
    pub(super) format: output::Format,

    /// Show no progress
    #[arg(long, short)]
    pub(super) quiet: bool,

    /// Measure even on a device that fails its self-test; the report says so in its first line
    #[arg(long)]
    pub(super) allow_untrusted: bool,

    /// How long a device may be silent before what it was sent is sent again
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    pub(super) timeout: f64,

    /// How long a device may be lost, or answer nothing valid, before the run goes on or ends without it
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    pub(super) give_up: f64,

    /// When to compress chunks, without loss, on their way to a device
    #[arg(long = "packing", value_name = "PACKING", value_enum, default_value_t = CompressionArgument::Auto)]
    pub(super) compression: CompressionArgument,

    /// What to measure, as far as the device does
    #[arg(long, value_enum, default_value_t = Statistics::All)]
    pub(super) statistics: Statistics,

    /// Send tensors in chunks of this many bytes; chosen from the devices and the speed of their links otherwise
    #[arg(long, value_name = "BYTES")]
    pub(super) chunk_bytes: Option<usize>,
}

impl MeasuringArguments {
    /// Opens the devices of these URLs.
    pub(super) fn open(&self, urls: &[DeviceUrl]) -> Result<Vec<Device>, Box<dyn Error + Send + Sync>> {
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
pub(super) enum Statistics {
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
pub(super) enum CompressionArgument {
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

pub(super) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.05..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.05 to 86400 is needed".into()),
    }
}

/// What `--help` says of devices: a line for each kind.
pub(super) fn device_help() -> String {
    let width = KINDS.iter().map(|kind| kind.syntax.len()).max().unwrap_or_default();
    let lines = KINDS.iter().map(|kind| format!("\n{:width$}  {}", kind.syntax, kind.summary));
    format!("Where to measure; repeat to share the work between devices\n{}", lines.collect::<String>())
}

pub(super) fn device_url(text: &str) -> Result<DeviceUrl, String> {
    text.parse().map_err(|error: UrlError| advice::in_full(&error))
}
