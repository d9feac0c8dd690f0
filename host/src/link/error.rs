//! Why a link cannot be opened. The caller adds which device it was to; the command, what a user can do about it.

use std::{error::Error, io};

/// Why a link cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The device computes in this process.
    #[error("a device in this process has no link")]
    NoLink,
    /// No such port, or nothing plugged in. Unlike [`Denied`](Self::Denied), it may appear later.
    #[error("no such port")]
    Absent(#[source] io::Error),
    /// Another program has the port.
    #[error("the port is in use by another program")]
    Busy(#[source] io::Error),
    /// The port is there but may not be opened by this user.
    #[error("not allowed to open the port")]
    Denied(#[source] io::Error),
    /// A program that should serve as device cannot be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The device program did not name the pseudo-terminal that it is behind.
    #[error("{program} said {found:?} instead of the path of a pseudo-terminal")]
    NoTerminal {
        /// The program.
        program: String,
        /// The line that it printed.
        found: String,
    },
    /// A machine that [`LinkOptions::qemu_machines`](super::LinkOptions::qemu_machines) does not describe.
    #[error("no firmware is known for the QEMU machine \"{machine}\"")]
    UnknownMachine {
        /// As the URL names it.
        machine: String,
    },
    /// QEMU ended instead of running, or did not connect in time.
    #[error("{program} did not start the machine{}", after_colon(.output))]
    Qemu {
        /// The program.
        program: String,
        /// What it wrote to standard error.
        output: String,
    },
    /// What only this kind of link can meet, such as a [`UsbError`](super::UsbError).
    #[error(transparent)]
    Kind(Box<dyn Error + Send + Sync>),
    /// Anything else, for the system's reason.
    #[error("the system refuses")]
    Other(#[source] io::Error),
}

fn after_colon(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!(": {output}") }
}

impl LinkError {
    /// Sorts a system's error by what the user can do about it.
    pub(super) fn from_open(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::ResourceBusy => Self::Busy(source),
            io::ErrorKind::NotFound => Self::Absent(source),
            io::ErrorKind::PermissionDenied => Self::Denied(source),
            _ => Self::Other(source),
        }
    }
}
