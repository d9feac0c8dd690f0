//! Kurtoscope's firmware for QEMU's `mps2-an505`: an Arm MPS2 board with image AN505, a Cortex-M33 on its secure side.
#![no_std]
#![no_main]

use kurtoscope_cortex_m::{
    heap::Heap,
    mps2::{self, HEAP_BYTES, Machine},
};

#[global_allocator]
static HEAP: Heap<HEAP_BYTES> = Heap::new();

/// Addresses and numbers from Arm's application note AN505, as seen from the secure side.
const MACHINE: Machine =
    Machine { name: "qemu-mps2-an505", link: 0x5020_0000, received: 32, console: 0x5020_1000, lights: 0x5030_2000 };

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: the machine is as described, and this is the only program on it.
    unsafe { mps2::run(MACHINE, &HEAP) }
}
