//! Framing: how messages are cut out of a stream of bytes. This page, [`cobs`] and [`length_prefixed`] are the
//! specification.
//!
//! # A frame
//!
//! ```text
//! header | payload | checksum
//! ```
//!
//! | part | bytes | content |
//! |---|---|---|
//! | header | 1… | one message of [`protocol`](crate::protocol) in postcard encoding, which knows its own length |
//! | payload | 0… | raw bytes that belong to the message: a chunk's elements, little-endian |
//! | checksum | 4 | CRC-32C of header and payload, little-endian |
//!
//! How a receiver finds its beginning and end depends on the kind of link, and follows from it at both ends:
//!
//! | framing | links | host | device |
//! |---|---|---|---|
//! | [`cobs`] | byte streams: UART, CDC-ACM, pseudo-terminals | `serial:`, `pty:`, `qemu:` | `--serial`, `--acm`, `--pty`, boards without an operating system |
//! | [`length_prefixed`] | packets and pipes: USB bulk, standard input and output | `usb:`, `exec:`, `gpu` | `--usb-gadget`, `--stdio` |
//!
//! # Rules
//!
//! - A receiver discards a frame whose checksum differs or that is longer than its limit, counts it as damaged and finds
//!   the next one.
//! - No memory is taken for a length that a frame announces: the buffer grows with the bytes that arrive, up to the
//!   receiver's limit.
//! - **The other framing.** Until the first frame has arrived undamaged, a receiver also looks for a short one
//!   ([`FOREIGN_BYTES`]) in the other framing. A device counts such a frame as damaged, and answers as it does to damage:
//!   in its own framing. So the host receives a frame in the other framing, and refuses the device with both names.
//!
//! # One frame, byte by byte
//!
//! The chunk 0 of session 7: tensor 2, elements 0 to 1, which are a row, two binary16 values (1.0 and 0.0), with the
//! histogram of magnitudes and 16 extremes at each end.
//!
//! ```text
//! header    01            message 1 of ToDevice: Chunk
//!           07            session 7
//!           00            sequence 0
//!           02            tensor 2
//!           00            offset 0
//!           02            count 2
//!           02            element 2: F16
//!           00            compression 0: plain
//!           02            row of 2
//!           02            requests: two entries
//!           02 00         tag 2, histogram of magnitudes: no content
//!           03 01 10      tag 3, extremes: one byte, 16 at each end
//! payload   00 3c 00 00   1.0, 0.0
//! checksum  5a 3b 49 b2   CRC-32C 0xb2493b5a
//!
//! COBS
//!           03 01 07      run of 2, then a zero (sequence)
//!           02 02         run of 1, then a zero (offset)
//!           03 02 02      run of 2, then a zero (compression)
//!           04 02 02 02   run of 3, then a zero (length of the first request)
//!           04 03 01 10   run of 3, then a zero (first byte of 1.0)
//!           02 3c         run of 1, then a zero (first byte of 0.0)
//!           01            run of 0, then a zero (second byte of 0.0)
//!           05 5a 3b 49 b2        run of 4, the end
//!           00            delimiter
//!
//! length-prefixed
//!           fe 4b 53 ff   sync word
//!           13 00 00 00   length: 19 bytes of header and payload
//!           d1 86 04 87   CRC-32C of these eight bytes
//!           01 07 00 02 00 02 02 00 02 02 02 00 03 01 10
//!                         header
//!           00 3c 00 00   payload
//!           5a 3b 49 b2   checksum
//! ```
//!
//! The test `the_worked_example_is_true` builds these bytes.

use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;

use crate::crc::crc32c;

pub mod cobs;
pub mod length_prefixed;

/// Bytes of the checksum at the end of a frame.
pub const CHECKSUM_BYTES: usize = 4;
/// Bytes that a receiver adds to the largest payload for header and checksum.
pub const OVERHEAD_BYTES: usize = 64;
/// The longest frame of the other framing that a receiver recognises, checksum included: enough for a Hello, and for an
/// answer to one.
pub const FOREIGN_BYTES: usize = 512;

/// How a link's frames are delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// [`cobs`]: a zero byte ends a frame, and appears nowhere else.
    Cobs,
    /// [`length_prefixed`]: a frame begins with its length.
    LengthPrefixed,
}

impl Framing {
    /// Every framing.
    pub const ALL: [Self; 2] = [Self::Cobs, Self::LengthPrefixed];

    /// The one that this is not.
    pub const fn other(self) -> Self {
        match self {
            Self::Cobs => Self::LengthPrefixed,
            Self::LengthPrefixed => Self::Cobs,
        }
    }

    /// The most bytes that a frame of `content` bytes (header and payload) takes on the wire.
    pub const fn encoded_len(self, content: usize) -> usize {
        match self {
            Self::Cobs => cobs::encoded_len(content),
            Self::LengthPrefixed => length_prefixed::encoded_len(content),
        }
    }

    /// What a sender that begins to talk sends before its first frame, so that noise before it is cut off.
    pub const fn opening(self) -> &'static [u8] {
        match self {
            Self::Cobs => &[cobs::DELIMITER],
            Self::LengthPrefixed => &[],
        }
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cobs => "COBS",
            Self::LengthPrefixed => "length-prefixed",
        })
    }
}

/// Appends one frame to `out`: `message` in postcard encoding, `payload`, checksum.
///
/// # Errors
/// Those of postcard; none for the messages of [`protocol`](crate::protocol).
pub fn encode<M: Serialize>(
    framing: Framing,
    message: &M,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), postcard::Error> {
    let header = postcard::to_extend(message, Vec::with_capacity(OVERHEAD_BYTES))?;
    let checksum = crc32c(&[&header, payload]).to_le_bytes();
    let parts = [&header[..], payload, &checksum];
    match framing {
        Framing::Cobs => cobs::encode(&parts, out),
        Framing::LengthPrefixed => length_prefixed::encode(&parts, out),
    }
    Ok(())
}

/// The bytes of header and payload in a frame that ends with its checksum.
fn check(frame: &[u8]) -> Result<usize, FrameError> {
    let (content, checksum) =
        frame.split_last_chunk::<CHECKSUM_BYTES>().ok_or(FrameError::Short { len: frame.len() })?;
    let (computed, found) = (crc32c(&[content]), u32::from_le_bytes(*checksum));
    if computed == found { Ok(content.len()) } else { Err(FrameError::Checksum { computed, found }) }
}

/// Why a frame was discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A code byte points past the frame's end: bytes were lost or changed.
    Cut {
        /// Bytes decoded before the end.
        len: usize,
    },
    /// Shorter than a checksum.
    Short {
        /// Bytes decoded.
        len: usize,
    },
    /// Longer than this receiver takes.
    Long {
        /// The receiver's limit in bytes, checksum included.
        limit: usize,
    },
    /// The checksum differs.
    Checksum {
        /// Computed over what arrived.
        computed: u32,
        /// As it arrived.
        found: u32,
    },
    /// The check of a prefix differs.
    Prefix {
        /// Computed over what arrived.
        computed: u32,
        /// As it arrived.
        found: u32,
    },
    /// Bytes between frames, where none belong.
    Noise {
        /// The first of them.
        found: u8,
    },
    /// Undamaged, but in the other framing: the link's ends do not agree.
    OtherFraming {
        /// The framing that arrived.
        found: Framing,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { len } => write!(f, "frame cut off behind byte {len}"),
            Self::Short { len } => write!(f, "frame of {len} bytes is shorter than its checksum of {CHECKSUM_BYTES}"),
            Self::Long { limit } => write!(f, "frame longer than the limit of {limit} bytes"),
            Self::Checksum { computed, found } => {
                write!(f, "frame damaged: checksum {found:08x} on the wire, {computed:08x} computed")
            }
            Self::Prefix { computed, found } => {
                write!(f, "frame's length damaged: check {found:08x} on the wire, {computed:08x} computed")
            }
            Self::Noise { found } => write!(f, "no frame begins with byte {found:02x}"),
            Self::OtherFraming { found } => {
                write!(f, "a {found} frame where {} ones belong", found.other())
            }
        }
    }
}

impl core::error::Error for FrameError {}

/// What [`Decoder::push`] came upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameEvent {
    /// All input is used up and no frame has ended.
    Starved,
    /// A frame is complete and undamaged: [`Decoder::content`] holds it.
    Frame,
    /// A frame ended and was discarded.
    Damaged(FrameError),
}

/// Cuts frames out of a byte stream that arrives in pieces of any size, and resynchronises after damage.
#[derive(Debug)]
pub struct Decoder {
    own: FramingDecoder,
    /// Looks for frames of the other framing until there was one of this.
    foreign: Option<FramingDecoder>,
}

#[derive(Debug)]
enum FramingDecoder {
    Cobs(cobs::Decoder),
    LengthPrefixed(length_prefixed::Decoder),
}

impl Decoder {
    /// A decoder for frames of up to `max_payload` bytes of payload.
    pub fn new(framing: Framing, max_payload: usize) -> Self {
        Self::with_buffer(framing, max_payload, Vec::new())
    }

    /// As [`new`](Self::new), with a buffer of the caller's, so that a small device can allocate once.
    pub fn with_buffer(framing: Framing, max_payload: usize, buffer: Vec<u8>) -> Self {
        let limit = max_payload.saturating_add(OVERHEAD_BYTES);
        Self {
            own: FramingDecoder::new(framing, limit, buffer),
            foreign: Some(FramingDecoder::new(framing.other(), FOREIGN_BYTES, Vec::new())),
        }
    }

    /// Takes bytes from the front of `input`, up to the end of one frame at most. Returns how many were taken (all, on
    /// [`FrameEvent::Starved`]) and what they led to. Call again with the rest, even where nothing is left of it, until it
    /// starves: bytes of a damaged frame may hold whole ones.
    pub fn push(&mut self, input: &[u8]) -> (usize, FrameEvent) {
        let (taken, event) = self.own.push(input);
        if event == FrameEvent::Frame {
            self.foreign = None;
        } else if let Some(found) = self.foreign.as_mut().and_then(|foreign| foreign.search(&input[..taken])) {
            return (taken, FrameEvent::Damaged(FrameError::OtherFraming { found }));
        }
        (taken, event)
    }

    /// Header and payload of the frame that the last [`push`](Self::push) completed; empty otherwise.
    pub fn content(&self) -> &[u8] {
        match &self.own {
            FramingDecoder::Cobs(decoder) => decoder.content(),
            FramingDecoder::LengthPrefixed(decoder) => decoder.content(),
        }
    }

    /// Takes the completed frame's header and payload out, buffer and all. Hand the buffer back with
    /// [`restore`](Self::restore) to save the next allocation.
    pub fn take(&mut self) -> Vec<u8> {
        match &mut self.own {
            FramingDecoder::Cobs(decoder) => decoder.take(),
            FramingDecoder::LengthPrefixed(decoder) => decoder.take(),
        }
    }

    /// Gives a buffer back for reuse; ignored while a frame is arriving.
    pub fn restore(&mut self, buffer: Vec<u8>) {
        match &mut self.own {
            FramingDecoder::Cobs(decoder) => decoder.restore(buffer),
            FramingDecoder::LengthPrefixed(decoder) => decoder.restore(buffer),
        }
    }
}

impl FramingDecoder {
    fn new(framing: Framing, limit: usize, buffer: Vec<u8>) -> Self {
        match framing {
            Framing::Cobs => Self::Cobs(cobs::Decoder::new(limit, buffer)),
            Framing::LengthPrefixed => Self::LengthPrefixed(length_prefixed::Decoder::new(limit, buffer)),
        }
    }

    fn push(&mut self, input: &[u8]) -> (usize, FrameEvent) {
        match self {
            Self::Cobs(decoder) => decoder.push(input),
            Self::LengthPrefixed(decoder) => decoder.push(input),
        }
    }

    /// Takes all of `input`; this framing, where a frame with anything in it ended there.
    fn search(&mut self, mut input: &[u8]) -> Option<Framing> {
        let mut found = None;
        loop {
            let (taken, event) = self.push(input);
            input = &input[taken..];
            match (event, &*self) {
                (FrameEvent::Starved, _) => return found,
                // An empty frame is too easily made of noise.
                (FrameEvent::Frame, Self::Cobs(decoder)) if !decoder.content().is_empty() => {
                    found = Some(Framing::Cobs)
                }
                (FrameEvent::Frame, Self::LengthPrefixed(_)) => found = Some(Framing::LengthPrefixed),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
