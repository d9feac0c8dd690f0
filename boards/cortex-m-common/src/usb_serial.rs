//! A serial port over USB (CDC ACM) as `embedded_io` streams that block. The USB controller is the board's.

use core::{cell::RefCell, convert::Infallible};

use embedded_io::{ErrorType, Read, Write};
use usb_device::{
    bus::{UsbBus, UsbBusAllocator},
    device::{StringDescriptors, UsbDevice, UsbDeviceBuilder, UsbVidPid},
};
use usbd_serial::{SerialPort, USB_CLASS_CDC};

/// pid.codes' number for tests.
const NUMBERS: UsbVidPid = UsbVidPid(0x1209, 0x0001);
/// Opening the port at this rate and closing it starts the boot loader, as on many boards.
const BOOT_LOADER_BAUD: u32 = 1200;

/// The port. Reading and writing keep USB going; between chunks that is often enough.
pub struct Port<'a, B: UsbBus>(RefCell<Inner<'a, B>>);

struct Inner<'a, B: UsbBus> {
    device: UsbDevice<'a, B>,
    serial: SerialPort<'a, B>,
    start_boot_loader: fn(),
    /// Whether a program on the host had the port open at [`BOOT_LOADER_BAUD`].
    called: bool,
}

impl<'a, B: UsbBus> Port<'a, B> {
    /// The port on `bus`, of the board whose number is `identity`; `None` where USB cannot be described.
    /// `start_boot_loader` is called when the host asks for the boot loader.
    pub fn new(bus: &'a UsbBusAllocator<B>, identity: &'a str, start_boot_loader: fn()) -> Option<Self> {
        let serial = SerialPort::new(bus);
        let mut names = StringDescriptors::default().manufacturer("Kurtoscope").product("Kurtoscope");
        if !identity.is_empty() {
            names = names.serial_number(identity);
        }
        let device = UsbDeviceBuilder::new(bus, NUMBERS).strings(&[names]).ok()?.device_class(USB_CLASS_CDC).build();
        Some(Self(RefCell::new(Inner { device, serial, start_boot_loader, called: false })))
    }

    /// What the host writes.
    pub fn reader(&self) -> Reader<'_, 'a, B> {
        Reader(self)
    }

    /// What the host reads.
    pub fn writer(&self) -> Writer<'_, 'a, B> {
        Writer(self)
    }
}

impl<B: UsbBus> Inner<'_, B> {
    fn poll(&mut self) {
        self.device.poll(&mut [&mut self.serial]);
        let called = self.serial.line_coding().data_rate() == BOOT_LOADER_BAUD;
        if self.called && !self.serial.dtr() {
            (self.start_boot_loader)();
        }
        self.called = called && self.serial.dtr();
    }
}

/// The reading half.
pub struct Reader<'p, 'a, B: UsbBus>(&'p Port<'a, B>);

/// The writing half.
pub struct Writer<'p, 'a, B: UsbBus>(&'p Port<'a, B>);

impl<B: UsbBus> ErrorType for Reader<'_, '_, B> {
    type Error = Infallible;
}

impl<B: UsbBus> ErrorType for Writer<'_, '_, B> {
    type Error = Infallible;
}

impl<B: UsbBus> Read for Reader<'_, '_, B> {
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

impl<B: UsbBus> Write for Writer<'_, '_, B> {
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
