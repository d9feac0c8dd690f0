//! What both ends of Kurtoscope agree on: element types, mergeable statistics and the wire protocol.
//!
//! `no_std` with `alloc`. No burn, no I/O, no checkpoints: a device and a host depend on this crate, it depends on
//! neither.
//!
//! | module | holds |
//! |---|---|
//! | [`element`] | the types of stored numbers and their exact values |
//! | [`lines`] | sums of fourth powers by row and by column |
//! | [`moments`] | count, mean and central moments that merge |
//! | [`tail`] | a histogram of magnitudes that merges |
//! | [`top`] | the elements at both ends, with positions |
//! | [`protocol`] | the messages, and the rules of the conversation |
//! | [`frame`] | how messages are cut out of a byte stream |
//! | [`compression`] | fewer bytes for the same elements, on slow links |
//! | [`quantization`] | schemes of quantization in blocks, and the errors that they make |
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
pub mod lines;
pub mod moments;
pub mod protocol;
pub mod quantization;
pub mod random;
pub mod tail;
pub mod top;
pub mod usb;

pub use element::Element;
pub use lines::Lines;
pub use moments::Moments;
pub use quantization::Noise;
pub use random::Random;
pub use tail::Tail;
pub use top::{Extreme, Top};
