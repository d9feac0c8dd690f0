//! Any content of a sound frame: the device gives one answer, never panics, and never allocates what a header claims.

#![no_main]

use kurtoscope_firmware::{Board, Session, engine::BurnEngine};
use kurtoscope_shared::{
    frame::{self, Decoder, FrameEvent},
    protocol::{Hello, PROTOCOL_VERSION, ToDevice, ToHost},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let board = Board { name: "fuzz".into(), identity: String::new() };
    let mut session = Session::new(BurnEngine::cpu_with_payload(64), board);
    let hello = ToDevice::Hello(Hello { protocol: PROTOCOL_VERSION, session: 1 });
    let mut stream = Vec::new();
    frame::encode(&hello, &[], &mut stream).expect("encodes");
    frame::encode(&(), bytes, &mut stream).expect("encodes");
    let mut decoder = Decoder::new(1 << 12);
    let mut output = Vec::new();
    let mut frames = 0;
    while !stream.is_empty() {
        let (taken, event) = decoder.push(&stream);
        stream.drain(..taken);
        match event {
            FrameEvent::Starved => continue,
            FrameEvent::Frame => session.answer(Ok(decoder.take()), &mut output),
            FrameEvent::Damaged(error) => session.answer(Err(error), &mut output),
        };
        frames += 1;
    }
    let mut answers = 0;
    let mut reader = Decoder::new(1 << 16);
    while !output.is_empty() {
        let (taken, event) = reader.push(&output);
        output.drain(..taken);
        if event == FrameEvent::Frame {
            let answer: ToHost = postcard::from_bytes(reader.content()).expect("a message");
            drop(answer);
            answers += 1;
        }
    }
    assert_eq!(answers, frames);
});
