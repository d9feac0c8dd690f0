//! The command line: arguments in, exit code out.
//!
//! Exit codes: 0 done; 1 failed, with the reason on standard error; 2 arguments that cannot be understood; 3 compared,
//! and different beyond tolerance; 130 stopped with Ctrl-C. They do not depend on who reads the output (`| head`).

mod advice;
mod analyze;
mod arguments;
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

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use kurtoscope_host::analysis::AnalysisError;

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
