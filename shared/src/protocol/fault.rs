//! What can be wrong with a frame or a chunk.

use serde::{Deserialize, Serialize};

use super::LinkHealth;
use crate::Element;

/// Reports what could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// A frame arrived damaged and was discarded: send again what is unanswered.
    Damaged,
    /// An intact frame that is no message of this protocol.
    Malformed,
    /// A chunk without a session, or for another one: the handshake comes first.
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
    /// A compressed payload does not decompress to the elements that the chunk announces.
    Compression,
    /// The payload is longer than the device takes.
    TooLarge {
        /// Bytes found.
        found: u32,
        /// [`Limits::max_payload`](super::Limits::max_payload).
        max: u32,
    },
    /// Something is asked for that cannot be measured of a chunk at this position in its rows.
    Request,
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
            Self::Compression => write!(f, "a chunk's compressed payload does not decompress to its elements"),
            Self::TooLarge { found, max } => write!(f, "a payload of {found} bytes exceeds the limit of {max}"),
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
