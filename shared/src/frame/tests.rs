//! The specification held against its own example, and the two framings against each other.

use super::*;
use crate::protocol::{Chunk, Compression, Hello, PROTOCOL_VERSION, ToDevice};
use crate::{Element, Requests};
use alloc::vec;
use proptest::prelude::*;

/// A frame around raw content: `()` encodes to no header bytes at all.
fn frame(framing: Framing, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(framing, &(), content, &mut out).expect("encodes");
    out
}

/// Everything that comes out of `stream` when it arrives in pieces of `piece` bytes.
fn decode(framing: Framing, stream: &[u8], piece: usize, max_payload: usize) -> Vec<Result<Vec<u8>, FrameError>> {
    let mut decoder = Decoder::new(framing, max_payload);
    let mut found = Vec::new();
    for mut part in stream.chunks(piece.max(1)) {
        loop {
            let (taken, event) = decoder.push(part);
            part = &part[taken..];
            match event {
                FrameEvent::Starved => break,
                FrameEvent::Frame => found.push(Ok(decoder.take())),
                FrameEvent::Damaged(error) => found.push(Err(error)),
            }
        }
        assert!(part.is_empty());
    }
    found
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
    let cobs = [
        0x03, 0x01, 0x07, 0x02, 0x02, 0x03, 0x02, 0x02, 0x04, 0x02, 0x02, 0x02, 0x04, 0x03, 0x01, 0x10, 0x02, 0x3c,
        0x01, 0x05, 0x5a, 0x3b, 0x49, 0xb2, 0x00,
    ];
    let length_prefixed = [
        0xfe, 0x4b, 0x53, 0xff, 0x13, 0x00, 0x00, 0x00, 0xd1, 0x86, 0x04, 0x87, 0x01, 0x07, 0x00, 0x02, 0x00, 0x02,
        0x02, 0x00, 0x02, 0x02, 0x02, 0x00, 0x03, 0x01, 0x10, 0x00, 0x3c, 0x00, 0x00, 0x5a, 0x3b, 0x49, 0xb2,
    ];
    for (framing, expected) in [(Framing::Cobs, &cobs[..]), (Framing::LengthPrefixed, &length_prefixed)] {
        let mut wire = Vec::new();
        encode(framing, &chunk, &[0x00, 0x3c, 0x00, 0x00], &mut wire).expect("encodes");
        assert_eq!(wire, expected, "{framing}: {wire:02x?}");
    }
}

#[test]
fn the_other_framing_is_recognised_until_there_is_a_frame_of_this() {
    for framing in Framing::ALL {
        let found = framing.other();
        let hello = ToDevice::Hello(Hello { protocol: PROTOCOL_VERSION, session: 3 });
        let mut foreign = found.opening().to_vec();
        encode(found, &hello, &[], &mut foreign).expect("encodes");
        let (own, banner) = (frame(framing, b"own"), b"Last login: yesterday\r\n\0");
        for piece in [1, 7, 1000] {
            let stream = [banner, &foreign[..], framing.opening(), &own, &foreign, framing.opening(), &own].concat();
            let outcomes = decode(framing, &stream, piece, 100);
            let is_foreign = |outcome: &Result<_, _>| *outcome == Err(FrameError::OtherFraming { found });
            assert_eq!(outcomes.iter().filter(|outcome| is_foreign(outcome)).count(), 1, "{framing}: {outcomes:?}");
            let good: Vec<_> = outcomes.into_iter().flatten().collect();
            assert_eq!(good, [b"own".to_vec(), b"own".to_vec()], "{framing}");
        }
        let error = FrameError::OtherFraming { found };
        assert_eq!(alloc::format!("{error}"), alloc::format!("a {found} frame where {framing} ones belong"));
    }
}

proptest! {
    #[test]
    fn both_framings_carry_the_same(contents in prop::collection::vec(prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>(), 9 => 1u8..], 0..600), 0..5), piece in 1usize..700) {
        for framing in Framing::ALL {
            let frames: Vec<_> = contents.iter().map(|content| frame(framing, content)).collect();
            let expected: Vec<_> = contents.iter().cloned().map(Ok).collect();
            prop_assert!(frames.iter().zip(&contents).all(|(frame, content)| frame.len() <= framing.encoded_len(content.len())));
            prop_assert_eq!(decode(framing, &frames.concat(), piece, 600), expected);
        }
    }

    #[test]
    fn a_frame_behind_noise_arrives(noise in prop::collection::vec(any::<u8>(), 0..400), piece in 1usize..50) {
        for framing in Framing::ALL {
            let stream = [&noise, framing.opening(), &frame(framing, b"valid")].concat();
            let good: Vec<_> = decode(framing, &stream, piece, 300).into_iter().flatten().collect();
            prop_assert_eq!(good, vec![b"valid".to_vec()]);
        }
    }
}
