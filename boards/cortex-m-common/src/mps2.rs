//! Arm's MPS2 boards, as QEMU emulates them: a link on the first UART, a console on the second, two lights.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};
use kurtoscope_firmware::{Board, Framing, Session, engine::CpuEngine, serve, status_led::StatusLed};

use crate::{
    cmsdk_uart::{CmsdkUart, Interrupt},
    console::Console,
    heap::Heap,
    stopwatch::Stopwatch,
};

/// The largest payload of one chunk, bytes.
const MAX_PAYLOAD: u32 = 16 << 10;

/// Memory for the chunk, for the answer to it, and for what burn and the session keep.
pub const HEAP_BYTES: usize = MAX_PAYLOAD as usize + (5 << 10);

/// Where a machine has what it has.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// The board's name.
    pub name: &'static str,
    /// Address of the UART that is the link.
    pub link: usize,
    /// Number of that UART's interrupt for received bytes.
    pub received: u16,
    /// Address of the UART that is the console.
    pub console: usize,
    /// Address of the register whose lowest two bits are lights.
    pub lights: usize,
}

/// Serves the host, for ever.
///
/// # Safety
/// The machine has what `machine` says, nothing else uses it, and this is called once.
pub unsafe fn run(machine: Machine, heap: &'static Heap<HEAP_BYTES>) -> ! {
    heap.start();
    // The link's interrupt only wakes the processor.
    cortex_m::interrupt::disable();
    // SAFETY: by the promise made to this function.
    let (console, link, peripherals) = unsafe {
        let link = CmsdkUart::new(machine.link, Some(Interrupt(machine.received)));
        (Console::open(machine.console), link, cortex_m::Peripherals::steal())
    };
    let engine = Stopwatch::new(CpuEngine::single_precision(MAX_PAYLOAD), peripherals.SYST, console, heap);
    let light = |bit: u32| Light { register: core::ptr::with_exposed_provenance_mut(machine.lights), mask: 1 << bit };
    let board = Board { name: machine.name.into(), identity: Default::default() };
    let mut session = Session::with_status_led(engine, board, StatusLed::new(light(0), light(1))).plain_only();
    let (mut receiver, mut transmitter) = link.split();
    loop {
        // A UART neither ends nor fails; if it did, starting over is all there is.
        let _ = serve(&mut session, Framing::Cobs, &mut receiver, &mut transmitter);
    }
}

/// A bit of the register that holds the board's lights.
#[derive(Debug)]
struct Light {
    register: *mut u32,
    mask: u32,
}

impl Light {
    fn change(&mut self, change: impl FnOnce(u32, u32) -> u32) {
        // SAFETY: a register of this board, by the promise made to `run`; there is one thread.
        unsafe { self.register.write_volatile(change(self.register.read_volatile(), self.mask)) };
    }
}

impl ErrorType for Light {
    type Error = Infallible;
}

impl OutputPin for Light {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.change(|lights, mask| lights & !mask);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.change(|lights, mask| lights | mask);
        Ok(())
    }
}
