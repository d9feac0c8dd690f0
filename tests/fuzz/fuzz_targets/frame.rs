//! Any bytes on a link, in either framing: the decoder must not panic, must not grow beyond its limit, and must find the
//! undamaged frame behind.

#![no_main]

use kurtoscope_shared::{
    frame::{self, Decoder, FrameEvent, Framing},
    protocol::{ToDevice, ToHost, peek_version},
};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, noise)) = bytes.split_first() else { return };
    for framing in Framing::ALL {
        find_the_frame_behind(framing, noise, usize::from(piece) + 1);
    }
});

fn find_the_frame_behind(framing: Framing, noise: &[u8], piece: usize) {
    let mut stream = noise.to_vec();
    if framing == Framing::LengthPrefixed {
        // Noise may hold a valid prefix that claims as much as the limit, and another one in what that claims.
        stream.resize(stream.len() + 2 * (LIMIT + frame::OVERHEAD_BYTES), 0);
    }
    stream.extend_from_slice(framing.opening());
    frame::encode(framing, &(), b"undamaged", &mut stream).expect("encodes");
    let mut decoder = Decoder::new(framing, LIMIT);
    let mut found = false;
    for mut part in stream.chunks(piece) {
        loop {
            let (taken, event) = decoder.push(part);
            part = &part[taken..];
            match event {
                FrameEvent::Starved => break,
                FrameEvent::Damaged(_) => continue,
                FrameEvent::Frame => {}
            }
            let content = decoder.content();
            assert!(content.len() <= LIMIT + frame::OVERHEAD_BYTES);
            let _ = postcard::take_from_bytes::<ToDevice>(content);
            let _ = postcard::take_from_bytes::<ToHost>(content);
            let _ = peek_version(content);
            found |= content == b"undamaged";
        }
        assert!(part.is_empty());
    }
    assert!(found, "{framing}");
}
