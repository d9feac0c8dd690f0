//! A second UART, for people: what measuring cost, and the message of a program that panics.

use core::{
    fmt::{self, Write},
    panic::PanicInfo,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::cmsdk_uart::CmsdkUart;

/// Where the console's UART is; 0 before it was opened.
static BASE: AtomicUsize = AtomicUsize::new(0);

/// The console. Nothing is written before it was opened.
#[derive(Debug, Clone, Copy)]
pub struct Console(());

impl Console {
    /// Opens the console on the UART at `base`.
    ///
    /// # Safety
    /// There is a CMSDK UART at `base` that nothing else uses.
    pub unsafe fn open(base: usize) -> Self {
        BASE.store(base, Ordering::Relaxed);
        Self(())
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let base = BASE.load(Ordering::Relaxed);
        if base != 0 {
            // SAFETY: by the promise made to `open`.
            let uart = unsafe { CmsdkUart::new(base, None) };
            text.bytes().for_each(|byte| uart.send(byte));
        }
        Ok(())
    }
}

/// Prints what happened and restarts. The host repeats the handshake and sends again what was not answered.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _ = writeln!(Console(()), "{info}");
    cortex_m::peripheral::SCB::sys_reset()
}
