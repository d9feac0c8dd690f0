//! Serving a session on the links that every Unix has: standard input and output, a serial port, a pseudo-terminal.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    time::Duration,
};

use embedded_hal::digital::OutputPin;
use embedded_io_adapters::std::FromStd;
use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

use super::DeviceError;
use kurtoscope_firmware::{Framing, ServeError, Session, engine::Engine, serve, serve_overlapped};

/// Serves on standard input and output.
pub(super) fn serve_stdio<E: Engine, M: OutputPin, F: OutputPin>(
    session: &mut Session<E, M, F>,
) -> Result<(), DeviceError> {
    Ok(serve_streams(session, Framing::LengthPrefixed, Unbuffered(io::stdin()), io::stdout().lock())?)
}

/// Serves on a serial port until it goes away.
pub(super) fn serve_serial<E: Engine, M: OutputPin, F: OutputPin>(
    session: &mut Session<E, M, F>,
    path: &Path,
    baud: u32,
) -> Result<(), DeviceError> {
    let failed = |source| DeviceError::Serial { path: path.into(), source };
    // A link has no end of its own: wait for the host as long as it takes.
    let port = serialport::new(path.to_string_lossy(), baud)
        .timeout(Duration::from_secs(u64::from(u32::MAX)))
        .open()
        .map_err(failed)?;
    let writer = port.try_clone().map_err(failed)?;
    Ok(serve_streams(session, Framing::Cobs, port, writer)?)
}

/// Serves a pair of streams in the way that suits the engine.
pub(super) fn serve_streams<E: Engine, M: OutputPin, F: OutputPin, R: Read + Send, W: Write>(
    session: &mut Session<E, M, F>,
    framing: Framing,
    reader: R,
    writer: W,
) -> Result<(), ServeError<io::Error, io::Error>> {
    if session.in_flight() > 1 {
        serve_overlapped(session, framing, FromStd::new(reader), FromStd::new(writer))
    } else {
        serve(session, framing, FromStd::new(reader), FromStd::new(writer))
    }
}

/// Serves on a pseudo-terminal of its own, one host after the other, or `once`.
pub(super) fn serve_pty<E: Engine, M: OutputPin, F: OutputPin>(
    session: &mut Session<E, M, F>,
    once: bool,
) -> Result<(), DeviceError> {
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
        let outcome = serve_streams(session, Framing::Cobs, reader, &master);
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
struct Unbuffered(io::Stdin);

impl Read for Unbuffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.0, &mut *buffer) {
                Err(rustix::io::Errno::INTR) => {}
                outcome => return outcome.map_err(Into::into),
            }
        }
    }
}
