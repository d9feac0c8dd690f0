//! `kurtoscope flash`: firmware onto a board, and the board's answer.

mod arguments;
mod linux;
mod microcontroller;

use super::arguments::Outcome;
use crate::board::{Catalogue, Flash, Kind};
use arguments::WayError;

pub(super) use arguments::FlashArguments;

pub(super) fn run(arguments: &FlashArguments) -> Outcome {
    let board = Catalogue::load(arguments.boards.as_deref())?.find(&arguments.board)?;
    let wrong = |of| WayError::NotForThisKind { board: board.description.name.clone(), of };
    match (board.description.kind, &board.description.flash) {
        (_, Flash::Qemu) => {
            let url = board.description.links.first().cloned().unwrap_or_default();
            Err(WayError::Emulated { board: board.description.name, url }.into())
        }
        (Kind::LinuxGpu, _)
            if arguments.volume.is_some() || arguments.method.is_some() || arguments.probe.is_some() =>
        {
            Err(wrong("microcontrollers").into())
        }
        (Kind::LinuxGpu, _) => linux::run(arguments, &board),
        (Kind::Microcontroller, _)
            if arguments.to.is_some()
                || arguments.root.is_some()
                || arguments.remove
                || arguments.no_service
                || arguments.engine.is_some()
                || arguments.led.is_some()
                || arguments.udc.is_some() =>
        {
            Err(wrong("boards that run Linux").into())
        }
        (Kind::Microcontroller, _) => microcontroller::run(arguments, &board),
    }
}
