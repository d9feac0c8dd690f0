//! Kurtoscope's firmware for QEMU's `mps2-an386`: an Arm MPS2 board with image AN386, a Cortex-M4 with a unit for f32.
#![no_std]
#![no_main]

use kurtoscope_cortex_m::{
    heap::Heap,
    mps2::{self, HEAP_BYTES, Machine},
};

#[global_allocator]
static HEAP: Heap<HEAP_BYTES> = Heap::new();

/// Addresses and numbers from Arm's application note AN386.
const MACHINE: Machine =
    Machine { name: "qemu-mps2-an386", link: 0x4000_4000, received: 0, console: 0x4000_5000, lights: 0x4002_8000 };

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: the machine is as described, and this is the only program on it.
    unsafe { mps2::run(MACHINE, &HEAP) }
}
