//! `kurtoscope-device`: measures what a host sends, on a board that runs an operating system.

use std::process::ExitCode;

use clap::Parser;
use kurtoscope_device::command::{DeviceArguments, run};

/// The device side of Kurtoscope: measures the tensor chunks that a host sends and answers with their moments
#[derive(Debug, Parser)]
#[command(name = "kurtoscope-device", version)]
struct Arguments {
    #[command(flatten)]
    device: DeviceArguments,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().device) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kurtoscope-device: {error}");
            ExitCode::FAILURE
        }
    }
}
