//! The command `kurtoscope`, built here again so that tests know where it is: the same library, the same `main`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kurtoscope::main()
}
