//! The arguments of `kurtoscope flash`, and what flashing has in common for all kinds of boards.

use std::{
    error::Error,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};

use crate::board::{self, Board, BuildRequest};
use crate::command::{
    arguments::{Outcome, device_url, seconds},
    output,
};
use crate::flash::{BoardLocation, await_answer};
use kurtoscope_host::link::DeviceUrl;

/// Which board, where it is, and what to do to it.
#[derive(Debug, Args)]
pub(crate) struct FlashArguments {
    /// The board, as `kurtoscope boards` lists it
    pub(super) board: String,

    /// A Linux board at the other end of your own ssh: USER@HOST, or a name from its configuration
    #[arg(long, value_name = "USER@HOST", group = "where")]
    pub(super) to: Option<String>,

    /// The root file system of a Linux board that is mounted here: a card in a reader, or an image
    #[arg(long, value_name = "DIR", group = "where")]
    pub(super) root: Option<PathBuf>,

    /// The volume that the boot loader of a microcontroller shows; found by itself where only one is mounted
    #[arg(long, value_name = "DIR", group = "where")]
    pub(super) volume: Option<PathBuf>,

    /// How a microcontroller is flashed, where its board.toml lists more than one way
    #[arg(long, value_enum)]
    pub(super) method: Option<Method>,

    /// The debug probe, where several are attached
    #[arg(long, value_name = "VID:PID:SERIAL")]
    pub(super) probe: Option<String>,

    /// The firmware: `kurtoscope-device` for the board's processor, or a microcontroller's program (ELF) or UF2 file; built
    /// from the checkout otherwise
    #[arg(long, value_name = "FILE")]
    pub(super) firmware: Option<PathBuf>,

    /// What a Linux board computes with: cpu, gpu or gpu=NAME; as its board.toml says otherwise
    #[arg(long, value_name = "ENGINE")]
    pub(super) engine: Option<String>,

    /// The light of a Linux board that shows what the device does: an LED of /sys/class/leds, or a line of a chip:
    /// gpiochip0:17; as its board.toml says otherwise
    #[arg(long, value_name = "LIGHT")]
    pub(super) led: Option<String>,

    /// The USB port of a Linux board that is to be a device's end, where it has several: a name from /sys/class/udc
    #[arg(long, value_name = "NAME")]
    pub(super) udc: Option<String>,

    /// Put no service on a Linux board: it is reached through exec:ssh alone
    #[arg(long)]
    pub(super) no_service: bool,

    /// Undo what was put on a Linux board
    #[arg(long)]
    pub(super) remove: bool,

    /// Print every step and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Where the board answers after flashing; found by itself otherwise
    #[arg(long, value_name = "URL", value_parser = device_url)]
    pub(super) device: Option<DeviceUrl>,

    /// How long the board may take to answer after flashing
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    pub(super) wait: f64,

    /// The folder that holds a folder a board; KURTOSCOPE_BOARDS and a checkout's boards/ are found by themselves
    #[arg(long, value_name = "DIR")]
    pub(super) boards: Option<PathBuf>,
}

/// How a microcontroller is flashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Method {
    /// A file on the volume that its boot loader shows
    Uf2,
    /// A debug probe, through the command probe-rs
    ProbeRs,
}

/// Why a board cannot be flashed in the way that was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum WayError {
    #[error(
        "{board}: say where the board is: --to {user}@HOST for one that runs, --root DIR for its card, mounted here"
    )]
    NoPlace { board: String, user: String },
    #[error("{board}: this option is for {of}; `kurtoscope boards show {board}` shows how it is flashed")]
    NotForThisKind { board: String, of: &'static str },
    #[error("{board}: its board.toml does not say {what}, without which it cannot be flashed in this way")]
    Unknown { board: String, what: &'static str },
    #[error(
        "{board}: there is nothing to flash: QEMU loads the program. `kurtoscope analyze MODEL --device {url}` runs it"
    )]
    Emulated { board: String, url: String },
}

/// A firmware that was named or built: the program, and the file for the boot loader's volume where that is another.
pub(super) struct Firmware {
    pub(super) program: PathBuf,
    pub(super) image: PathBuf,
}

/// The firmware that was named, or else the board's own, built from the checkout.
pub(super) fn firmware(arguments: &FlashArguments, board: &Board) -> Result<Firmware, Box<dyn Error + Send + Sync>> {
    if let Some(path) = &arguments.firmware {
        return Ok(Firmware { program: path.clone(), image: path.clone() });
    }
    show_progress(&format!("Building the firmware of {}", board.description.name));
    let built = board::build(BuildRequest { board, show: true })?;
    Ok(Firmware { image: built.image.unwrap_or_else(|| built.program.clone()), program: built.program })
}

/// What a dry run shows instead of building.
pub(super) fn describe_firmware(arguments: &FlashArguments, board: &Board) -> String {
    match &arguments.firmware {
        Some(path) => path.display().to_string(),
        None => format!("what `kurtoscope boards build {}` gives", board.description.name),
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, crate::flash::FlashError> {
    std::fs::read(path).map_err(|source| crate::flash::FlashError::Firmware { path: path.into(), source })
}

/// Waits for the board to answer and shows what it reports of itself.
pub(super) fn confirm_answer(
    arguments: &FlashArguments,
    board: &Board,
    location: BoardLocation,
    hint: &str,
) -> Outcome {
    show_progress("Waiting for the board's answer");
    let device = await_answer(location, &board.description.name, Duration::from_secs_f64(arguments.wait), hint)?;
    let adapter = device.adapter.as_ref().map(|adapter| format!(" on {}", adapter.name)).unwrap_or_default();
    let error =
        device.self_test.max_relative_error.map_or_else(|| "unknown".to_owned(), |error| format!("{error:.1e}"));
    print_line(&format!(
        "{} answers: firmware {}, engine {}{adapter}\n\
         Self-test passed; largest relative error {error} on known answers\n\
         Next: kurtoscope analyze MODEL --device {}",
        device.board,
        device.firmware,
        device.engine,
        crate::flash::quoted(&device.url)
    ))
}

/// A line for people who watch, on standard error.
pub(super) fn show_progress(line: &str) {
    anstream::eprintln!("{line}");
}

/// A line of the result, on standard output.
pub(super) fn print_line(line: &str) -> Outcome {
    Ok(output::print(&format!("{line}\n"))?)
}
