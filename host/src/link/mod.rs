//! Links: byte streams to devices, opened by URL. Every kind of link lives in a file of its own and gives a [`Link`].

mod connector;
mod exec;
mod gpu;
mod pty;
mod qemu;
mod serial;
mod url;
mod usb;

use std::{
    fmt,
    io::{self, Read, Write},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use kurtoscope_shared::frame::Framing;

use crate::board::BoardError;

pub use connector::{Connector, UrlConnector};
pub use gpu::{AdaptersError, ListedAdapter, PROGRAM_VARIABLE, adapters};
pub use serial::ports;
pub use url::{DEFAULT_BAUD, DeviceUrl, UrlError};
pub use usb::{UsbBoard, UsbError, UsbName, boards};

/// A byte stream to a device, in both directions.
///
/// The halves are used by one thread each. Reading blocks until there is at least one byte, gives zero bytes at the end of
/// the link, and may fail with [`io::ErrorKind::TimedOut`], which means that nothing came yet; writing blocks while the
/// link is full. Dropping the link closes it, and ends a device that it started.
pub struct Link {
    /// From the device.
    pub reader: Box<dyn Read + Send>,
    /// To the device.
    pub writer: Box<dyn Write + Send>,
    /// How frames are told apart in both directions, which follows from the kind of link.
    pub framing: Framing,
    /// What the link started; ends with it.
    pub process: Option<Process>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("framing", &self.framing).field("process", &self.process).finish_non_exhaustive()
    }
}

/// A child process that ends when this is dropped: by itself, now that its input has ended, or else by force.
#[derive(Debug)]
pub struct Process(Child);

/// How long a child may take to notice that its input has ended.
const FAREWELL: Duration = Duration::from_millis(200);

impl From<Child> for Process {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let until = Instant::now() + FAREWELL;
        while Instant::now() < until {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        // It may have ended by itself after all; either way there is nobody to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Why a link cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No such port, or nothing plugged in.
    #[error("{url}: no such port: {source}; `kurtoscope devices` lists the ports that are there")]
    Absent {
        /// The device.
        url: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Another program has the port.
    #[error("{url}: the port is in use by another program ({source}); close serial monitors and other runs first")]
    Busy {
        /// The device.
        url: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The port is there but may not be opened.
    #[error(
        "{url}: not allowed to open the port: {source}; on Linux, add yourself to the group that owns it (dialout)"
    )]
    Denied {
        /// The device.
        url: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A program that should serve as device cannot be started.
    #[error("{url}: cannot start {program}: {source}")]
    Start {
        /// The device.
        url: String,
        /// The program.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The device command, which a graphics adapter needs, cannot be started.
    #[error(
        "{url}: cannot start {program}: {source}; `cargo install --path firmware/linux --features gpu` installs it, and \
         {variable} names it where it lies elsewhere"
    )]
    NoDeviceCommand {
        /// The device.
        url: String,
        /// What was tried.
        program: String,
        /// The environment variable that can name it.
        variable: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The virtual board did not say where it is.
    #[error("{url}: the virtual board said {found:?} instead of the path of a pseudo-terminal")]
    NoTerminal {
        /// The device.
        url: String,
        /// The line that it printed.
        found: String,
    },
    /// The firmware of a board that QEMU imitates is not there and cannot be built.
    #[error("{url}: {source}")]
    Board {
        /// The device.
        url: String,
        /// Why not.
        source: Box<BoardError>,
    },
    /// A board that QEMU does not imitate.
    #[error("{url}: QEMU does not imitate {board}; `kurtoscope boards show {board}` tells how it is reached")]
    NotInQemu {
        /// The device.
        url: String,
        /// The board.
        board: String,
    },
    /// QEMU is not installed.
    #[error("{url}: {program} is not on the path; on Debian and Ubuntu, `apt-get install {package}`")]
    NoQemu {
        /// The device.
        url: String,
        /// The program.
        program: String,
        /// The package that holds it.
        package: String,
    },
    /// QEMU ended instead of running.
    #[error("{url}: {program} did not start the machine{}", after_colon(.said))]
    Qemu {
        /// The device.
        url: String,
        /// The program.
        program: String,
        /// What it wrote to standard error.
        said: String,
    },

    /// A board's USB interface cannot be opened.
    #[error("{url}: {source}")]
    Usb {
        /// The device.
        url: String,
        /// Why.
        source: UsbError,
    },
    /// Anything else.
    #[error("{url}: the link cannot be opened: {source}")]
    Other {
        /// The device.
        url: String,
        /// The system's reason.
        source: io::Error,
    },
}

fn after_colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl LinkError {
    /// Sorts a system's error by what the user can do about it.
    fn from_open(url: &DeviceUrl, source: io::Error) -> Self {
        let url = url.to_string();
        match source.kind() {
            io::ErrorKind::ResourceBusy => Self::Busy { url, source },
            io::ErrorKind::NotFound => Self::Absent { url, source },
            io::ErrorKind::PermissionDenied => Self::Denied { url, source },
            _ => Self::Other { url, source },
        }
    }
}

/// Makes a pipe to a child hold a whole chunk, so that neither side waits for the other in small steps. Where the system
/// does not, the pipe is slower and otherwise the same.
#[cfg(target_os = "linux")]
fn widen(pipe: impl std::os::fd::AsFd) {
    const PIPE_BYTES: usize = 1 << 20;
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
}

#[cfg(not(target_os = "linux"))]
fn widen<T>(_pipe: T) {}

/// Opens the link to a device behind a byte stream; `None` for `local`, which needs no link.
///
/// # Errors
/// When the port is absent, busy or forbidden, or a program cannot be started.
pub fn open(url: &DeviceUrl) -> Result<Option<Link>, LinkError> {
    match url {
        DeviceUrl::Local => Ok(None),
        DeviceUrl::Gpu { adapter } => gpu::open(url, adapter.as_deref()).map(Some),
        DeviceUrl::Pty => pty::open(url).map(Some),
        DeviceUrl::Serial { path, baud } => serial::open(url, path, *baud).map(Some),
        DeviceUrl::Qemu { machine, console } => qemu::open(url, machine, console.as_deref()).map(Some),

        DeviceUrl::Usb(name) => usb::open(url, name).map(Some),
        DeviceUrl::Exec { command } => exec::open(url, command).map(Some),
    }
}
