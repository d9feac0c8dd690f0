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
//! - **Packing.** A chunk's elements may travel in a shorter form that [`Welcome::packings`] names. Limits and window count
//!   the elements' own bytes, whatever their form.
//! - **Loss.** A frame that arrives damaged is counted and answered with [`FaultKind::Damaged`] without a sequence. A host
//!   sends again what was not answered; measuring a chunk twice is harmless, since a report speaks of its chunk alone.
//! - Every answer carries the device's [`LinkHealth`], so that losses are seen at both ends.
//!
//! # Encoding
//!
//! [postcard](https://postcard.jamesmunns.com/wire-format): unsigned integers above 8 bits as LEB128 varints, floats as
//! little-endian bits, an enum as the number of its variant, a sequence as its length and items, an option as 0 or 1 and
//! the value. Variants and fields are in the order of their declaration here; that order is the wire format.

use alloc::string::String;

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

use crate::{Element, Lines, Moments, Noise, Tail, Top};

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
    pub packings: PackingSet,
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

/// What a device can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Limits {
    /// Largest payload of one chunk, bytes.
    pub max_payload: u32,
    /// Largest sum of unanswered payloads, bytes; at least `max_payload`.
    pub window_bytes: u32,
    /// The element types that the engine measures.
    pub elements: ElementSet,
    /// What the engine measures besides the moments; a host asks for no more.
    pub statistics: Statistics,
}

/// A set of element types: bit `n` stands for the `n`th of [`Element::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ElementSet(pub u32);

impl ElementSet {
    /// Every element type.
    pub const ALL: Self = Self((1 << Element::ALL.len()) - 1);

    /// Whether `element` is in the set.
    pub const fn contains(self, element: Element) -> bool {
        self.0 >> (element as u32) & 1 == 1
    }
}

/// The form in which a chunk's elements travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Packing {
    /// As they are.
    Plain,
    /// In the form of [`packing`](crate::packing), which is shorter.
    Planes,
}

/// A set of forms of payload: bit `n` stands for the `n`th variant of [`Packing`]. Plain payloads are always understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PackingSet(pub u8);

impl PackingSet {
    /// Plain payloads alone.
    pub const PLAIN: Self = Self(1 << Packing::Plain as u8);
    /// Every form.
    pub const ALL: Self = Self(Self::PLAIN.0 | 1 << Packing::Planes as u8);

    /// Whether `packing` is in the set.
    pub const fn contains(self, packing: Packing) -> bool {
        self.0 >> (packing as u8) & 1 == 1
    }
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
    /// The form of the payload; a packed one is shorter than the elements.
    pub packing: Packing,
    /// Elements in a row of the tensor; 0 where it has no rows. A chunk holds whole rows, or a part of one row that begins
    /// at a multiple of [`LARGEST_BLOCK`](crate::quantization::LARGEST_BLOCK) in it.
    pub row: u32,
    /// What to measure besides the moments.
    pub statistics: Statistics,
}

/// What a chunk's report holds besides the moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Statistics {
    /// The histogram of magnitudes.
    pub tail: bool,
    /// How many elements to keep at each end; at most [`MAX_TOP`].
    pub top: u8,
    /// The errors of quantizing: of every element (1), or of one element of 2, 4, 8, 16, 32 or 64; 0 for none.
    pub quantization: u8,
    /// The sums of fourth powers by row and by column.
    pub lines: bool,
}

/// The most elements that a report keeps at each end.
pub const MAX_TOP: u8 = 64;

impl Statistics {
    /// The moments alone.
    pub const MOMENTS: Self = Self { tail: false, top: 0, quantization: 0, lines: false };
    /// The moments, the tail and the top 16.
    pub const TAILS: Self = Self { tail: true, top: 16, ..Self::MOMENTS };
    /// Everything a report shows, errors of quantizing of every element.
    pub const FULL: Self = Self { quantization: 1, lines: true, ..Self::TAILS };

    /// What is in both; of two densities of quantizing the one that takes fewer elements.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let quantization = match (self.quantization, other.quantization) {
            (0, _) | (_, 0) => 0,
            (own, other) => own.max(other),
        };
        Self {
            tail: self.tail && other.tail,
            top: self.top.min(other.top),
            quantization,
            lines: self.lines && other.lines,
        }
    }
}

/// What was measured in one chunk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Schema)]
pub struct Measurement {
    /// Count, moments, extremes and counts of special elements.
    pub moments: Moments,
    /// Histogram of magnitudes; empty unless asked for.
    pub tail: Tail,
    /// Both ends, positions counted from the chunk's first element; empty unless asked for.
    pub top: Top,
    /// The errors of quantizing; empty unless asked for.
    pub noise: Noise,
    /// Sums of fourth powers by row and by column; empty unless asked for.
    pub lines: Lines,
}

impl Measurement {
    /// Whether the parts fit each other and a chunk of `count` elements. A host checks a device's answer with this.
    pub fn is_valid(&self, count: u64) -> bool {
        let moments = &self.moments;
        moments.count.checked_add(moments.non_finite) == Some(count)
            && moments.zeros <= moments.count
            && self.tail.is_valid()
            && (self.tail.is_empty() || self.tail.total().checked_add(moments.zeros) == Some(moments.count))
            && self.top.is_valid(count)
            && self.noise.is_valid()
            && self.lines.is_valid(count)
    }
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

/// Says what could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Fault {
    /// The open session; 0 where there is none.
    pub session: u32,
    /// The chunk that it is about; none where that cannot be known.
    pub sequence: Option<u32>,
    /// What is wrong.
    pub kind: FaultKind,
    /// The link as the device sees it.
    pub link: LinkHealth,
}

/// What can be wrong with a frame or a chunk, with the numbers that show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum FaultKind {
    /// A frame arrived damaged and was discarded: send again what is unanswered.
    Damaged,
    /// A sound frame that is no message of this protocol.
    Malformed,
    /// A chunk without a session, or for another one: greet first.
    NoSession {
        /// The session that the chunk named.
        found: u32,
    },
    /// The payload does not have the bytes that count and element type need.
    PayloadLength {
        /// Bytes needed.
        expected: u64,
        /// Bytes found.
        found: u32,
    },
    /// A packed payload does not unpack to the elements that the chunk announces.
    Packing,
    /// The payload is longer than the device takes.
    TooLarge {
        /// Bytes found.
        found: u32,
        /// [`Limits::max_payload`].
        max: u32,
    },
    /// A density of quantizing other than 0, 1, 2, 4, 8, 16, 32 and 64, or a row that no chunk of this kind can be a part of.
    Request,
    /// More elements asked for at each end than [`MAX_TOP`].
    TopTooLarge {
        /// As asked for.
        found: u8,
        /// [`MAX_TOP`].
        max: u8,
    },
    /// The engine does not measure this element type.
    UnsupportedElement {
        /// As asked for.
        element: Element,
    },
    /// The engine failed; the chunk may be sent again, here or elsewhere.
    Engine,
    /// The graphics adapter's memory did not hold the chunk; a smaller one may fit.
    OutOfMemory,
    /// The graphics adapter was lost and opened again; what was in flight is to be sent again.
    DeviceLost,
    /// The graphics adapter refused the kernel or could not compile it.
    Kernel,
    /// The engine failed in a way from which it does not recover.
    Unfit,
}

impl core::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Damaged => write!(f, "a frame arrived damaged"),
            Self::Malformed => write!(f, "a frame held no message of this protocol"),
            Self::NoSession { found } => write!(f, "a chunk came for session {found}, which is not open"),
            Self::PayloadLength { expected, found } => {
                write!(f, "a chunk's elements need {expected} bytes, {found} arrived")
            }
            Self::Packing => write!(f, "a chunk's packed payload does not unpack to its elements"),
            Self::TooLarge { found, max } => write!(f, "a payload of {found} bytes exceeds the limit of {max}"),
            Self::TopTooLarge { found, max } => write!(f, "{found} elements asked for at each end, {max} is the most"),
            Self::Request => write!(f, "a chunk asks for something that cannot be measured of it"),
            Self::UnsupportedElement { element } => write!(f, "the engine does not measure {element}"),
            Self::Engine => write!(f, "the engine failed on a chunk"),
            Self::OutOfMemory => write!(f, "the graphics adapter ran out of memory"),
            Self::DeviceLost => write!(f, "the graphics adapter was lost and opened again"),
            Self::Kernel => write!(f, "the graphics adapter could not run the kernel"),
            Self::Unfit => write!(f, "the engine failed and does not recover"),
        }
    }
}

impl core::error::Error for FaultKind {}

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

    #[test]
    fn the_element_set_names_its_elements() {
        assert!(Element::ALL.into_iter().all(|element| ElementSet::ALL.contains(element)));
        let only_f16 = ElementSet(1 << Element::F16 as u32);
        assert!(only_f16.contains(Element::F16) && !only_f16.contains(Element::F32));
        for (index, element) in Element::ALL.into_iter().enumerate() {
            assert_eq!(element as usize, index, "ALL is in wire order");
        }
    }

    #[test]
    fn answers_that_do_not_add_up_are_invalid() {
        let sound = Measurement { moments: Moments::of(2.0), ..Measurement::default() };
        assert!(sound.is_valid(1));
        assert!(!sound.is_valid(2));
        let tail = Tail::from_dense(&[0u32, 0, 3]);
        assert!(!Measurement { tail, ..sound.clone() }.is_valid(1));
        assert!(!Measurement { moments: Moments { zeros: 2, ..sound.moments }, ..sound }.is_valid(1));
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
