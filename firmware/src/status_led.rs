//! The status LEDs of a board: off, measuring, fault. The pins' drivers are the board's.

use embedded_hal::digital::{ErrorType, OutputPin};

/// What a board shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing to do.
    Off,
    /// A chunk is being measured.
    Measuring,
    /// The last frame or chunk could not be used. Stays until a chunk has been measured.
    Fault,
}

/// Two output pins, high when lit: one for measuring, one for faults.
///
/// Give [`NoPin`] for a light that the board does not have. A pin that cannot be set is ignored: a broken light is no
/// reason not to measure.
#[derive(Debug)]
pub struct StatusLed<M, F> {
    measuring: M,
    fault: F,
}

impl<M: OutputPin, F: OutputPin> StatusLed<M, F> {
    /// Status LEDs on these pins, switched off.
    pub fn new(measuring: M, fault: F) -> Self {
        let mut status_led = Self { measuring, fault };
        status_led.show(Status::Off);
        status_led
    }

    /// Shows `status`.
    pub fn show(&mut self, status: Status) {
        let _ = self.measuring.set_state((status == Status::Measuring).into());
        let _ = self.fault.set_state((status == Status::Fault).into());
    }
}

impl StatusLed<NoPin, NoPin> {
    /// No lights at all.
    pub fn none() -> Self {
        Self { measuring: NoPin, fault: NoPin }
    }
}

/// A pin that is not there.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPin;

impl ErrorType for NoPin {
    type Error = core::convert::Infallible;
}

impl OutputPin for NoPin {
    fn set_low(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::{cell::Cell, rc::Rc};

    /// A pin that remembers its level and how often it rose.
    #[derive(Clone, Default)]
    pub(crate) struct Probe {
        pub(crate) high: Rc<Cell<bool>>,
        pub(crate) rises: Rc<Cell<u32>>,
    }

    impl ErrorType for Probe {
        type Error = core::convert::Infallible;
    }

    impl OutputPin for Probe {
        fn set_low(&mut self) -> Result<(), Self::Error> {
            self.high.set(false);
            Ok(())
        }

        fn set_high(&mut self) -> Result<(), Self::Error> {
            self.rises.set(self.rises.get() + u32::from(!self.high.replace(true)));
            Ok(())
        }
    }

    #[test]
    fn one_light_at_a_time() {
        let (measuring, fault) = (Probe::default(), Probe::default());
        let mut status_led = StatusLed::new(measuring.clone(), fault.clone());
        for (status, expected) in
            [(Status::Measuring, (true, false)), (Status::Fault, (false, true)), (Status::Off, (false, false))]
        {
            status_led.show(status);
            assert_eq!((measuring.high.get(), fault.high.get()), expected, "{status:?}");
        }
    }
}
