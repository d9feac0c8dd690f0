//! The UART of Arm's Cortex-M system design kit (CMSDK), as an `embedded_io` stream.

use core::convert::Infallible;

use cortex_m::peripheral::NVIC;
use embedded_io::{ErrorType, Read, Write};

/// Registers, in words from the base address: "Cortex-M System Design Kit TRM", APB UART.
const DATA: usize = 0;
const STATE: usize = 1;
const CONTROL: usize = 2;
const INTERRUPT: usize = 3;
const DIVIDER: usize = 4;

const TRANSMIT_FULL: u32 = 1 << 0;
const RECEIVE_FULL: u32 = 1 << 1;
const TRANSMIT: u32 = 1 << 0;
const RECEIVE: u32 = 1 << 1;
const RECEIVE_INTERRUPT: u32 = 1 << 3;
const RECEIVED: u32 = 1 << 1;

/// How often a receiver looks for the next byte before it sleeps. In the middle of a frame the next one is due at once, and
/// waking from sleep takes an emulator longer than this many looks.
const LOOKS: u32 = 200;

/// The number of an interrupt.
#[derive(Debug, Clone, Copy)]
pub struct Interrupt(pub u16);

// SAFETY: a number is itself, always.
unsafe impl cortex_m::interrupt::InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0
    }
}

/// A UART at an address.
#[derive(Debug)]
pub struct CmsdkUart {
    base: *mut u32,
    receives: Option<Interrupt>,
}

impl CmsdkUart {
    /// The UART whose registers begin at `base`, switched on. A receiver sleeps until `receives`, its interrupt, is pending;
    /// interrupts must be masked, so that it wakes the processor and nothing else.
    ///
    /// # Safety
    /// There is such a UART at `base`. Of two that share it, at most one is read from.
    pub unsafe fn new(base: usize, receives: Option<Interrupt>) -> Self {
        let uart = Self { base: core::ptr::with_exposed_provenance_mut(base), receives };
        // The fastest that it supports: the link to QEMU has no bits, and boards that have them need another divider.
        uart.set(DIVIDER, 16);
        uart.set(CONTROL, TRANSMIT | RECEIVE | if receives.is_some() { RECEIVE_INTERRUPT } else { 0 });
        if let Some(interrupt) = receives {
            // SAFETY: masked, it calls no handler.
            unsafe { NVIC::unmask(interrupt) };
        }
        uart
    }

    /// The other half of the same UART, for code that needs reader and writer separately.
    pub fn split(self) -> (Receiver, Transmitter) {
        let base = self.base;
        (Receiver(self), Transmitter(Self { base, receives: None }))
    }

    fn get(&self, register: usize) -> u32 {
        // SAFETY: a register of this UART, by the promise made to `new`.
        unsafe { self.base.add(register).read_volatile() }
    }

    fn set(&self, register: usize, value: u32) {
        // SAFETY: as above.
        unsafe { self.base.add(register).write_volatile(value) };
    }

    /// Sends one byte, as soon as there is room.
    pub fn send(&self, byte: u8) {
        while self.get(STATE) & TRANSMIT_FULL != 0 {}
        self.set(DATA, byte.into());
    }

    fn received(&self) -> Option<u8> {
        (self.get(STATE) & RECEIVE_FULL != 0).then(|| self.get(DATA) as u8)
    }

    fn sleep(&self) {
        let Some(interrupt) = self.receives else { return };
        cortex_m::asm::wfi();
        self.set(INTERRUPT, RECEIVED);
        NVIC::unpend(interrupt);
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct Receiver(CmsdkUart);

/// The sending half.
#[derive(Debug)]
pub struct Transmitter(CmsdkUart);

impl ErrorType for Receiver {
    type Error = Infallible;
}

impl ErrorType for Transmitter {
    type Error = Infallible;
}

impl Read for Receiver {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let Some((first, rest)) = buffer.split_first_mut() else { return Ok(0) };
        *first = loop {
            match (0..LOOKS).find_map(|_| self.0.received()) {
                Some(byte) => break byte,
                None => self.0.sleep(),
            }
        };
        let mut taken = 1;
        for place in rest {
            let Some(byte) = self.0.received() else { break };
            *place = byte;
            taken += 1;
        }
        Ok(taken)
    }
}

impl Write for Transmitter {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            self.0.send(*byte);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
