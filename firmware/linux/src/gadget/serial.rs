//! A serial port (CDC ACM) at the host's end of the cable, a terminal at ours: for hosts that need no driver and no
//! permission of their own. Slower than [`bulk`](super::bulk).

use std::{io, path::PathBuf};

use kurtoscope_shared::usb::PRODUCT_SERIAL;
use usb_gadget::{
    Class,
    function::serial::{Serial, SerialClass},
};

use super::{GadgetError, Registered, Setup, register};

/// A device whose only function is communication: what hosts expect of a serial port.
const COMMUNICATION: Class = Class::new(0x02, 0, 0);

/// The serial port on the port. Dropping it takes it away.
#[derive(Debug)]
pub struct SerialGadget {
    /// Taken away first.
    registered: Registered,
    /// Our end.
    pub terminal: PathBuf,
}

impl SerialGadget {
    /// Shows a serial port.
    ///
    /// # Errors
    /// When the gadget cannot be set up.
    pub fn open(setup: &Setup) -> Result<Self, GadgetError> {
        let mut builder = Serial::builder(SerialClass::Acm);
        // Kernel messages on this port would be noise to a host.
        builder.console = Some(false);
        let (serial, handle) = builder.build();
        let registered = register(setup, PRODUCT_SERIAL, COMMUNICATION, handle)?;
        let terminal = serial.tty().map_err(|error: io::Error| GadgetError::SetUp(error))?;
        Ok(Self { registered, terminal })
    }

    /// The name of the USB device controller.
    pub fn controller(&self) -> &str {
        &self.registered.controller
    }
}
