//! Frames on byte streams: UART, CDC-ACM, pseudo-terminals. Header, payload and checksum are the parent's.
//!
//! ```text
//! COBS( header | payload | checksum ) 00
//! ```
//!
//! COBS (consistent overhead byte stuffing; S. Cheshire and M. Baker, IEEE/ACM Transactions on Networking 7, 1999)
//! replaces every zero byte, at a cost of at most one byte in 254, so that the zero byte can mean one thing only: here a
//! frame ends. Every run of up to 254 bytes without a zero is preceded by a code byte, its length plus one; a code below
//! 255 also replaces the zero behind its run, except at the end of the frame.
//!
//! - Two delimiters in a row enclose nothing and mean nothing. A sender that begins to talk sends one delimiter first, so
//!   that noise picked up before is cut off.
//! - A receiver discards a frame whose code bytes point past its end, or that is shorter than a checksum, and goes on
//!   behind the next delimiter. One damaged byte costs at most two frames: its own, and the next one if it hit the
//!   delimiter.
//!
//! Where no run is as long as 254 bytes, stuffing only puts a code byte in front and replaces each zero by the distance to
//! the next one. Encoder and decoder here copy blocks on that account and then visit their zeros and codes, a word at a
//! time where all bytes of a word are zero: tensors of zeros, or of bf16 values kept as f32, consist of short runs.

use alloc::vec::Vec;

use super::{CHECKSUM_BYTES, FrameError, FrameEvent, check};

/// The byte that ends a frame and appears nowhere inside one.
pub const DELIMITER: u8 = 0;
/// The longest run behind one code byte.
const RUN: usize = 254;
/// Bytes that are worked on at once.
const WORD: usize = size_of::<u64>();
/// The code byte of an empty run, eight times: eight zeros.
const EMPTY_RUNS: u64 = u64::from_ne_bytes([1; WORD]);
/// The highest bit of every byte.
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; WORD]);
/// Bytes that the decoder copies before it visits their codes; more than a run.
const BLOCK: usize = 512;
/// Runs up to this code are decoded in blocks; longer ones are copied one by one at no loss.
const SHORT: u8 = 64;

/// The most bytes that a frame of `content` bytes (header and payload) takes on the wire.
pub(super) const fn encoded_len(content: usize) -> usize {
    let stuffed = content + CHECKSUM_BYTES;
    stuffed + stuffed / RUN + 2
}

/// Appends one frame that holds `parts` one after the other.
pub(super) fn encode(parts: &[&[u8]], out: &mut Vec<u8>) {
    let start = out.len();
    let content: usize = parts.iter().map(|part| part.len()).sum();
    out.resize(start + encoded_len(content), DELIMITER);
    let mut stuffing = Stuffing { out: &mut out[start..], code_at: 0, at: 1 };
    for part in parts {
        stuffing.write(part);
    }
    let len = stuffing.end();
    out.truncate(start + len);
}

/// COBS encoding in progress in a slice that is large enough.
struct Stuffing<'a> {
    out: &'a mut [u8],
    /// The place of the open run's code byte.
    code_at: usize,
    /// Where the next byte goes.
    at: usize,
}

impl Stuffing<'_> {
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let open = self.at - self.code_at - 1;
            if open == RUN {
                self.close(self.at);
                self.at += 1;
                continue;
            }
            let block = bytes.split_off(..bytes.len().min(RUN - open)).unwrap_or_default();
            self.out[self.at..self.at + block.len()].copy_from_slice(block);
            self.replace_zeros(block);
            self.at += block.len();
        }
    }

    /// Makes a code byte of every zero in `block`, which was copied to the end of the output.
    fn replace_zeros(&mut self, block: &[u8]) {
        let (words, rest) = block.as_chunks::<WORD>();
        let mut at = self.at;
        for word in words {
            let mut zeros = zero_bytes(u64::from_le_bytes(*word));
            if zeros == HIGH_BITS {
                self.close(at);
                self.out[at..at + WORD].copy_from_slice(&EMPTY_RUNS.to_ne_bytes());
                self.code_at = at + WORD - 1;
            } else {
                while zeros != 0 {
                    self.close(at + (zeros.trailing_zeros() / u8::BITS) as usize);
                    zeros &= zeros - 1;
                }
            }
            at += WORD;
        }
        for (index, byte) in rest.iter().enumerate() {
            if *byte == DELIMITER {
                self.close(at + index);
            }
        }
    }

    /// Writes the open run's code; the next run's code byte will be at `next`.
    fn close(&mut self, next: usize) {
        // At most 254 + 1, by the bound in `write`.
        self.out[self.code_at] = (next - self.code_at) as u8;
        self.code_at = next;
    }

    /// Ends the frame; the bytes that it takes.
    fn end(mut self) -> usize {
        self.close(self.at);
        self.out[self.at] = DELIMITER;
        self.at + 1
    }
}

/// The highest bit of each byte of `word` that is zero, and no other bit.
const fn zero_bytes(word: u64) -> u64 {
    // No byte carries into the next: 0x7f + 0x7f fits. The sum's high bit says that one of the low seven bits is set.
    !(((word & !HIGH_BITS) + !HIGH_BITS) | word) & HIGH_BITS
}

/// Cuts COBS frames out of a byte stream.
#[derive(Debug)]
pub(super) struct Decoder {
    buffer: Vec<u8>,
    limit: usize,
    /// Bytes of the current run that are still to come.
    run: u8,
    /// A zero byte follows the run, unless the frame ends there.
    zero_due: bool,
    /// The frame is longer than the limit: skip to its end.
    skipping: bool,
    /// The last push completed a frame, which the next push discards.
    complete: bool,
}

impl Decoder {
    pub(super) fn new(limit: usize, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { buffer, limit, run: 0, zero_due: false, skipping: false, complete: false }
    }

    pub(super) fn push(&mut self, input: &[u8]) -> (usize, FrameEvent) {
        if self.complete {
            self.reset();
        }
        let mut rest = input;
        while let Some(end) = memchr::memchr(DELIMITER, rest) {
            self.decode(&rest[..end]);
            rest = &rest[end + 1..];
            match self.finish() {
                FrameEvent::Starved => {}
                event => return (input.len() - rest.len(), event),
            }
        }
        self.decode(rest);
        (input.len(), FrameEvent::Starved)
    }

    pub(super) fn content(&self) -> &[u8] {
        if self.complete { &self.buffer } else { &[] }
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        let content = if self.complete { core::mem::take(&mut self.buffer) } else { Vec::new() };
        self.reset();
        content
    }

    pub(super) fn restore(&mut self, mut buffer: Vec<u8>) {
        if self.buffer.is_empty() && buffer.capacity() > self.buffer.capacity() {
            buffer.clear();
            self.buffer = buffer;
        }
    }

    /// Decodes bytes of one frame, none of which is a delimiter.
    fn decode(&mut self, mut bytes: &[u8]) {
        while let [code, behind @ ..] = bytes {
            if self.run > 0 {
                let run = bytes.split_off(..bytes.len().min(usize::from(self.run))).unwrap_or_default();
                self.append(run);
                // At most `self.run`, by the bound above.
                self.run -= run.len() as u8;
                continue;
            }
            if self.zero_due && *code <= SHORT && !self.skipping {
                let decoded = self.decode_short_runs(bytes);
                if decoded > 0 {
                    bytes = &bytes[decoded..];
                    continue;
                }
            }
            if self.zero_due {
                self.append(&[DELIMITER]);
            }
            self.run = *code - 1;
            self.zero_due = *code != u8::MAX;
            bytes = behind;
        }
    }

    /// Decodes whole runs at the front of `bytes`, which begin with a code behind a run that a zero follows. Every one of
    /// these codes becomes a zero, and all other bytes keep their distances. Returns how many bytes it used up; the next
    /// one is such a code again.
    fn decode_short_runs(&mut self, bytes: &[u8]) -> usize {
        let start = self.buffer.len();
        let block = &bytes[..bytes.len().min(BLOCK).min(self.limit.saturating_sub(start))];
        self.buffer.extend_from_slice(block);
        let decoded = &mut self.buffer[start..];
        let mut at = 0;
        while let Some(code) = decoded.get(at).copied() {
            if let Some(word) =
                decoded[at..].first_chunk_mut::<WORD>().filter(|word| **word == EMPTY_RUNS.to_ne_bytes())
            {
                *word = [DELIMITER; WORD];
                at += WORD;
                continue;
            }
            let next = at + usize::from(code);
            if code == u8::MAX || next > decoded.len() {
                break;
            }
            decoded[at] = DELIMITER;
            at = next;
        }
        self.buffer.truncate(start + at);
        at
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
            match check(&self.buffer) {
                Ok(content) => {
                    self.buffer.truncate(content);
                    self.complete = true;
                    return FrameEvent::Frame;
                }
                Err(error) => error,
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
mod tests {
    use super::*;
    use crate::{crc::crc32c, frame::Framing};
    use proptest::prelude::*;
    use std::vec;

    fn frame(content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        super::super::encode(Framing::Cobs, &(), content, &mut out).expect("encodes");
        out
    }

    /// Everything that comes out of `stream` when it arrives in pieces of `piece` bytes.
    fn decode(stream: &[u8], piece: usize, limit: usize) -> Vec<Result<Vec<u8>, FrameError>> {
        let mut decoder = Decoder::new(limit, Vec::new());
        let mut found = Vec::new();
        for mut part in stream.chunks(piece.max(1)) {
            loop {
                let (taken, event) = decoder.push(part);
                part = &part[taken..];
                match event {
                    FrameEvent::Starved => break,
                    FrameEvent::Frame => found.push(Ok(decoder.content().to_vec())),
                    FrameEvent::Damaged(error) => found.push(Err(error)),
                }
            }
        }
        found
    }

    /// Bytes as tensors hold them: zeros, zeros in every half of a word, and runs up to and beyond the longest.
    fn contents() -> impl Strategy<Value = Vec<u8>> {
        let run = prop_oneof![
            (0usize..600).prop_map(|len| vec![0; len]),
            (1usize..100).prop_map(|len| [0, 0, 0x80, 0x3f].repeat(len)),
            (1usize..100).prop_map(|len| [0, 0, 0, 0x40].repeat(len)),
            (250usize..260).prop_map(|len| vec![0xff; len]),
            prop::collection::vec(any::<u8>(), 0..600),
            prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..300),
        ];
        prop::collection::vec(run, 0..6).prop_map(|runs| runs.concat())
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
            (frame(&[0; 200]), "longer than the limit of 74"),
        ] {
            let found = decode(&[bad, good.clone()].concat(), 7, 74);
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
        fn zero_bytes_are_found_exactly(bytes in prop::array::uniform8(prop_oneof![Just(0u8), Just(1), Just(0x80), any::<u8>()])) {
            let expected = bytes.map(|byte| if byte == 0 { 0x80 } else { 0 });
            prop_assert_eq!(zero_bytes(u64::from_le_bytes(bytes)), u64::from_le_bytes(expected));
        }

        #[test]
        fn the_crate_cobs_agrees(content in contents()) {
            let wire = frame(&content);
            let checksum = crc32c(&[&content]).to_le_bytes();
            let plain = [&content[..], &checksum].concat();
            let (delimiter, stuffed) = wire.split_last().expect("not empty");
            prop_assert_eq!(*delimiter, 0);
            prop_assert!(!stuffed.contains(&0));
            prop_assert!(wire.len() <= encoded_len(content.len()));
            let mut theirs = vec![0; cobs::max_encoding_length(plain.len())];
            let len = cobs::encode(&plain, &mut theirs);
            // The crate ends a frame whose last run is full with an empty run, which says nothing.
            prop_assert!(stuffed == &theirs[..len] || [stuffed, &[1]].concat() == theirs[..len]);
            let mut back = vec![0; stuffed.len()];
            let len = cobs::decode(stuffed, &mut back).expect("valid COBS").frame_size();
            prop_assert_eq!(&back[..len], &plain[..]);
        }

        #[test]
        fn frames_made_by_the_crate_cobs_are_read(content in contents(), piece in 1usize..2000) {
            let plain = [&content[..], &crc32c(&[&content]).to_le_bytes()].concat();
            let mut wire = vec![0; cobs::max_encoding_length(plain.len())];
            let len = cobs::encode(&plain, &mut wire);
            wire.truncate(len);
            wire.push(DELIMITER);
            prop_assert_eq!(decode(&wire, piece, plain.len()), [Ok(content)]);
        }

        #[test]
        fn any_cut_into_pieces_gives_the_same_frames(contents in prop::collection::vec(contents(), 0..4), piece in 1usize..1500) {
            let stream: Vec<u8> = contents.iter().flat_map(|content| frame(content)).collect();
            let expected: Vec<_> = contents.into_iter().map(Ok).collect();
            prop_assert_eq!(decode(&stream, piece, 1 << 16), expected);
        }

        #[test]
        fn noise_never_passes_for_a_frame_and_never_blocks_the_next(noise in prop::collection::vec(any::<u8>(), 0..400), piece in 1usize..50) {
            let mut stream = noise;
            stream.push(DELIMITER);
            stream.extend(frame(b"valid"));
            let found = decode(&stream, piece, 300);
            // 32 bits of checksum: a false frame among these would be one in four thousand million.
            prop_assert_eq!(found.iter().filter(|outcome| outcome.is_ok()).count(), 1);
            prop_assert_eq!(found.last(), Some(&Ok(b"valid".to_vec())));
        }
    }
}
