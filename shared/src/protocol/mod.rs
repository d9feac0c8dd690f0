//! Messages: what host and device say to each other. This page and [`frame`](crate::frame) are the whole specification.
//!
//! # Conversation
//!
//! ```text
//! host                                   device
//!   Hello { protocol, schema, session } ->
//!                                        <- Welcome { protocol, schema, session, …, limits, self_test }
//!   Chunk { session, sequence 0 } + bytes ->
//!   Chunk { session, sequence 1 } + bytes ->
//!                                        <- Report { session, sequence 0, measurement }
//!   Chunk { session, sequence 2 } + bytes ->
//!                                        <- Report { session, sequence 1, measurement }
//!                                        …
//! ```
//!
//! - **Hello** opens a session under a number of the host's choosing and may be sent at any time; the device forgets the
//!   session before. A device that has been rebooted answers a chunk with [`FaultKind::NoSession`] and is greeted again.
//! - **Version first.** `protocol` and `schema` are the first two fields of Hello and of Welcome in every version, so a
//!   peer of any version can be told apart ([`peek_version`]). A host does not talk to a device that differs in either.
//! - **Window.** A host keeps at most [`Limits::window_bytes`] of payload unanswered, and no payload is longer than
//!   [`Limits::max_payload`]. A device answers the chunks in the order in which they arrive, each with one Report or Fault.
//! - **Compression.** A chunk's elements may travel in a shorter form that [`Welcome::compressions`] names. Limits and
//!   window count the elements' own bytes, whatever their form.
//! - **Loss.** A frame that arrives damaged is counted and answered with [`FaultKind::Damaged`] without a sequence. A host
//!   sends again what was not answered; measuring a chunk twice is harmless, since a report speaks of its chunk alone.
//! - Every answer carries the device's [`LinkHealth`], so that losses are seen at both ends.
//!
//! # Encoding
//!
//! [postcard](https://postcard.jamesmunns.com/wire-format): unsigned integers above 8 bits as LEB128 varints, floats as
//! little-endian bits, an enum as the number of its variant, a sequence as its length and items, an option as 0 or 1 and
//! the value. Variants and fields are in the order of their declaration here; that order is the wire format.

mod fault;
mod limits;
mod measurement;

use alloc::string::String;

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

pub use fault::{Fault, FaultKind};
pub use limits::{Compression, CompressionSet, ElementSet, Limits};
pub use measurement::{MAX_TOP, Measurement, Statistics};

use crate::Element;

/// The version of the conversation's rules.
pub const PROTOCOL_VERSION: u16 = 1;

/// A fingerprint of every message's fields and types: it changes when any of them does.
pub const SCHEMA_HASH: [u8; 8] = postcard_schema::key::hash::fnv1a64::hash_ty_path::<(ToDevice, ToHost)>("kurtoscope");

/// Host to device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub enum ToDevice {
    /// Open a session.
    Hello(Hello),
    /// Measure the elements in the payload.
    Chunk(Chunk),
}

/// Device to host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub enum ToHost {
    /// The session is open.
    Welcome(Welcome),
    /// A chunk was measured.
    Report(Report),
    /// A frame or a chunk could not be used.
    Fault(Fault),
}

/// Opens a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Hello {
    /// The host's [`PROTOCOL_VERSION`].
    pub protocol: u16,
    /// The host's [`SCHEMA_HASH`].
    pub schema: [u8; 8],
    /// The number under which the host will send chunks.
    pub session: u32,
}

/// Introduces the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub struct Welcome {
    /// The device's [`PROTOCOL_VERSION`].
    pub protocol: u16,
    /// The device's [`SCHEMA_HASH`].
    pub schema: [u8; 8],
    /// As in Hello.
    pub session: u32,
    /// The firmware's version.
    pub firmware: String,
    /// The board's name.
    pub board: String,
    /// What tells this board from another of the same kind (a serial number); empty where there is nothing.
    pub identity: String,
    /// Which engine computes.
    pub engine: EngineKind,
    /// The graphics adapter of a GPU engine.
    pub adapter: Option<Adapter>,
    /// What the device can take.
    pub limits: Limits,
    /// The forms of payload that the device understands.
    pub compressions: CompressionSet,
    /// How the device proved itself.
    pub self_test: SelfTest,
}

/// What computes on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum EngineKind {
    /// The processor, in f64 or in f32 blocks merged in f64.
    Cpu,
    /// A graphics adapter, in f32 merged in f64 on the processor.
    Gpu,
}

impl EngineKind {
    /// `cpu` or `gpu`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }
}

/// A graphics adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Adapter {
    /// The driver's name for it.
    pub name: String,
    /// `vulkan`, `metal`, …
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: String,
}

/// The outcome of a device's known-answer test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Schema)]
pub struct SelfTest {
    /// Whether every answer was within `tolerance`.
    pub passed: bool,
    /// Number of known answers compared.
    pub answers: u32,
    /// The largest relative error among them; infinite where an answer was missing or not a number.
    pub max_relative_error: f64,
    /// The relative error that this engine states as its accuracy.
    pub tolerance: f64,
}

/// Announces elements to measure; they are the frame's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Chunk {
    /// The open session.
    pub session: u32,
    /// The host's number for this chunk, echoed in the answer.
    pub sequence: u32,
    /// The host's number for the tensor; for the device's log only.
    pub tensor: u32,
    /// Position of the first element in its tensor.
    pub offset: u64,
    /// Number of elements; they have exactly `count * element.size()` bytes, at most [`Limits::max_payload`].
    pub count: u32,
    /// Type of the elements.
    pub element: Element,
    /// The form of the payload; a compressed one is shorter than the elements.
    pub compression: Compression,
    /// Elements in a row of the tensor; 0 where it has no rows. A chunk holds whole rows, or a part of one row that begins
    /// at a multiple of [`LARGEST_BLOCK`](crate::quantization::LARGEST_BLOCK) in it.
    pub row: u32,
    /// What to measure besides the moments.
    pub statistics: Statistics,
}

/// Answers a chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub struct Report {
    /// As in the chunk.
    pub session: u32,
    /// As in the chunk.
    pub sequence: u32,
    /// What was measured.
    pub measurement: Measurement,
    /// The link as the device sees it.
    pub link: LinkHealth,
}

/// What a device has seen go wrong on its link since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct LinkHealth {
    /// Frames discarded as damaged.
    pub damaged: u32,
    /// Sound frames that could not be used: another session's, malformed or out of limits.
    pub dropped: u32,
}

/// The protocol version and schema hash of a Hello or a Welcome from a peer of any version; `None` for other frames.
pub fn peek_version(content: &[u8]) -> Option<(u16, [u8; 8])> {
    match postcard::take_from_bytes::<(u32, u16, [u8; 8])>(content) {
        Ok(((0, protocol, schema), _)) => Some((protocol, schema)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_version_can_be_read_from_a_later_welcome() {
        // A Welcome of some later version: same first fields, then anything.
        let later = postcard::to_allocvec(&(0u32, 9u16, *b"tomorrow", "and more", 5u64)).expect("encodes");
        assert_eq!(peek_version(&later), Some((9, *b"tomorrow")));
        assert!(postcard::take_from_bytes::<ToHost>(&later[..10]).is_err());
        assert_eq!(peek_version(&[1, 2, 3]), None);
        let hello = ToDevice::Hello(Hello { protocol: PROTOCOL_VERSION, schema: SCHEMA_HASH, session: 4 });
        let bytes = postcard::to_allocvec(&hello).expect("encodes");
        assert_eq!(peek_version(&bytes), Some((PROTOCOL_VERSION, SCHEMA_HASH)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = postcard::take_from_bytes::<ToDevice>(&bytes);
            if let Ok((ToHost::Report(report), _)) = postcard::take_from_bytes::<ToHost>(&bytes) {
                let _ = report.measurement.is_valid(10);
            }
            let _ = peek_version(&bytes);
        }
    }
}
