//! The USB side: a serial port (CDC ACM) as `embedded_io` streams that block.

use core::{cell::RefCell, convert::Infallible};

use embedded_io::{ErrorType, Read, Write};
use rp235x_hal::{
    reboot::{RebootArch, RebootKind, reboot},
    usb::UsbBus,
};
use usb_device::{
    bus::UsbBusAllocator,
    device::{StringDescriptors, UsbDevice, UsbDeviceBuilder, UsbVidPid},
};
use usbd_serial::{SerialPort, USB_CLASS_CDC};

/// pid.codes' number for tests.
const NUMBERS: UsbVidPid = UsbVidPid(0x1209, 0x0001);
/// Opening the port at this rate and closing it starts the boot loader, as on many boards.
const BOOT_LOADER_BAUD: u32 = 1200;

/// The port. Reading and writing keep USB going; between chunks that is often enough.
pub struct Port<'a>(RefCell<Inner<'a>>);

struct Inner<'a> {
    device: UsbDevice<'a, UsbBus>,
    serial: SerialPort<'a, UsbBus>,
    /// Whether a program on the host had the port open at [`BOOT_LOADER_BAUD`].
    called: bool,
}

impl<'a> Port<'a> {
    /// The port on `bus`, of the board whose number is `identity`; `None` where USB cannot be described.
    pub fn new(bus: &'a UsbBusAllocator<UsbBus>, identity: &'a str) -> Option<Self> {
        let serial = SerialPort::new(bus);
        let names =
            StringDescriptors::default().manufacturer("Kurtoscope").product("Kurtoscope").serial_number(identity);
        let device = UsbDeviceBuilder::new(bus, NUMBERS).strings(&[names]).ok()?.device_class(USB_CLASS_CDC).build();
        Some(Self(RefCell::new(Inner { device, serial, called: false })))
    }

    /// What the host writes.
    pub fn reader(&self) -> Reader<'_, 'a> {
        Reader(self)
    }

    /// What the host reads.
    pub fn writer(&self) -> Writer<'_, 'a> {
        Writer(self)
    }
}

impl Inner<'_> {
    fn poll(&mut self) {
        self.device.poll(&mut [&mut self.serial]);
        let called = self.serial.line_coding().data_rate() == BOOT_LOADER_BAUD;
        if self.called && !self.serial.dtr() {
            reboot(RebootKind::BootSel { picoboot_disabled: false, msd_disabled: false }, RebootArch::Normal);
        }
        self.called = called && self.serial.dtr();
    }
}

/// The reading half.
pub struct Reader<'p, 'a>(&'p Port<'a>);

/// The writing half.
pub struct Writer<'p, 'a>(&'p Port<'a>);

impl ErrorType for Reader<'_, '_> {
    type Error = Infallible;
}

impl ErrorType for Writer<'_, '_> {
    type Error = Infallible;
}

impl Read for Reader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut port = self.0.0.borrow_mut();
        loop {
            port.poll();
            // An error is that there is nothing yet.
            if let Ok(taken @ 1..) = port.serial.read(buffer) {
                return Ok(taken);
            }
        }
    }
}

impl Write for Writer<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut port = self.0.0.borrow_mut();
        loop {
            port.poll();
            match port.serial.write(bytes) {
                Ok(taken @ 1..) => return Ok(taken),
                // Nobody listens: an answer that nobody waits for must not block the next handshake.
                _ if !port.serial.dtr() => return Ok(bytes.len()),
                _ => {}
            }
        }
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        let mut port = self.0.0.borrow_mut();
        while port.serial.dtr() && port.serial.flush().is_err() {
            port.poll();
        }
        Ok(())
    }
}
