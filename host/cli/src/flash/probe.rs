//! A debug probe, through the user's own `probe-rs` command: it supports the chips, and has its own set-up for probes.

use std::{
    io,
    path::Path,
    process::{Command, Output},
};

/// Why a chip was not written through a debug probe.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There is no such command.
    #[error("probe-rs cannot be started: {error}; install it (https://probe.rs){}", or(.way_out))]
    NoCommand {
        /// The system's reason.
        error: io::Error,
        /// What else can be done with this board.
        way_out: Option<&'static str>,
    },
    /// No probe.
    #[error("no debug probe is attached; plug one in and connect it to the board{}", message(.0))]
    None(String),
    /// Several probes.
    #[error("{} debug probes are attached: {}; choose with --probe VID:PID:SERIAL", .0.len(), .0.join(", "))]
    Several(Vec<String>),
    /// probe-rs failed.
    #[error("probe-rs {what} failed: {message}; run the same command again once that is put right")]
    Failed {
        /// What it was asked.
        what: String,
        /// Its message.
        message: String,
    },
}

fn or(way_out: &Option<&str>) -> String {
    way_out.map(|way| format!(", or {way}")).unwrap_or_default()
}

fn message(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" (probe-rs says: {text})") }
}

/// The commands that write `program` to a chip, check it, and start it.
pub fn commands(chip: &str, probe: Option<&str>, program: &Path) -> Vec<Vec<String>> {
    let chosen = probe.map(|probe| ["--probe".to_owned(), probe.to_owned()]).into_iter().flatten();
    let with = |first: &[&str], last: &[String]| {
        let first = first.iter().map(|word| String::from(*word));
        first.chain(["--chip".into(), chip.into()]).chain(chosen.clone()).chain(last.iter().cloned()).collect()
    };
    vec![with(&["download", "--verify"], &[program.display().to_string()]), with(&["reset"], &[])]
}

/// Finds out that there is exactly one probe, unless the user named one. `way_out` is what else can be done with the board.
///
/// # Errors
/// When there is no command, none or several.
pub fn find(probe: Option<&str>, way_out: Option<&'static str>) -> Result<(), ProbeError> {
    let output = run(&["list".into()], way_out)?;
    let text = String::from_utf8_lossy(&output.stdout);
    // A line a probe: `[0]: Debug Probe (CMSIS-DAP) -- 2e8a:000c:E6614103 (CMSIS-DAP)`.
    let found: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix('[')?.split_once("]: ").map(|(_, probe)| probe.to_owned()))
        .collect();
    match (found.len(), probe) {
        (0, _) => Err(ProbeError::None(text.trim().to_owned())),
        (1, _) | (_, Some(_)) => Ok(()),
        _ => Err(ProbeError::Several(found)),
    }
}

/// Runs `probe-rs` with these arguments; `way_out` as in [`find`].
///
/// # Errors
/// When there is no command, or it fails.
pub fn run(arguments: &[String], way_out: Option<&'static str>) -> Result<Output, ProbeError> {
    let start = |error| ProbeError::NoCommand { error, way_out };
    let output = Command::new("probe-rs").args(arguments).output().map_err(start)?;
    if output.status.success() {
        return Ok(output);
    }
    let message = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    let message = message.into_iter().find(|text| !text.is_empty()).unwrap_or_else(|| output.status.to_string());
    Err(ProbeError::Failed { what: arguments.first().cloned().unwrap_or_default(), message })
}
