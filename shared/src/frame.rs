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
//! The chunk 0 of session 7: tensor 2, elements 0 to 1, two binary16 values (1.0 and 0.0), with the tail histogram and
//! the top 16.
//!
//! ```text
//! header    01            message 1 of ToDevice: Chunk
//!           07            session 7
//!           00            sequence 0
//!           02            tensor 2
//!           00            offset 0
//!           02            count 2
//!           02            element 2: F16
//!           01            statistics: tail, yes
//!           10            statistics: top 16
//! payload   00 3c 00 00   1.0, 0.0
//! checksum  ff 85 99 9c   CRC-32C 0x9c9985ff
//!
//! on the wire
//!           03 01 07      run of 2, then a zero (sequence)
//!           02 02         run of 1, then a zero (offset)
//!           05 02 02 01 10        run of 4, then a zero (first byte of 1.0)
//!           02 3c         run of 1, then a zero (first byte of 0.0)
//!           01            run of 0, then a zero (second byte of 0.0)
//!           05 ff 85 99 9c        run of 4, the end
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
pub enum Event {
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
    /// [`Event::Starved`]) and what they led to. Call again with the rest.
    pub fn push(&mut self, input: &[u8]) -> (usize, Event) {
        if self.complete {
            self.reset();
        }
        let mut taken = 0;
        while let Some(&byte) = input.get(taken) {
            if byte == DELIMITER {
                taken += 1;
                match self.finish() {
                    Event::Starved => continue,
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
        (taken, Event::Starved)
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
    fn finish(&mut self) -> Event {
        let len = self.buffer.len();
        let error = if self.skipping {
            FrameError::Long { limit: self.limit }
        } else if self.run != 0 {
            FrameError::Cut { len }
        } else if len == 0 && !self.zero_due {
            return Event::Starved;
        } else {
            match self.buffer.split_last_chunk::<CHECKSUM_BYTES>() {
                None => FrameError::Short { len },
                Some((content, checksum)) => {
                    let (computed, found) = (crc32c(&[content]), u32::from_le_bytes(*checksum));
                    if computed == found {
                        self.buffer.truncate(len - CHECKSUM_BYTES);
                        self.complete = true;
                        return Event::Frame;
                    }
                    FrameError::Checksum { computed, found }
                }
            }
        };
        self.reset();
        Event::Damaged(error)
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
mod tests {
    use super::*;
    use crate::Element;
    use crate::protocol::{Chunk, Statistics, ToDevice};
    use alloc::vec;
    use proptest::prelude::*;

    /// Everything that comes out of `stream` when it arrives in pieces of `piece` bytes.
    fn decode(stream: &[u8], piece: usize, max_payload: usize) -> Vec<Result<Vec<u8>, FrameError>> {
        let mut decoder = Decoder::new(max_payload);
        let mut found = Vec::new();
        for mut part in stream.chunks(piece.max(1)) {
            while !part.is_empty() {
                let (taken, event) = decoder.push(part);
                part = &part[taken..];
                match event {
                    Event::Starved => assert!(part.is_empty()),
                    Event::Frame => found.push(Ok(decoder.content().to_vec())),
                    Event::Damaged(error) => found.push(Err(error)),
                }
            }
        }
        found
    }

    /// A frame around raw content: `()` encodes to no header bytes at all.
    fn frame(content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&(), content, &mut out).expect("encodes");
        out
    }

    #[test]
    fn the_worked_example_is_true() {
        let chunk = ToDevice::Chunk(Chunk {
            session: 7,
            sequence: 0,
            tensor: 2,
            offset: 0,
            count: 2,
            element: Element::F16,
            statistics: Statistics { tail: true, top: 16 },
        });
        let mut wire = Vec::new();
        encode(&chunk, &[0x00, 0x3c, 0x00, 0x00], &mut wire).expect("encodes");
        let expected = [
            0x03, 0x01, 0x07, 0x02, 0x02, 0x05, 0x02, 0x02, 0x01, 0x10, 0x02, 0x3c, 0x01, 0x05, 0xff, 0x85, 0x99, 0x9c,
            0x00,
        ];
        assert_eq!(wire, expected, "{wire:02x?}");
    }

    #[test]
    fn empty_frames_mean_nothing() {
        let stream = [&[0, 0][..], &frame(b"a"), &[0, 0, 0], &frame(b""), &[0]].concat();
        assert_eq!(decode(&stream, 1, 9), [Ok(b"a".to_vec()), Ok(vec![])]);
    }

    #[test]
    fn damage_is_named_and_the_next_frame_survives() {
        let good = frame(b"next");
        let mut flipped = frame(b"hello");
        flipped[2] ^= 0x40;
        let cut = &frame(b"hello")[..3];
        for (bad, expected) in [
            (flipped.clone(), "frame damaged"),
            ([cut, &[0]].concat(), "frame cut off behind byte 2"),
            (vec![2, 7, 0], "frame of 1 bytes is shorter"),
            (frame(&[9; 200]), "longer than the limit of 74"),
        ] {
            let found = decode(&[bad, good.clone()].concat(), 7, 10);
            let error = found[0].as_ref().expect_err("damaged");
            assert!(alloc::format!("{error}").contains(expected), "{error}");
            assert_eq!(found[1], Ok(b"next".to_vec()));
        }
    }

    #[test]
    fn a_lost_delimiter_costs_two_frames() {
        let mut stream = frame(b"first");
        stream.pop();
        stream.extend(frame(b"second"));
        stream.extend(frame(b"third"));
        let found = decode(&stream, 64, 64);
        assert_eq!(found.len(), 2);
        assert!(found[0].is_err());
        assert_eq!(found[1], Ok(b"third".to_vec()));
    }

    proptest! {
        #[test]
        fn the_crate_cobs_agrees(content in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>(), Just(255)], 0..1200)) {
            let wire = frame(&content);
            let (delimiter, stuffed) = wire.split_last().expect("not empty");
            prop_assert_eq!(*delimiter, 0);
            prop_assert!(!stuffed.contains(&0));
            prop_assert!(wire.len() <= encoded_len(content.len()));
            let mut plain = vec![0; stuffed.len()];
            let len = cobs::decode(stuffed, &mut plain).expect("valid COBS").frame_size();
            let checksum = crc32c(&[&content]).to_le_bytes();
            prop_assert_eq!(&plain[..len], &[&content[..], &checksum].concat()[..]);
        }

        #[test]
        fn frames_made_by_the_crate_cobs_are_read(content in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..900), piece in 1usize..300) {
            let plain = [&content[..], &crc32c(&[&content]).to_le_bytes()].concat();
            let mut wire = vec![0; cobs::max_encoding_length(plain.len()) + 1];
            let len = cobs::encode(&plain, &mut wire);
            prop_assert_eq!(decode(&wire[..=len], piece, 1000), [Ok(content)]);
        }

        #[test]
        fn any_cut_into_pieces_gives_the_same_frames(contents in prop::collection::vec(prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>(), 9 => 1u8..], 0..600), 0..5), piece in 1usize..700) {
            let stream: Vec<u8> = contents.iter().flat_map(|content| frame(content)).collect();
            let expected: Vec<_> = contents.into_iter().map(Ok).collect();
            prop_assert_eq!(decode(&stream, piece, 600), expected);
        }

        #[test]
        fn noise_never_passes_for_a_frame_and_never_blocks_the_next(noise in prop::collection::vec(any::<u8>(), 0..400), piece in 1usize..50) {
            let mut stream = noise;
            stream.push(DELIMITER);
            stream.extend(frame(b"sound"));
            let found = decode(&stream, piece, 300);
            // 32 bits of checksum: a false frame among these would be one in four thousand million.
            prop_assert_eq!(found.iter().filter(|outcome| outcome.is_ok()).count(), 1);
            prop_assert_eq!(found.last(), Some(&Ok(b"sound".to_vec())));
        }
    }
}
