//! `kurtoscope devices`: what could be given to `--device` on this machine.

use std::fmt::Write;

use super::{advice, arguments::Outcome, output};
use crate::board::{Board, Catalogue};
use kurtoscope_host::link::{KINDS, LinkKind, LinkOptions, ListedDevice};

pub(super) fn run() -> Outcome {
    let listed: Vec<Listing> = KINDS.iter().map(Listing::of).collect();
    let rows = || listed.iter().flat_map(|listing| &listing.rows);
    let width = rows().map(|(url, _)| url.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (url, what) in rows() {
        writeln!(text, "{url:width$}  {what}")?;
    }
    if listed.iter().any(|listing| listing.lacks_devices) {
        writeln!(text, "\nWhat is plugged in and missing here may lack its driver or your permission.")?;
    }
    Ok(output::print(&text)?)
}

/// The devices of one kind.
struct Listing {
    /// URLs and what is behind them.
    rows: Vec<(String, String)>,
    /// No device was found where devices can be found.
    lacks_devices: bool,
}

impl Listing {
    fn of(kind: &LinkKind) -> Self {
        // Which boards QEMU emulates is known here, and not to the library.
        if kind.scheme == "qemu" {
            return Self { rows: emulated(), lacks_devices: false };
        }
        let row = |what: String| vec![(kind.syntax.to_owned(), what)];
        let (rows, lacks_devices) = match kind.list(&LinkOptions::default()) {
            None => (row(kind.summary.to_owned()), false),
            Some(Ok(devices)) if devices.is_empty() => (row(format!("{}: none was found", kind.summary)), true),
            Some(Ok(devices)) => {
                (devices.into_iter().map(|ListedDevice { url, description }| (url, description)).collect(), false)
            }
            Some(Err(error)) => (row(advice::in_full(error.as_ref())), false),
        };
        Self { rows, lacks_devices }
    }
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
