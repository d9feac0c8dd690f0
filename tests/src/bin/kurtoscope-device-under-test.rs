//! The command `kurtoscope-device`, built here again so that tests know where it is: the same library, the same
//! arguments, the same name for `--version`.

use std::process::ExitCode;

use clap::Parser;
use kurtoscope_device::command::{DeviceArguments, run};

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
