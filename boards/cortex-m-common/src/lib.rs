//! What Kurtoscope's Cortex-M boards have in common. A board's own crate brings its memory map, its pins and its link.
//!
//! | module | holds |
//! |---|---|
//! | [`heap`] | the allocator, with a high-water mark |
//! | [`stack`] | the most that the stack ever took |
//! | [`cmsdk_uart`] | the UART of Arm's reference designs, as an `embedded_io` stream |
//! | [`console`] | a second UART for people: panics, and what measuring cost |
//! | [`stopwatch`] | an engine that prints what each chunk cost on the console |
//! | [`mps2`] | everything together for Arm's MPS2 boards, which QEMU imitates |
//! | [`usb_serial`] | a serial port over USB, as `embedded_io` streams |
//!
//! The feature `mps2` brings those from `cmsdk_uart` to `mps2` and a panic handler, the feature `usb-serial` the last.
#![no_std]

#[cfg(feature = "mps2")]
pub mod cmsdk_uart;
#[cfg(feature = "mps2")]
pub mod console;
pub mod heap;
#[cfg(feature = "mps2")]
pub mod mps2;
pub mod stack;
#[cfg(feature = "mps2")]
pub mod stopwatch;
#[cfg(feature = "usb-serial")]
pub mod usb_serial;
