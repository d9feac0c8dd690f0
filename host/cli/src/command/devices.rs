//! `kurtoscope devices`: what could be given to `--device` on this machine.

use std::fmt::Write;

use super::{Outcome, output};
use crate::board::{Board, Catalogue};
use crate::causes::with_causes;
use kurtoscope_host::link::{self, AdaptersError, LinkOptions};

pub(super) fn run() -> Outcome {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rows = vec![
        ("local".to_owned(), format!("CPU engine in this process, {cores} cores")),
        ("pty:".to_owned(), "virtual board: CPU engine in a process of its own, behind a pseudo-terminal".to_owned()),
    ];
    rows.splice(1..1, adapters());
    let ports = link::ports();
    match &ports {
        Ok(ports) => rows.extend(ports.iter().map(|port| (port.url.clone(), port.description.clone()))),
        Err(error) => rows.push(("serial:…".to_owned(), format!("the serial ports cannot be listed: {error}"))),
    }
    rows.extend(emulated());
    match link::boards() {
        Ok(boards) => {
            rows.extend(boards.iter().map(|board| (board.url.to_string(), format!("board, {}", board.description))))
        }
        Err(error) => rows.push(("usb:…".to_owned(), with_causes(&error))),
    }
    rows.push((
        "exec:COMMAND".to_owned(),
        "a program that speaks the protocol on its standard input and output".to_owned(),
    ));
    let width = rows.iter().map(|(url, _)| url.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (url, what) in &rows {
        writeln!(text, "{url:width$}  {what}")?;
    }
    if matches!(&ports, Ok(ports) if ports.is_empty()) {
        writeln!(
            text,
            "\nNo serial ports. A board that is plugged in and missing here may lack its driver or your permission."
        )?;
    }
    Ok(output::print(&text)?)
}

/// The boards that QEMU emulates.
fn emulated() -> Vec<(String, String)> {
    let boards = Catalogue::load(None).unwrap_or_else(|_| Catalogue::built_in());
    let row = |board: Board| {
        let qemu = board.description.qemu?;
        Some((format!("qemu:{}", qemu.machine), format!("{}: {}", board.description.title, board.description.chip)))
    };
    boards.boards().flatten().filter_map(row).collect()
}

/// The graphics adapters, as rows; where the device command cannot list them, the row says what to do.
fn adapters() -> Vec<(String, String)> {
    let missing = |what: String| vec![("gpu[:NAME]".to_owned(), what)];
    match link::adapters(&LinkOptions::default()) {
        Ok((adapters, said)) if adapters.is_empty() => {
            let said = if said.is_empty() { "no graphics adapter was found".to_owned() } else { said };
            missing(said)
        }
        Ok((adapters, _)) => adapters
            .into_iter()
            .map(|adapter| {
                let software = if adapter.kind == "software" { "; used only when named" } else { "" };
                let driver = if adapter.driver.is_empty() { String::new() } else { format!(", {}", adapter.driver) };
                let limits = format!(
                    "chunks up to {} MiB, {} units and {} KiB a workgroup",
                    adapter.max_chunk_bytes >> 20,
                    adapter.max_workgroup_units,
                    adapter.max_shared_bytes >> 10
                );
                let what =
                    format!("graphics adapter: {}, {}{driver}; {limits}{software}", adapter.backend, adapter.kind);
                (format!("gpu:{}", adapter.name), what)
            })
            .collect(),
        Err(AdaptersError::Start { .. }) => missing(
            "a graphics adapter; needs the device command: cargo install --path firmware/linux --features gpu"
                .to_owned(),
        ),
        Err(error) => missing(format!("the graphics adapters cannot be listed: {}", with_causes(&error))),
    }
}
