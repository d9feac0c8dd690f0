//! The device side of Kurtoscope: receives chunks of tensors, measures them with burn, answers with mergeable reports.
//!
//! A board brings a byte stream ([`embedded_io`]), perhaps two LEDs ([`embedded_hal`]), and an allocator; everything
//! else is here. No code of ours needs compare-and-swap, so that processors without it (Cortex-M0+, RV32IMC) do as well.
//!
//! | feature | adds |
//! |---|---|
//! | `burn` (default) | measuring as an extension of burn's backends |
//! | `std` (default) | vector instructions chosen at run time, chunks that overlap; without it `no_std` with `alloc` |
//! | `gpu` | the engine on graphics adapters, through wgpu |
//!
//! | module | holds |
//! |---|---|
//! | [`engine`] | what computes: burn, extended by one measuring call |
//! | [`self_test`] | known answers that an engine must give before its numbers count |
//! | [`status_led`] | the status LEDs of a board |
//!
//! A [`Session`] is the device's side of the protocol, a frame in, an answer out; [`serve()`] and, with `std`, `serve_overlapped` are the
//! loops that tie it to a link.
#![cfg_attr(not(any(test, feature = "std")), no_std)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod engine;
mod frame_reader;
#[cfg(feature = "std")]
mod overlap;
pub mod self_test;
mod serve;
mod session;
pub mod status_led;

pub use kurtoscope_shared::frame::Framing;
#[cfg(feature = "std")]
pub use overlap::serve_overlapped;
pub use serve::{ServeError, serve};
pub use session::{Board, Session};
