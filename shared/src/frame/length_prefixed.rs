//! Frames on packet links and pipes: USB bulk, standard input and output. Header, payload and checksum are the parent's.
//!
//! ```text
//! sync word | length | check | header | payload | checksum
//! ```
//!
//! | part | bytes | content |
//! |---|---|---|
//! | sync word | 4 | `fe 4b 53 ff`; FE and FF are in no UTF-8 text, so no banner that a program prints holds it |
//! | length | 4 | bytes of header and payload together, little-endian |
//! | check | 4 | CRC-32C of sync word and length, little-endian |
//!
//! These links lose no bytes by themselves, so nothing in a frame has to be replaced and a receiver copies it as a whole.
//! They still carry noise: what a remote shell prints before the device's program begins, and the rest of a frame whose
//! sender was stopped.
//!
//! - Where a prefix (sync word, length, check) is expected and something else comes, a receiver counts that as one damaged
//!   frame, however long it is, and goes on with the next valid prefix. A prefix whose check differs, or whose length is
//!   over the receiver's limit, is no valid one.
//! - A receiver takes as many bytes as the length says. Where the checksum behind them differs it counts a damaged frame
//!   and looks for the next valid prefix in what it took: bytes that were lost cost their own frame and not the next one.
//!   Where the frame found there is damaged too, it discards what it took, so that no byte is checked more than twice.
//! - A sender that begins to talk sends nothing first.

use alloc::vec::Vec;

use super::{CHECKSUM_BYTES, FrameError, FrameEvent, check};
use crate::crc::crc32c;

/// What every frame begins with.
pub const SYNC: [u8; 4] = [0xfe, b'K', b'S', 0xff];
/// Bytes of sync word, length and check.
pub const PREFIX_BYTES: usize = 12;

/// The bytes that a frame of `content` bytes (header and payload) takes on the wire.
pub(super) const fn encoded_len(content: usize) -> usize {
    PREFIX_BYTES + content + CHECKSUM_BYTES
}

/// Appends one frame that holds `parts`, content and checksum, one after the other.
pub(super) fn encode(parts: &[&[u8]], out: &mut Vec<u8>) {
    let len = parts.iter().map(|part| part.len()).sum::<usize>() - CHECKSUM_BYTES;
    out.reserve(encoded_len(len));
    out.extend_from_slice(&prefix(len as u32));
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn prefix(len: u32) -> [u8; PREFIX_BYTES] {
    let len = len.to_le_bytes();
    let mut prefix = [0; PREFIX_BYTES];
    prefix[..4].copy_from_slice(&SYNC);
    prefix[4..8].copy_from_slice(&len);
    prefix[8..].copy_from_slice(&crc32c(&[&SYNC, &len]).to_le_bytes());
    prefix
}

/// Cuts length-prefixed frames out of a byte stream.
#[derive(Debug)]
pub(super) struct Decoder {
    /// Bytes behind the last valid prefix, or bytes in which the next one is searched.
    buffer: Vec<u8>,
    limit: usize,
    state: State,
    /// Damage was reported, and no valid prefix has come since.
    lost: bool,
    /// The buffer holds bytes that were taken for a frame already.
    again: bool,
}

/// What the buffer begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A prefix is expected.
    Prefix,
    /// A frame of this many bytes, checksum included, is arriving.
    Arriving(usize),
    /// A frame of this many bytes, checksum included, is complete; the next push discards it.
    Complete(usize),
}

impl Decoder {
    pub(super) fn new(limit: usize, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { buffer, limit, state: State::Prefix, lost: false, again: false }
    }

    pub(super) fn push(&mut self, input: &[u8]) -> (usize, FrameEvent) {
        if let State::Complete(len) = self.state {
            self.buffer.drain(..len);
            self.state = State::Prefix;
        }
        let mut rest = input;
        let event = loop {
            let event = match self.state {
                State::Arriving(len) => self.receive(len, &mut rest),
                _ => self.seek(&mut rest),
            };
            if let Some(event) = event {
                break event;
            }
        };
        (input.len() - rest.len(), event)
    }

    pub(super) fn content(&self) -> &[u8] {
        match self.state {
            State::Complete(len) => &self.buffer[..len - CHECKSUM_BYTES],
            _ => &[],
        }
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        let State::Complete(len) = self.state else { return Vec::new() };
        self.state = State::Prefix;
        let behind = self.buffer.split_off(len);
        self.buffer.truncate(len - CHECKSUM_BYTES);
        core::mem::replace(&mut self.buffer, behind)
    }

    pub(super) fn restore(&mut self, mut buffer: Vec<u8>) {
        if self.buffer.is_empty() && buffer.capacity() > self.buffer.capacity() {
            buffer.clear();
            self.buffer = buffer;
        }
    }

    /// Fills the frame that is arriving.
    fn receive(&mut self, len: usize, rest: &mut &[u8]) -> Option<FrameEvent> {
        self.fill(len, rest);
        let Some(frame) = self.buffer.get(..len) else { return Some(FrameEvent::Starved) };
        match check(frame) {
            Ok(_) => {
                self.state = State::Complete(len);
                self.again = false;
                Some(FrameEvent::Frame)
            }
            Err(error) => {
                if self.again {
                    self.buffer.clear();
                }
                self.again = !self.again;
                (self.state, self.lost) = (State::Prefix, true);
                Some(FrameEvent::Damaged(error))
            }
        }
    }

    /// Goes on to the next valid prefix. Whatever is before it is reported as one damage.
    fn seek(&mut self, rest: &mut &[u8]) -> Option<FrameEvent> {
        if self.buffer.is_empty() {
            self.again = false;
            let noise = rest.split_off(..find_sync(rest)).unwrap_or_default();
            if let Some(error) = noise.first().and_then(|byte| self.lose(FrameError::Noise { found: *byte })) {
                return Some(FrameEvent::Damaged(error));
            }
            self.fill(PREFIX_BYTES, rest);
        }
        let (mut at, mut error) = (0, None);
        loop {
            let noise = find_sync(&self.buffer[at..]);
            if noise > 0 {
                let found = self.buffer[at];
                error = error.or_else(|| self.lose(FrameError::Noise { found }));
            }
            at += noise;
            let Some(prefix) = self.buffer[at..].first_chunk() else { break };
            match self.read(prefix) {
                Ok(len) => {
                    self.buffer.drain(..at + PREFIX_BYTES);
                    (self.state, self.lost) = (State::Arriving(len), false);
                    return error.map(FrameEvent::Damaged);
                }
                Err(found) => {
                    error = error.or_else(|| self.lose(found));
                    at += 1;
                }
            }
        }
        self.buffer.drain(..at);
        match error {
            Some(error) => Some(FrameEvent::Damaged(error)),
            // Nothing is left that could begin a prefix, so the input is searched instead.
            None if self.buffer.is_empty() && !rest.is_empty() => None,
            None if rest.is_empty() => Some(FrameEvent::Starved),
            None => {
                self.fill(PREFIX_BYTES, rest);
                None
            }
        }
    }

    /// The error, if it is the first since the last valid prefix.
    fn lose(&mut self, error: FrameError) -> Option<FrameError> {
        (!core::mem::replace(&mut self.lost, true)).then_some(error)
    }

    /// Bytes of the frame behind a prefix, checksum included.
    fn read(&self, prefix: &[u8; PREFIX_BYTES]) -> Result<usize, FrameError> {
        let [_, _, _, _, a, b, c, d, check @ ..] = *prefix;
        let (len, found) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(check));
        let computed = crc32c(&[&prefix[..8]]);
        if computed != found {
            return Err(FrameError::Prefix { computed, found });
        }
        usize::try_from(len)
            .ok()
            .and_then(|len| len.checked_add(CHECKSUM_BYTES))
            .filter(|len| *len <= self.limit)
            .ok_or(FrameError::Long { limit: self.limit })
    }

    /// Takes bytes until the buffer holds `len` of them, or there are no more.
    fn fill(&mut self, len: usize, rest: &mut &[u8]) {
        let missing = len.saturating_sub(self.buffer.len()).min(rest.len());
        self.buffer.extend_from_slice(rest.split_off(..missing).unwrap_or_default());
    }
}

/// Where the sync word is for the first time, whole or as far as `bytes` go; their end where it is not.
fn find_sync(bytes: &[u8]) -> usize {
    memchr::memchr_iter(SYNC[0], bytes)
        .find(|at| bytes[*at..].iter().zip(SYNC).all(|(byte, expected)| *byte == expected))
        .unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Framing;
    use proptest::prelude::*;
    use std::{vec, vec::Vec};

    fn frame(content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        super::super::encode(Framing::LengthPrefixed, &(), content, &mut out).expect("encodes");
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
                assert!(decoder.buffer.len() <= limit.max(PREFIX_BYTES));
                match event {
                    FrameEvent::Starved => break,
                    FrameEvent::Frame => found.push(Ok(decoder.content().to_vec())),
                    FrameEvent::Damaged(error) => found.push(Err(error)),
                }
            }
            assert!(part.is_empty());
        }
        found
    }

    fn good(found: &[Result<Vec<u8>, FrameError>]) -> Vec<&[u8]> {
        found.iter().filter_map(|outcome| outcome.as_deref().ok()).collect()
    }

    #[test]
    fn damage_is_named_and_the_next_frame_survives() {
        let next = frame(b"next");
        let change = |at: usize| {
            let mut bytes = frame(b"hello");
            bytes[at] ^= 0x40;
            bytes
        };
        for (bad, expected) in [
            (change(0), "no frame begins with byte be"),
            (change(3), "no frame begins with byte fe"),
            (change(4), "length damaged"),
            (change(9), "length damaged"),
            (change(14), "frame damaged"),
            (change(18), "frame damaged"),
            (frame(&[9; 71]), "longer than the limit of 74"),
            (b"Welcome to the board\r\n".to_vec(), "no frame begins with byte 57"),
        ] {
            let found = decode(&[bad, next.clone(), next.clone()].concat(), 7, 74);
            let error = found[0].as_ref().expect_err("damaged");
            assert!(alloc::format!("{error}").contains(expected), "{error}");
            assert_eq!(found[1..], [Ok(b"next".to_vec()), Ok(b"next".to_vec())]);
        }
    }

    #[test]
    fn lost_bytes_cost_their_own_frame_alone() {
        let (first, last) = (frame(&[7; 60]), [8; 60]);
        let behind = [frame(b"second"), frame(b"third"), frame(&last)].concat();
        for lost in 1..=first.len() {
            for from in 0..=first.len() - lost {
                let found = decode(&[&first[..from], &first[from + lost..], &behind].concat(), 1000, 100);
                assert_eq!(good(&found), [&b"second"[..], b"third", &last], "{lost} from {from}");
            }
        }
    }

    #[test]
    fn frames_that_a_damaged_one_swallowed_need_no_further_byte() {
        let contents = [&b"one"[..], b"two", b"three"];
        let swallowed: Vec<u8> = contents.iter().flat_map(|content| frame(content)).collect();
        let stream = [&prefix(64)[..], &swallowed, &[0; 9]].concat();
        let mut decoder = Decoder::new(100, Vec::new());
        let (taken, event) = decoder.push(&stream);
        assert!(
            taken == stream.len() && matches!(event, FrameEvent::Damaged(FrameError::Checksum { .. })),
            "{event:?}"
        );
        for expected in contents {
            assert_eq!(decoder.push(&[]), (0, FrameEvent::Frame));
            assert_eq!(decoder.take(), expected);
        }
    }

    #[test]
    fn no_memory_is_taken_for_a_length_alone() {
        let mut decoder = Decoder::new(1 << 30, Vec::new());
        assert_eq!(decoder.push(&prefix(1 << 29)), (PREFIX_BYTES, FrameEvent::Starved));
        assert!(decoder.buffer.capacity() < 100, "{}", decoder.buffer.capacity());
    }

    proptest! {
        #[test]
        fn any_cut_into_pieces_gives_the_same_frames(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..5), piece in 1usize..700) {
            let stream: Vec<u8> = contents.iter().flat_map(|content| frame(content)).collect();
            let expected: Vec<_> = contents.into_iter().map(Ok).collect();
            prop_assert_eq!(decode(&stream, piece, 604), expected);
        }

        #[test]
        fn noise_never_passes_for_a_frame_and_never_blocks_the_next(
            noise in prop::collection::vec(prop_oneof![prop::collection::vec(any::<u8>(), 0..60), Just(SYNC.to_vec()), Just(SYNC[..2].to_vec())], 0..9),
            piece in 1usize..50,
        ) {
            let stream = [noise.concat(), frame(b"valid")].concat();
            let found = decode(&stream, piece, 300);
            prop_assert_eq!(good(&found), [b"valid"]);
        }

        #[test]
        fn one_changed_bit_costs_one_frame(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 2..5), at in any::<prop::sample::Index>(), bit in 0u8..8, piece in 1usize..300) {
            let mut stream: Vec<u8> = contents.iter().flat_map(|content| frame(content)).collect();
            let at = at.index(stream.len());
            stream[at] ^= 1u8 << bit;
            let tail = [vec![5; 204], vec![6; 204], vec![7; 204]];
            stream.extend(tail.iter().flat_map(|content| frame(content)));
            let found = decode(&stream, piece, 208);
            let good = good(&found);
            prop_assert_eq!(good.len(), contents.len() + 2);
            prop_assert!(good.ends_with(&[&tail[0][..], &tail[1], &tail[2]]));
        }
    }
}
