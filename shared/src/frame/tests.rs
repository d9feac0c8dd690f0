//! The specification held against its own example, the crate `cobs`, and noise.

use super::*;
use crate::protocol::{Chunk, Compression, ToDevice};
use crate::{Element, Requests};
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
                FrameEvent::Starved => assert!(part.is_empty()),
                FrameEvent::Frame => found.push(Ok(decoder.content().to_vec())),
                FrameEvent::Damaged(error) => found.push(Err(error)),
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
        compression: Compression::Plain,
        row: 2,
        requests: Requests::TAILS,
    });
    let mut wire = Vec::new();
    encode(&chunk, &[0x00, 0x3c, 0x00, 0x00], &mut wire).expect("encodes");
    let expected = [
        0x03, 0x01, 0x07, 0x02, 0x02, 0x03, 0x02, 0x02, 0x04, 0x02, 0x02, 0x02, 0x04, 0x03, 0x01, 0x10, 0x02, 0x3c,
        0x01, 0x05, 0x5a, 0x3b, 0x49, 0xb2, 0x00,
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
