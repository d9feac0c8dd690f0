//! Any bytes on a link: the decoder must not panic, must not grow beyond its limit, and must find the sound frame behind.

#![no_main]

use kurtoscope_shared::{
    frame::{self, Decoder, FrameEvent},
    protocol::{ToDevice, ToHost, peek_version},
};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, noise)) = bytes.split_first() else { return };
    let mut stream = noise.to_vec();
    stream.push(frame::DELIMITER);
    frame::encode(&(), b"sound", &mut stream).expect("encodes");
    let mut decoder = Decoder::new(LIMIT);
    let mut last = Vec::new();
    for mut part in stream.chunks(usize::from(piece) + 1) {
        while !part.is_empty() {
            let (taken, event) = decoder.push(part);
            part = &part[taken..];
            if event == FrameEvent::Frame {
                let content = decoder.content();
                assert!(content.len() <= LIMIT + frame::OVERHEAD_BYTES);
                let _ = postcard::take_from_bytes::<ToDevice>(content);
                let _ = postcard::take_from_bytes::<ToHost>(content);
                let _ = peek_version(content);
                last = content.to_vec();
            }
        }
    }
    assert_eq!(last, b"sound");
});
