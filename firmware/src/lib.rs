//! The device side of Kurtoscope: receives chunks of tensors, measures them with burn, answers with mergeable reports.
//!
//! A board brings a byte stream ([`embedded_io`]), perhaps two lights ([`embedded_hal`]), and an allocator; everything
//! else is here. `no_std` with `alloc` unless the feature `std` is on, which adds vector instructions chosen at run time
//! and the command `kurtoscope-device` for boards that run Linux.
//!
//! | module | holds |
//! |---|---|
//! | [`engine`] | what computes: burn, extended by one measuring call |
//! | [`self_test`] | known answers that an engine must give before its numbers count |
//! | [`session`] | the device's side of the protocol: a frame in, an answer out |
//! | [`mod@serve`], [`overlap`] (`std`) | the loops that tie a session to a link |
//! | [`status_led`] | the status LEDs of a board |
#![cfg_attr(not(any(test, feature = "std")), no_std)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod engine;
mod frame_reader;
#[cfg(feature = "std")]
pub mod overlap;
pub mod self_test;
pub mod serve;
pub mod session;
pub mod status_led;

pub use kurtoscope_shared::frame::Framing;
#[cfg(feature = "std")]
pub use overlap::serve_overlapped;
pub use serve::{ServeError, serve};
pub use session::{Board, Session};
