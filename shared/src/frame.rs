//! Framing: how messages are cut out of a byte stream, on every link alike. This page is the specification.
//!
//! # A frame
//!
//! ```text
//! COBS( header | payload | checksum ) 00
//! ```
//!
//! | part | bytes | content |
//! |---|---|---|
//! | header | 1… | one message of [`protocol`](crate::protocol) in postcard encoding, which knows its own length |
//! | payload | 0… | raw bytes that belong to the message: a chunk's elements, little-endian |
//! | checksum | 4 | CRC-32C of header and payload, little-endian |
//!
//! COBS (consistent overhead byte stuffing; S. Cheshire and M. Baker, IEEE/ACM Transactions on Networking 7, 1999)
//! replaces every zero byte, at a cost of at most one byte in 254, so that the zero byte can mean one thing only: here a
//! frame ends. Every run of up to 254 bytes without a zero is preceded by a code byte, its length plus one; a code below
//! 255 also stands for the zero behind its run, except at the end of the frame.
//!
//! # Rules
//!
//! - Two delimiters in a row enclose nothing and mean nothing. A sender that begins to talk sends one delimiter first, so
//!   that noise picked up before is cut off.
//! - A receiver discards a frame whose code bytes point past its end, that is shorter than a checksum, longer than the
//!   receiver's limit, or whose checksum differs; it counts the frame as damaged and goes on behind the next
//!   delimiter. One damaged byte costs at most two frames: its own, and the next one if it hit the delimiter.
//! - Nothing in a frame announces a length that the receiver would have to allocate: the buffer grows with the bytes that
//!   arrive, up to the receiver's limit.
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
//! on the wire
//!           03 01 07      run of 2, then a zero (sequence)
//!           02 02         run of 1, then a zero (offset)
//!           03 02 02      run of 2, then a zero (compression)
//!           04 02 02 02   run of 3, then a zero (length of the first request)
//!           04 03 01 10   run of 3, then a zero (first byte of 1.0)
//!           02 3c         run of 1, then a zero (first byte of 0.0)
//!           01            run of 0, then a zero (second byte of 0.0)
//!           05 5a 3b 49 b2        run of 4, the end
//!           00            delimiter
//! ```
//!
//! The test `the_worked_example_is_true` builds these bytes.

use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;

use crate::crc::crc32c;

/// The byte that ends a frame and appears nowhere inside one.
pub const DELIMITER: u8 = 0;
/// Bytes of the checksum at the end of a frame.
pub const CHECKSUM_BYTES: usize = 4;
/// Room that a receiver adds to the largest payload for header and checksum.
pub const OVERHEAD_BYTES: usize = 64;
/// The longest run behind one code byte.
const RUN: usize = 254;

/// The most bytes that a frame of `content` bytes (header and payload) takes on the wire.
pub const fn encoded_len(content: usize) -> usize {
    let stuffed = content + CHECKSUM_BYTES;
    stuffed + stuffed / RUN + 2
}

/// Appends one frame to `out`: `message` in postcard encoding, `payload`, checksum, delimiter.
///
/// # Errors
/// Those of postcard; none for the messages of [`protocol`](crate::protocol).
pub fn encode<M: Serialize>(message: &M, payload: &[u8], out: &mut Vec<u8>) -> Result<(), postcard::Error> {
    let header = postcard::to_extend(message, Vec::with_capacity(OVERHEAD_BYTES))?;
    let checksum = crc32c(&[&header, payload]).to_le_bytes();
    out.reserve(encoded_len(header.len() + payload.len()));
    let mut stuffing = Stuffing::begin(out);
    stuffing.write(&header);
    stuffing.write(payload);
    stuffing.write(&checksum);
    stuffing.end();
    Ok(())
}

/// COBS encoding in progress at the end of a buffer.
struct Stuffing<'a> {
    out: &'a mut Vec<u8>,
    /// Where the code byte of the open run stands.
    code_at: usize,
}

impl<'a> Stuffing<'a> {
    fn begin(out: &'a mut Vec<u8>) -> Self {
        let code_at = out.len();
        out.push(DELIMITER);
        Self { out, code_at }
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let open = self.out.len() - self.code_at - 1;
            if open == RUN {
                self.close();
                continue;
            }
            let reach = &bytes[..bytes.len().min(RUN - open)];
            match memchr::memchr(DELIMITER, reach) {
                Some(zero) => {
                    self.out.extend_from_slice(&reach[..zero]);
                    self.close();
                    bytes = &bytes[zero + 1..];
                }
                None => {
                    self.out.extend_from_slice(reach);
                    bytes = &bytes[reach.len()..];
                }
            }
        }
    }

    /// Writes the open run's code and opens the next run.
    fn close(&mut self) {
        self.settle();
        self.code_at = self.out.len();
        self.out.push(DELIMITER);
    }

    fn end(mut self) {
        self.settle();
        self.out.push(DELIMITER);
    }

    fn settle(&mut self) {
        // At most 254 + 1, by the bound in `write`.
        self.out[self.code_at] = (self.out.len() - self.code_at) as u8;
    }
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
        }
    }
}

impl core::error::Error for FrameError {}

/// What [`Decoder::push`] came upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameEvent {
    /// All input is used up and no frame has ended.
    Starved,
    /// A frame is complete and sound: [`Decoder::content`] holds it.
    Frame,
    /// A frame ended and was discarded.
    Damaged(FrameError),
}

/// Cuts frames out of a byte stream that arrives in pieces of any size, and finds its way back after damage.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    limit: usize,
    /// Bytes of the current run that are still to come.
    run: u8,
    /// The run's end stands for a zero byte, unless the frame ends there.
    zero_due: bool,
    /// The frame is longer than the limit: skip to its end.
    skipping: bool,
    /// The last push completed a frame, which the next push discards.
    complete: bool,
}

impl Decoder {
    /// A decoder for frames of up to `max_payload` bytes of payload.
    pub fn new(max_payload: usize) -> Self {
        Self::with_buffer(max_payload, Vec::new())
    }

    /// As [`new`](Self::new), with a buffer of the caller's, so that a small device can allocate once.
    pub fn with_buffer(max_payload: usize, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        let limit = max_payload.saturating_add(OVERHEAD_BYTES);
        Self { buffer, limit, run: 0, zero_due: false, skipping: false, complete: false }
    }

    /// Takes bytes from the front of `input`, up to the end of one frame at most. Returns how many were taken (all, on
    /// [`FrameEvent::Starved`]) and what they led to. Call again with the rest.
    pub fn push(&mut self, input: &[u8]) -> (usize, FrameEvent) {
        if self.complete {
            self.reset();
        }
        let mut taken = 0;
        while let Some(&byte) = input.get(taken) {
            if byte == DELIMITER {
                taken += 1;
                match self.finish() {
                    FrameEvent::Starved => continue,
                    event => return (taken, event),
                }
            }
            if self.run == 0 {
                if self.zero_due {
                    self.append(&[DELIMITER]);
                }
                self.run = byte - 1;
                self.zero_due = byte != u8::MAX;
                taken += 1;
                continue;
            }
            let rest = &input[taken..];
            let reach = &rest[..rest.len().min(usize::from(self.run))];
            // A delimiter inside a run ends the frame early; `finish` finds the run unfinished.
            let run = memchr::memchr(DELIMITER, reach).map_or(reach, |end| &reach[..end]);
            self.append(run);
            // At most `self.run`, by the bound above.
            self.run -= run.len() as u8;
            taken += run.len();
        }
        (taken, FrameEvent::Starved)
    }

    /// Header and payload of the frame that the last [`push`](Self::push) completed; empty otherwise.
    pub fn content(&self) -> &[u8] {
        if self.complete { &self.buffer } else { &[] }
    }

    /// Takes the completed frame's header and payload out, buffer and all. Hand the buffer back with
    /// [`restore`](Self::restore) to save the next allocation.
    pub fn take(&mut self) -> Vec<u8> {
        let content = if self.complete { core::mem::take(&mut self.buffer) } else { Vec::new() };
        self.reset();
        content
    }

    /// Gives a buffer back for reuse; ignored while a frame is arriving.
    pub fn restore(&mut self, mut buffer: Vec<u8>) {
        if self.buffer.is_empty() && buffer.capacity() > self.buffer.capacity() {
            buffer.clear();
            self.buffer = buffer;
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.skipping {
            return;
        }
        if self.buffer.len() + bytes.len() > self.limit {
            self.skipping = true;
            return;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Judges the frame that ended.
    fn finish(&mut self) -> FrameEvent {
        let len = self.buffer.len();
        let error = if self.skipping {
            FrameError::Long { limit: self.limit }
        } else if self.run != 0 {
            FrameError::Cut { len }
        } else if len == 0 && !self.zero_due {
            return FrameEvent::Starved;
        } else {
            match self.buffer.split_last_chunk::<CHECKSUM_BYTES>() {
                None => FrameError::Short { len },
                Some((content, checksum)) => {
                    let (computed, found) = (crc32c(&[content]), u32::from_le_bytes(*checksum));
                    if computed == found {
                        self.buffer.truncate(len - CHECKSUM_BYTES);
                        self.complete = true;
                        return FrameEvent::Frame;
                    }
                    FrameError::Checksum { computed, found }
                }
            }
        };
        self.reset();
        FrameEvent::Damaged(error)
    }

    fn reset(&mut self) {
        self.buffer.clear();
        self.run = 0;
        self.zero_due = false;
        self.skipping = false;
        self.complete = false;
    }
}

#[cfg(test)]
mod tests;
