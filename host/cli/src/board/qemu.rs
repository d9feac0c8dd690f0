//! The machines that `qemu:` URLs name: boards of the catalogue, their firmware built before a link is opened.

use std::io::{self, IsTerminal};

use kurtoscope_host::link::{DeviceUrl, QemuAddress, QemuMachine};

use super::{BoardError, BuildRequest, Catalogue, build, toolchain::is_on_path};

/// The machines that these URLs name, with the firmware of the boards that they are. Builds what has changed.
///
/// # Errors
/// When there is no such board, QEMU does not emulate it or is not installed, or its firmware cannot be built.
pub fn qemu_machines(urls: &[DeviceUrl]) -> Result<Vec<QemuMachine>, BoardError> {
    let mut machines: Vec<QemuMachine> = Vec::new();
    for url in urls {
        if let DeviceUrl::Qemu(QemuAddress { machine: name, .. }) = url
            && machines.iter().all(|machine| machine.name != *name)
        {
            machines.push(machine(name)?);
        }
    }
    Ok(machines)
}

fn machine(name: &str) -> Result<QemuMachine, BoardError> {
    let board = Catalogue::load(None)?.find_in_qemu(name)?;
    let board_name = || board.description.name.clone();
    let Some(qemu) = board.description.qemu.clone() else { return Err(BoardError::NotInQemu { name: board_name() }) };
    if !is_on_path(&qemu.program) {
        return Err(BoardError::NoQemu { name: board_name(), program: qemu.program, package: qemu.package });
    }
    // The first build takes minutes: its progress is shown on a terminal.
    let built = build(BuildRequest { board: &board, show: io::stderr().is_terminal() })?;
    Ok(QemuMachine {
        name: name.into(),
        program: qemu.program,
        machine: qemu.machine,
        arguments: qemu.arguments,
        firmware: built.program,
    })
}
