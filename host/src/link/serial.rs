//! `serial:PATH[?baud=N]`: a board on a serial port, 8 data bits, no parity, one stop bit, no flow control.

use std::{
    io::{self, Read},
    time::Duration,
};

use serialport::{ErrorKind, SerialPort, SerialPortInfo, SerialPortType};

use super::{DeviceUrl, Link, LinkError};

/// The port's drivers cannot wait for ever; a read that times out is tried again.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Opens the port for this program alone.
pub(super) fn open(url: &DeviceUrl, path: &str, baud: u32) -> Result<Link, LinkError> {
    let failed = |error: serialport::Error| LinkError::from_open(url, as_io(error));
    let port = serialport::new(path, baud).timeout(PATIENCE).open().map_err(failed)?;
    // A board that was busy before may have left bytes behind.
    let _ = port.clear(serialport::ClearBuffer::All);
    let reader = port.try_clone().map_err(failed)?;
    Ok(Link { reader: Box::new(Patient(reader)), writer: Box::new(port), process: None })
}

fn as_io(error: serialport::Error) -> io::Error {
    let kind = match error.kind {
        ErrorKind::NoDevice if error.description.contains("busy") => io::ErrorKind::ResourceBusy,
        ErrorKind::NoDevice => io::ErrorKind::NotFound,
        ErrorKind::InvalidInput => io::ErrorKind::InvalidInput,
        ErrorKind::Unknown => io::ErrorKind::Other,
        ErrorKind::Io(kind) => kind,
    };
    io::Error::new(kind, error.description)
}

/// Reads that wait until there is something.
struct Patient(Box<dyn SerialPort>);

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                outcome => return outcome,
            }
        }
    }
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
