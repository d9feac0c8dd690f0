//! Serving a session on the board's USB port, one host after the other, until a signal ends the program.

use std::{io, thread, time::Duration};

use embedded_hal::digital::OutputPin;
use embedded_io_adapters::std::FromStd;

use super::{DeviceArguments, DeviceError, links};
use crate::gadget::{Setup, bulk::BulkGadget, serial::SerialGadget};
use kurtoscope_firmware::{Board, Framing, ServeError, Session, engine::Engine, serve_overlapped};

/// How long to wait before a terminal is opened again that a host has left.
const REST: Duration = Duration::from_millis(100);

/// How the board shows itself.
pub(super) fn setup(arguments: &DeviceArguments, board: &Board) -> Setup {
    Setup { controller: arguments.udc.clone(), product: board.name.clone(), serial: board.identity.clone() }
}

/// Notifies the service manager, where one started the program, that hosts can see the board.
fn ready() {
    // Without a service manager nothing is sent; one that cannot be reached notices the missing message by a timeout.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

/// Serves on the bulk interface.
pub(super) fn serve_bulk<E: Engine, M: OutputPin, F: OutputPin>(
    session: &mut Session<E, M, F>,
    setup: &Setup,
) -> Result<(), DeviceError> {
    let (gadget, mut reader, mut writer) = BulkGadget::open(setup)?;
    std::eprintln!("kurtoscope-device: serving on USB ({}), for usb: links", gadget.controller());
    ready();
    loop {
        // Even an engine on the processor gains: where there are two cores, one takes frames apart while the other measures.
        match serve_overlapped(session, Framing::LengthPrefixed, FromStd::new(&mut reader), FromStd::new(&mut writer)) {
            Err(ServeError::Read(error) | ServeError::Write(error))
                if error.kind() == io::ErrorKind::ConnectionReset =>
            {
                writer.reset();
            }
            // A signal has taken the gadget away, and ends the program.
            Err(ServeError::Read(error) | ServeError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
            Ok(()) => {}
        }
    }
}

/// Serves on the serial port.
pub(super) fn serve_acm<E: Engine, M: OutputPin, F: OutputPin>(
    session: &mut Session<E, M, F>,
    setup: &Setup,
) -> Result<(), DeviceError> {
    let gadget = SerialGadget::open(setup)?;
    let (controller, terminal) = (gadget.controller(), gadget.terminal.as_path());
    std::eprintln!("kurtoscope-device: serving on USB ({controller}, {}), for serial: links", terminal.display());
    ready();
    loop {
        match links::serve_serial(session, terminal, 115_200) {
            // A cable that is pulled ends the terminal's use, and the next host begins anew.
            Ok(()) | Err(DeviceError::Link(_)) => thread::sleep(REST),
            Err(error) => return Err(error),
        }
    }
}
