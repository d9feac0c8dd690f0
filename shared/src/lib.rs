//! What both ends of Kurtoscope agree on: element types, mergeable statistics and the wire protocol.
//!
//! `no_std` with `alloc`. No burn, no I/O, no checkpoints: a device and a host depend on this crate, it depends on
//! neither.
//!
//! | module | holds |
//! |---|---|
//! | [`element`] | the types of stored numbers and their exact values |
//! | [`statistics`] | what is measured: moments, histogram, extremes, row and column sums, quantization errors |
//! | [`protocol`] | the messages, and the rules of the conversation |
//! | [`frame`] | how messages are cut out of a byte stream |
//! | [`compression`] | fewer bytes for the same elements, on slow links |
//! | [`quantization`] | schemes of quantization in blocks |
//! | [`random`] | the seeded generator of random numbers |
//! | [`usb`] | how a board shows itself on USB |
#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod compression;
pub mod crc;
pub mod element;
pub mod frame;
pub mod protocol;
pub mod quantization;
pub mod random;
pub mod statistics;
pub mod usb;

pub use element::Element;
pub use random::Random;
pub use statistics::{
    ColumnErrors, Extreme, Extremes, MagnitudeHistogram, Measurement, Moments, QuantizationErrors, Requests,
    RowColumnSums,
};
