//! `serial:PATH[?baud=N]`: a board on a serial port, 8 data bits, no parity, one stop bit, no flow control.

use std::{io, time::Duration};

use kurtoscope_shared::frame::Framing;
use serialport::{ErrorKind, SerialPortInfo, SerialPortType};

use super::{Link, LinkError};

/// How long a read waits before it says that nothing came.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a write may be held up; the conversation notices a dead device long before.
const WRITE_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Opens the port for this program alone.
pub(super) fn open(path: &str, baud: u32) -> Result<Link, LinkError> {
    let failed = |error: serialport::Error| LinkError::from_open(as_io(error));
    let mut port = serialport::new(path, baud).timeout(WRITE_TIMEOUT).open().map_err(failed)?;
    // Boards that look like serial ports send nothing while no program has the port. Linux raises this line by itself, Windows does not, and a
    // pseudo-terminal has none.
    let _ = port.write_data_terminal_ready(true);
    // A board that was busy before may have left bytes behind.
    let _ = port.clear(serialport::ClearBuffer::All);
    let mut reader = port.try_clone().map_err(failed)?;
    reader.set_timeout(READ_TIMEOUT).map_err(failed)?;
    Ok(Link { reader: Box::new(reader), writer: Box::new(port), framing: Framing::Cobs, process: None })
}

fn as_io(error: serialport::Error) -> io::Error {
    let kind = match error.kind {
        // The crate has no kind of its own for a port that another program holds.
        ErrorKind::NoDevice if error.description.contains("busy") || error.description.contains("exclusive") => {
            io::ErrorKind::ResourceBusy
        }
        ErrorKind::NoDevice => io::ErrorKind::NotFound,
        ErrorKind::InvalidInput => io::ErrorKind::InvalidInput,
        ErrorKind::Unknown => io::ErrorKind::Other,
        ErrorKind::Io(kind) => kind,
    };
    io::Error::new(kind, error.description)
}

/// A serial port that could be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its URL.
    pub url: String,
    /// What the system knows of it: USB ids, maker and product, or its kind.
    pub description: String,
}

/// The serial ports of this machine.
///
/// # Errors
/// When the system cannot list them.
pub fn ports() -> io::Result<Vec<Port>> {
    let ports = serialport::available_ports().map_err(as_io)?;
    Ok(ports
        .iter()
        .map(|port| Port { url: format!("serial:{}", port.port_name), description: describe(port) })
        .collect())
}

fn describe(port: &SerialPortInfo) -> String {
    match &port.port_type {
        SerialPortType::UsbPort(usb) => {
            let words = [&usb.manufacturer, &usb.product, &usb.serial_number].into_iter().flatten().cloned();
            let ids = format!("USB {:04x}:{:04x}", usb.vid, usb.pid);
            std::iter::once(ids).chain(words).collect::<Vec<_>>().join(", ")
        }
        SerialPortType::PciPort => "PCI".into(),
        SerialPortType::BluetoothPort => "Bluetooth".into(),
        SerialPortType::Unknown => "serial port".into(),
    }
}
