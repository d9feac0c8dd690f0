//! The messages between host and device. This page and [`frame`](crate::frame) are the whole specification.
//!
//! # Conversation
//!
//! ```text
//! host                                   device
//!   Hello { protocol, session } ->
//!                                        <- Welcome { protocol, session, …, limits, statistics, …, self_test }
//!   Chunk { session, sequence 0, …, requests } + bytes ->
//!   Chunk { session, sequence 1, …, requests } + bytes ->
//!                                        <- Report { session, sequence 0, payload_checksum, …, measurement }
//!   Chunk { session, sequence 2, …, requests } + bytes ->
//!                                        <- Report { session, sequence 1, payload_checksum, …, measurement }
//!                                        …
//! ```
//!
//! - **Hello** opens a session under a number of the host's choosing and may be sent at any time; the device forgets the
//!   session before. A device that was rebooted answers a chunk with [`FaultKind::NoSession`] and gets a Hello again.
//! - **Version first.** `protocol` is the first field of Hello and of Welcome in every version, so a peer of any version can
//!   be recognised ([`peek_version`]). It changes with the rules of the conversation and with the messages on this page. A
//!   host sends no chunk to a device of another version.
//! - **Statistics by tag and key.** What is measured may differ between the two ends. [`Welcome::statistics`] lists the
//!   statistics that the device measures, each with its tag and with a key that changes with its fields
//!   ([`Statistic::KEY`](crate::statistics::Statistic::KEY)). A host asks only for those whose tag and key it has itself, and
//!   not at all without the moments, which are part of every report. A device ignores a request whose tag it does not know,
//!   and a reader of a report skips such an entry.
//! - **Room to grow.** [`Welcome::capabilities`] is a list of (tag, length, bytes) as well, whose unknown tags a host skips: what
//!   firmware offers besides measuring can be added without a new version.
//! - **Content.** A report carries the CRC-32C of the elements that were measured, uncompressed. A host refuses a report whose
//!   checksum is not that of the chunk with this number.
//! - **Window.** A host keeps at most [`Limits::window_bytes`] of payload unanswered, and no payload is longer than
//!   [`Limits::max_payload`]. A device answers the chunks in the order in which they arrive, each with one Report or Fault.
//! - **Compression.** A chunk's elements may travel in a shorter form that [`Welcome::compressions`] names. Limits and
//!   window count the elements' own bytes, whatever their form.
//! - **Loss.** A frame that arrives damaged is counted and answered with [`FaultKind::Damaged`] without a sequence. A host
//!   sends again what was not answered; measuring a chunk twice is harmless, since a report is about its chunk alone.
//! - Every answer carries the device's [`LinkHealth`], so that losses are seen at both ends.
//!
//! # Encoding
//!
//! [postcard](https://postcard.jamesmunns.com/wire-format): unsigned integers above 8 bits as LEB128 varints, floats as
//! little-endian bits, an enum as the number of its variant, a sequence as its length and items, an option as 0 or 1 and
//! the value. Variants and fields are in the order of their declaration here; that order is the wire format.
//!
//! [`Chunk::requests`] and [`Report::measurement`] are lists with an entry for each statistic, in ascending order of tags:
//!
//! | field | type | content |
//! |---|---|---|
//! | tag | varint | which statistic: [`Statistic::TAG`](crate::statistics::Statistic::TAG) |
//! | length | varint | bytes that follow |
//! | content | bytes | the request, or what was measured, in postcard encoding |

mod fault;
mod limits;

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Deserializer, Serialize};

pub use fault::{Fault, FaultKind};
pub use limits::{Compression, CompressionSet, ElementSet, Limits};

use crate::{Element, Measurement, Requests, statistics::StatisticKey};

/// The version of the conversation's rules and messages.
pub const PROTOCOL_VERSION: u16 = 2;

/// Host to device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToDevice {
    /// Open a session.
    Hello(Hello),
    /// Measure the elements in the payload.
    Chunk(Chunk),
}

/// Device to host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToHost {
    /// The session is open.
    Welcome(Welcome),
    /// A chunk was measured.
    Report(Report),
    /// A frame or a chunk could not be used.
    Fault(Fault),
}

/// Opens a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The host's [`PROTOCOL_VERSION`].
    pub protocol: u16,
    /// The number under which the host will send chunks.
    pub session: u32,
}

/// Introduces the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The device's [`PROTOCOL_VERSION`].
    pub protocol: u16,
    /// As in Hello.
    pub session: u32,
    /// The firmware's version.
    pub firmware: String,
    /// The board's name.
    pub board: String,
    /// What identifies this board among others of the same kind (a serial number); empty where there is nothing.
    pub identity: String,
    /// Which engine computes.
    pub engine: EngineKind,
    /// The graphics adapter of a GPU engine.
    pub adapter: Option<Adapter>,
    /// What the device can take.
    pub limits: Limits,
    /// The statistics that the device measures.
    pub statistics: Vec<StatisticKey>,
    /// The forms of payload that the device understands.
    pub compressions: CompressionSet,
    /// How the device proved itself.
    pub self_test: SelfTest,
    /// What the device offers beyond this page, in ascending order of tags. A Welcome that ends before this list has none.
    #[serde(deserialize_with = "none_at_the_end")]
    pub capabilities: Vec<Capability>,
}

/// Something that a device offers and that this version of the protocol does not depend on: what firmware may add while the
/// version stays. A host skips the tags that it does not know. No tag is assigned yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// Which capability.
    pub tag: u16,
    /// Its description, in postcard encoding.
    pub content: Vec<u8>,
}

/// What computes on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// The driver's name for it.
    pub name: String,
    /// `vulkan`, `metal`, …
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: String,
}

/// The outcome of a device's known-answer test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    pub requests: Requests,
}

/// Answers a chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// As in the chunk.
    pub session: u32,
    /// As in the chunk.
    pub sequence: u32,
    /// CRC-32C of the elements that were measured, as they were before compression.
    pub payload_checksum: u32,
    /// The link as the device sees it.
    pub link: LinkHealth,
    /// What was measured.
    pub measurement: Measurement,
}

/// What a device has seen go wrong on its link since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkHealth {
    /// Frames discarded as damaged.
    pub damaged: u32,
    /// Intact frames that could not be used: another session's, malformed or out of limits.
    pub dropped: u32,
}

fn none_at_the_end<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Capability>, D::Error> {
    // Damage is the frame's business: what cannot be read here is not there.
    Ok(Vec::deserialize(deserializer).unwrap_or_default())
}

/// The protocol version of a Hello or a Welcome from a peer of any version; `None` for other frames.
pub fn peek_version(content: &[u8]) -> Option<u16> {
    match postcard::take_from_bytes::<(u32, u16)>(content) {
        Ok(((0, protocol), _)) => Some(protocol),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Moments, statistics::ChunkSpan};
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn the_version_can_be_read_from_a_later_welcome() {
        // A Welcome of some later version: same first field, then anything.
        let later = postcard::to_allocvec(&(0u32, 9u16, "and more", 5u64)).expect("encodes");
        assert_eq!(peek_version(&later), Some(9));
        assert!(postcard::take_from_bytes::<ToHost>(&later[..6]).is_err());
        assert_eq!(peek_version(&[1, 2, 3]), None);
        let hello = ToDevice::Hello(Hello { protocol: PROTOCOL_VERSION, session: 4 });
        let bytes = postcard::to_allocvec(&hello).expect("encodes");
        assert_eq!(peek_version(&bytes), Some(PROTOCOL_VERSION));
    }

    #[test]
    fn entries_with_unknown_tags_are_skipped() {
        let report = Report {
            session: 1,
            sequence: 2,
            payload_checksum: 3,
            link: LinkHealth::default(),
            measurement: Measurement { moments: Moments::of(2.5), ..Measurement::default() },
        };
        let known = postcard::to_allocvec(&report).expect("encodes");
        // The list has one entry; a later device adds one with a tag that nobody has today.
        let prefix = known.len() - postcard::to_allocvec(&report.measurement).expect("encodes").len();
        let mut later = known.clone();
        later[prefix] = 2;
        later.extend(postcard::to_allocvec(&(60_000u16, b"whatever".as_slice())).expect("encodes"));
        assert_eq!(postcard::from_bytes::<Report>(&later), Ok(report.clone()));
        // The same for requests.
        let asked = postcard::to_allocvec(&vec![(2u16, b"".as_slice()), (60_000, b"please")]).expect("encodes");
        let expected = Requests { histogram: Some(()), ..Requests::MOMENTS };
        assert_eq!(postcard::from_bytes::<Requests>(&asked), Ok(expected));
        // A known tag twice, or out of order, is no report; nor is content of another length.
        for entries in
            [vec![(2u16, b"".as_slice()), (2, b"")], vec![(4, b""), (2, b"")], vec![(2, b"1")], vec![(3, b"\x00")]]
        {
            let bytes = postcard::to_allocvec(&entries).expect("encodes");
            assert!(postcard::from_bytes::<Requests>(&bytes).is_err(), "{entries:?}");
        }
    }

    #[test]
    fn a_welcome_grows_without_a_new_version() {
        let later = Welcome {
            protocol: PROTOCOL_VERSION,
            session: 7,
            firmware: "9.0.0".into(),
            board: "board".into(),
            identity: String::new(),
            engine: EngineKind::Cpu,
            adapter: None,
            limits: Limits { max_payload: 64, window_bytes: 64, elements: ElementSet::ALL },
            statistics: vec![StatisticKey { tag: 60_000, key: *b"tomorrow" }],
            compressions: CompressionSet(0xff),
            self_test: SelfTest { passed: true, answers: 1, max_relative_error: 0.0, tolerance: 1e-10 },
            capabilities: vec![Capability { tag: 60_000, content: b"whatever".into() }],
        };
        let bytes = postcard::to_allocvec(&ToHost::Welcome(later.clone())).expect("encodes");
        assert_eq!(postcard::from_bytes(&bytes), Ok(ToHost::Welcome(later.clone())));
        let plain = Welcome { capabilities: Vec::new(), ..later };
        let mut bytes = postcard::to_allocvec(&ToHost::Welcome(plain.clone())).expect("encodes");
        assert_eq!(bytes.pop(), Some(0), "the length of the list");
        assert_eq!(postcard::from_bytes(&bytes), Ok(ToHost::Welcome(plain)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = postcard::take_from_bytes::<ToDevice>(&bytes);
            if let Ok((ToHost::Report(report), _)) = postcard::take_from_bytes::<ToHost>(&bytes) {
                let span = ChunkSpan { offset: 0, count: 10, row: 5 };
                let _ = report.measurement.check(&Requests::FULL, &span, 0.0);
            }
            let _ = peek_version(&bytes);
        }
    }
}
