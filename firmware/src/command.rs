//! The command `kurtoscope-device`: a board that runs an operating system.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::PathBuf,
    string::String,
    time::Duration,
};

use clap::Args;
use embedded_io_adapters::std::FromStd;
use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

use crate::{Board, ServeError, Session, engine::BurnEngine, serve};

/// On which link to serve, as whom.
#[derive(Debug, Clone, Args)]
pub struct DeviceArguments {
    #[command(flatten)]
    link: LinkArguments,

    /// Bits per second on a serial port; a USB port ignores them
    #[arg(long, value_name = "N", default_value_t = 921_600, requires = "serial")]
    baud: u32,

    /// Serve one host on the pseudo-terminal, then end
    #[arg(long, requires = "pty")]
    once: bool,

    /// The name under which the board introduces itself
    #[arg(long, value_name = "NAME", default_value = "virtual")]
    board: String,
}

/// Exactly one link.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct LinkArguments {
    /// Serve on standard input and output: for `exec:` links, ssh among them
    #[arg(long)]
    stdio: bool,

    /// Serve on a serial port, or on the gadget side of a USB port
    #[arg(long, value_name = "PATH")]
    serial: Option<PathBuf>,

    /// Create a pseudo-terminal, print its path, and serve on it
    #[arg(long)]
    pty: bool,
}

/// Why the command ended.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The serial port cannot be opened.
    #[error(
        "{path}: the serial port cannot be opened: {source}; is it plugged in, and may you open it (group dialout)?"
    )]
    Serial {
        /// The port.
        path: PathBuf,
        /// The system's reason.
        source: serialport::Error,
    },
    /// No pseudo-terminal to be had.
    #[error("no pseudo-terminal can be created: {0}")]
    Pty(#[source] io::Error),
    /// The link failed while serving.
    #[error(transparent)]
    Link(#[from] ServeError<io::Error, io::Error>),
}

/// Serves until the host hangs up.
///
/// # Errors
/// When the link cannot be opened or fails.
pub fn run(arguments: &DeviceArguments) -> Result<(), DeviceError> {
    let board = Board { name: arguments.board.clone(), identity: identity() };
    let mut session = Session::new(BurnEngine::cpu(), board);
    if let Some(path) = &arguments.link.serial {
        let failed = |source| DeviceError::Serial { path: path.clone(), source };
        // A link has no end of its own: wait for the host as long as it takes.
        let port = serialport::new(path.to_string_lossy(), arguments.baud)
            .timeout(Duration::from_secs(u64::from(u32::MAX)))
            .open()
            .map_err(failed)?;
        let writer = port.try_clone().map_err(failed)?;
        return Ok(serve(&mut session, FromStd::new(port), FromStd::new(writer))?);
    }
    if arguments.link.pty {
        return serve_pty(&mut session, arguments.once);
    }
    let (input, output) = (io::stdin(), io::stdout());
    Ok(serve(&mut session, FromStd::new(Unbuffered(input.lock())), FromStd::new(output.lock()))?)
}

fn serve_pty(session: &mut Session<BurnEngine>, once: bool) -> Result<(), DeviceError> {
    let failed = |error: rustix::io::Errno| DeviceError::Pty(error.into());
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).map_err(failed)?;
    grantpt(&master).map_err(failed)?;
    unlockpt(&master).map_err(failed)?;
    let path = ptsname(&master, std::vec::Vec::new()).map_err(failed)?;
    let mut attributes = tcgetattr(&master).map_err(failed)?;
    attributes.make_raw();
    tcsetattr(&master, OptionalActions::Now, &attributes).map_err(failed)?;
    // Kept open until the first host has come, or the terminal would report a hang-up before anyone dialled.
    let mut keeper =
        Some(rustix::fs::open(path.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).map_err(failed)?);
    std::println!("{}", path.to_string_lossy());
    io::stdout().flush().map_err(DeviceError::Pty)?;
    let master = File::from(master);
    loop {
        let reader = Terminal { master: &master, keeper: &mut keeper };
        let outcome = serve(session, FromStd::new(reader), FromStd::new(&master));
        // A terminal without a host reads as an I/O error, which here is the end of a conversation.
        match outcome {
            Ok(()) => {}
            Err(ServeError::Read(error) | ServeError::Write(error))
                if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {}
            Err(error) => return Err(error.into()),
        }
        if once {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The master side of a pseudo-terminal; lets go of the other side once a host has written to it.
struct Terminal<'a, K> {
    master: &'a File,
    keeper: &'a mut Option<K>,
}

impl<K> Read for Terminal<'_, K> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.master.read(buffer)?;
        self.keeper.take();
        Ok(read)
    }
}

/// Standard input without the standard library's buffer, which would copy everything once more.
struct Unbuffered<'a>(io::StdinLock<'a>);

impl Read for Unbuffered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.0, &mut *buffer) {
                Err(rustix::io::Errno::INTR) => {}
                outcome => return outcome.map_err(Into::into),
            }
        }
    }
}

/// The machine's own identity, where the system has one.
fn identity() -> String {
    std::fs::read_to_string("/etc/machine-id").map(|text| text.trim().into()).unwrap_or_default()
}
