//! `kurtoscope boards`: which boards are known, what one is, and building what runs on it.

use std::{fmt::Write, path::PathBuf};

use clap::{Args, Subcommand};

use kurtoscope_shared::usb;

use super::{Outcome, output};
use crate::board::{self, Board, BuildRequest, Catalogue, Description, Flash, Kind, Origin};
use kurtoscope_host::text::plain;

/// Arguments of `kurtoscope boards`.
#[derive(Debug, Args)]
pub(super) struct BoardsArguments {
    /// The folder that holds a folder a board; KURTOSCOPE_BOARDS and a checkout's boards/ are found by themselves
    #[arg(long, value_name = "DIR", global = true)]
    boards: Option<PathBuf>,

    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all boards: what happens without a command
    List,
    /// Explain one board: chip, wiring, how it is flashed, what to expect of it
    Show {
        /// The board
        name: String,
    },
    /// Build a board's firmware and say where it is
    Build {
        /// The board
        name: String,
    },
}

pub(super) fn run(arguments: &BoardsArguments) -> Outcome {
    let catalogue = Catalogue::load(arguments.boards.as_deref())?;
    match &arguments.action {
        None | Some(Action::List) => list(&catalogue),
        Some(Action::Show { name }) => show(&catalogue.find(name)?),
        Some(Action::Build { name }) => {
            let board = catalogue.find(name)?;
            let built = board::build(BuildRequest { board: &board, show: true })?;
            let files = std::iter::once(&built.program).chain(&built.image);
            output::print(&files.map(|file| format!("{}\n", file.display())).collect::<String>())?;
            if board.description.kind == Kind::Microcontroller
                && let Ok(size) = board::size(&built.program)
            {
                anstream::eprintln!("{} bytes of program, {} bytes of variables", size.program, size.variables);
            }
            Ok(())
        }
    }
}

/// All boards, a line each. One that cannot be described is reported, and fails the command.
fn list(catalogue: &Catalogue) -> Outcome {
    let (mut rows, mut failure) = (Vec::new(), None);
    for board in catalogue.boards() {
        match board {
            Ok(Board { description, .. }) => rows.push([
                description.name,
                description.kind.name().to_owned(),
                format!("{}: {}", plain(&description.title), plain(&description.chip)),
            ]),
            Err(error) => {
                anstream::eprintln!("kurtoscope: {error}");
                failure = Some(error);
            }
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let (names, kinds) = (width(0), width(1));
    let mut text = String::new();
    for [name, kind, what] in &rows {
        writeln!(text, "{name:names$}  {kind:kinds$}  {what}")?;
    }
    writeln!(text, "\n`kurtoscope boards show NAME` explains one.")?;
    output::print(&text)?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// One board, for people.
fn show(board: &Board) -> Outcome {
    let Board { description, origin } = board;
    let mut text = String::new();
    writeln!(text, "{}\n", plain(&description.title))?;
    for (key, value) in facts(description) {
        writeln!(text, "{key:<10}  {}", plain(&value))?;
    }
    let origin = match origin {
        Origin::BuiltIn => "this program; building it needs a checkout".to_owned(),
        Origin::Folder(folder) => folder.display().to_string(),
    };
    writeln!(text, "{:<10}  {origin}", "From")?;
    for paragraph in std::iter::once(&description.wiring).chain(&description.notes) {
        writeln!(text, "\n{}", paragraph.trim())?;
    }
    Ok(output::print(&text)?)
}

fn facts(board: &Description) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Board", board.name.clone()),
        ("Kind", board.kind.name().to_owned()),
        ("Chip", board.chip.clone()),
        ("Target", board.target.clone()),
    ];
    facts.extend(board.links.iter().map(|link| ("Device", link.clone())));
    facts.push(("Flashing", flashing(&board.flash)));
    if let Some(linux) = &board.linux {
        let led = linux.led.as_ref().map(|led| format!(", light {led}")).unwrap_or_default();
        facts.push(("Linux", format!("engine {}{led}", linux.engine)));
        if let Some(gadget) = &linux.gadget {
            let controller = gadget.controller.as_ref().map(|name| format!(", controller {name}")).unwrap_or_default();
            facts.push(("USB", format!("{:04x}:{:04x}{controller}", usb::VENDOR, usb::PRODUCT_BULK)));
        }
    }
    let expect = &board.expect;
    facts.push(("Chunks", format!("up to {}", size(u64::from(expect.max_payload)))));
    let memory = [("RAM", expect.ram_bytes), ("flash", expect.flash_bytes)];
    let memory: Vec<String> =
        memory.iter().filter_map(|(kind, bytes)| Some(format!("{} {kind}", size((*bytes)?)))).collect();
    if !memory.is_empty() {
        facts.push(("Memory", memory.join(", ")));
    }
    facts.extend(
        expect
            .rates
            .iter()
            .map(|(link, [low, high])| ("Rate", format!("{link}: {} to {} kB/s", low / 1000, high / 1000))),
    );
    facts
}

fn flashing(flash: &Flash) -> String {
    match flash {
        Flash::Uf2Volume { board_id, enter, chip, .. } => {
            let probe = chip.as_ref().map(|chip| format!(" Or a debug probe, chip {chip}: --method probe-rs."));
            format!("a UF2 file, copied to the volume of {board_id}. {}{}", enter.trim(), probe.unwrap_or_default())
        }
        Flash::ProbeRs { chip } => format!("a debug probe, chip {chip}"),
        Flash::Ssh { user } => format!("ssh: --to {user}@HOST"),
        Flash::Qemu => "none: QEMU loads the program".to_owned(),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}
