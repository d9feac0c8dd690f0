//! Any content of an intact frame: the device gives one answer, never panics, and never allocates what a header claims.

#![no_main]

use kurtoscope_firmware::{Board, Session, engine::CpuEngine};
use kurtoscope_shared::{
    frame::{self, Decoder, FrameEvent, Framing},
    protocol::{Hello, PROTOCOL_VERSION, ToDevice, ToHost},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let board = Board { name: "fuzz".into(), identity: String::new() };
    let mut session = Session::new(CpuEngine::with_max_payload(64), board);
    let hello = ToDevice::Hello(Hello { protocol: PROTOCOL_VERSION, session: 1 });
    // Either framing, by the content's first bit.
    let framing = Framing::ALL[usize::from(bytes.first().is_some_and(|byte| byte & 1 == 1))];
    session.set_framing(framing);
    let mut stream = Vec::new();
    frame::encode(framing, &hello, &[], &mut stream).expect("encodes");
    frame::encode(framing, &(), bytes, &mut stream).expect("encodes");
    let mut decoder = Decoder::new(framing, 1 << 12);
    let mut output = Vec::new();
    let mut frames = 0;
    loop {
        let (taken, event) = decoder.push(&stream);
        stream.drain(..taken);
        match event {
            FrameEvent::Starved => break,
            FrameEvent::Frame => session.answer(Ok(decoder.take()), &mut output),
            FrameEvent::Damaged(error) => session.answer(Err(error), &mut output),
        };
        frames += 1;
    }
    let mut answers = 0;
    let mut reader = Decoder::new(framing, 1 << 16);
    loop {
        let (taken, event) = reader.push(&output);
        output.drain(..taken);
        match event {
            FrameEvent::Starved => break,
            FrameEvent::Damaged(error) => panic!("an answer is damaged: {error}"),
            FrameEvent::Frame => {}
        }
        let answer: ToHost = postcard::from_bytes(reader.content()).expect("a message");
        drop(answer);
        answers += 1;
    }
    assert_eq!(answers, frames);
});
