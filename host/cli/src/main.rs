//! `kurtoscope`: how heavy are the tails of a model's weights, measured on the device that will run it.

use std::process::ExitCode;

fn main() -> ExitCode {
    kurtoscope::main()
}
