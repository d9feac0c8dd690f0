//! `serial:PATH[?baud=N]`: a board on a serial port, 8 data bits, no parity, one stop bit, no flow control.

use std::{fmt, io, time::Duration};

use kurtoscope_shared::frame::Framing;
use serialport::{ErrorKind, SerialPortInfo, SerialPortType};

use super::{
    Link, LinkError, LinkOptions, ListedDevice, UrlError,
    address::{Address, List},
};

/// Bits per second of a serial port whose URL does not say.
const DEFAULT_BAUD: u32 = 921_600;

/// How long a read waits before it says that nothing came.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a write may be held up; the conversation notices a dead device long before.
const WRITE_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// `serial:PATH[?baud=N]`: a board on a serial port, or on a USB port that looks like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialAddress {
    /// The port: `/dev/ttyACM0`, `COM3`.
    pub path: String,
    /// Bits per second, 921600 where the URL does not say; USB ports ignore it.
    pub baud: u32,
}

impl fmt::Display for SerialAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "serial:{}?baud={}", self.path, self.baud)
    }
}

impl Address for SerialAddress {
    const SCHEME: &'static str = "serial";
    const SYNTAX: &'static str = "serial:PATH[?baud=N]";
    const SUMMARY: &'static str = "a board on a serial port, or on a USB port that looks like one";
    const FRAMING: Framing = Framing::Cobs;
    const LIST: Option<List> =
        Some(|_| ports().map_err(|error| format!("the serial ports cannot be listed: {error}").into()));

    fn parse(rest: &str) -> Result<Self, UrlError> {
        let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
        if path.is_empty() {
            let (url, missing, example) = (format!("serial:{rest}"), "the port", "serial:/dev/ttyACM0");
            return Err(UrlError::Missing { url, missing, example });
        }
        let wrong = |text: &str, problem| UrlError::Option { text: text.into(), problem };
        let mut baud = DEFAULT_BAUD;
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let unknown = || wrong(option, "is not an option of serial ports; there is `baud=N`");
            let rate = option.strip_prefix("baud=").ok_or_else(unknown)?;
            let no_rate =
                || wrong(rate, "is not a rate in bits per second; 115200, 921600 and 3000000 are common ones");
            baud = rate.parse().ok().filter(|rate| *rate > 0).ok_or_else(no_rate)?;
        }
        Ok(Self { path: path.into(), baud })
    }

    fn open(&self, _: &LinkOptions) -> Result<Link, LinkError> {
        open(&self.path, self.baud)
    }

    /// The other ports that come and go with a plug, at the same rate; the rest is left alone.
    fn elsewhere(&self) -> Vec<Self> {
        let is_usb =
            |path: &str| ["ttyACM", "ttyUSB", "usbmodem", "usbserial", "COM"].iter().any(|part| path.contains(part));
        let ports = serialport::available_ports().unwrap_or_default().into_iter().map(|port| port.port_name);
        let others = ports.filter(|path| *path != self.path && is_usb(path));
        others.map(|path| Self { path, baud: self.baud }).collect()
    }
}

/// Opens the port for this program alone.
fn open(path: &str, baud: u32) -> Result<Link, LinkError> {
    let failed = |error: serialport::Error| LinkError::from_open(as_io(error));
    let mut port = serialport::new(path, baud).timeout(WRITE_TIMEOUT).open().map_err(failed)?;
    // Boards that look like serial ports send nothing while no program has the port. Linux raises this line by itself, Windows does not, and a
    // pseudo-terminal has none.
    let _ = port.write_data_terminal_ready(true);
    // A board that was busy before may have left bytes behind.
    let _ = port.clear(serialport::ClearBuffer::All);
    let mut reader = port.try_clone().map_err(failed)?;
    reader.set_timeout(READ_TIMEOUT).map_err(failed)?;
    Ok(Link { reader: Box::new(reader), writer: Box::new(port), framing: SerialAddress::FRAMING, process: None })
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

/// The serial ports of this machine, described by USB ids, maker and product, or their kind.
///
/// # Errors
/// When the system cannot list them.
pub fn ports() -> io::Result<Vec<ListedDevice>> {
    let ports = serialport::available_ports().map_err(as_io)?;
    Ok(ports
        .iter()
        .map(|port| ListedDevice { url: format!("serial:{}", port.port_name), description: describe(port) })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_rate_is_used_where_none_is_named() {
        assert_eq!(SerialAddress::parse("COM3"), Ok(SerialAddress { path: "COM3".into(), baud: 921_600 }));
    }
}
