//! Frames in, answers out, without a link.

use super::*;
use crate::{engine::CpuEngine, status_led::tests::Probe};
use kurtoscope_shared::{
    Element, Requests,
    frame::{Decoder, FrameEvent},
    protocol::Hello,
    statistics::{KNOWN, StatisticKey},
};
use proptest::prelude::*;

fn board() -> Board {
    Board { name: "test".into(), identity: "1".into() }
}

fn hello(session: u32) -> ToDevice {
    ToDevice::Hello(Hello { protocol: PROTOCOL_VERSION, session })
}

fn chunk(session: u32, sequence: u32, count: u32) -> ToDevice {
    let (element, compression, requests) = (Element::F32, Compression::Plain, Requests::FULL);
    ToDevice::Chunk(Chunk { session, sequence, tensor: 0, offset: 0, count, element, compression, row: 0, requests })
}

/// Sends one frame's content to the session and reads its one answer.
fn ask<E: Engine, M: OutputPin, F: OutputPin>(
    session: &mut Session<E, M, F>,
    message: &ToDevice,
    payload: &[u8],
) -> ToHost {
    let mut content = postcard::to_allocvec(message).expect("encodes");
    content.extend_from_slice(payload);
    answer(session, Ok(content))
}

fn answer<E: Engine, M: OutputPin, F: OutputPin>(
    session: &mut Session<E, M, F>,
    frame: Result<Vec<u8>, FrameError>,
) -> ToHost {
    let mut output = Vec::new();
    session.answer(frame, &mut output);
    let mut decoder = Decoder::new(session.framing, 1 << 16);
    assert_eq!(decoder.push(&output), (output.len(), FrameEvent::Frame));
    postcard::from_bytes(decoder.content()).expect("an answer")
}

#[test]
fn answers_a_handshake_and_measures() {
    let mut session = Session::new(CpuEngine::default(), board());
    let ToHost::Welcome(welcome) = ask(&mut session, &hello(9), &[]) else { panic!("no welcome") };
    assert_eq!((welcome.session, welcome.board.as_str(), welcome.self_test.passed), (9, "test", true));
    let payload: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0, 10.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let ToHost::Report(report) = ask(&mut session, &chunk(9, 5, 5), &payload) else { panic!("no report") };
    assert_eq!((report.session, report.sequence), (9, 5));
    let moments = report.measurement.moments;
    assert!((moments.mean - 4.0).abs() < 1e-15 && (moments.m4 - 1394.0).abs() < 1e-9, "{moments:?}");
    assert_eq!(report.measurement.extremes.expect("asked for").highest[0].position, 4);
    assert_eq!(report.payload_checksum, crc32c(&[&payload]));
}

#[test]
fn refuses_with_numbers() {
    let mut session = Session::new(CpuEngine::with_max_payload(64), board());
    let fault = |answer| match answer {
        ToHost::Fault(fault) => (fault.sequence, fault.kind),
        other => panic!("no fault: {other:?}"),
    };
    assert_eq!(fault(ask(&mut session, &chunk(9, 5, 1), &[0; 4])), (Some(5), FaultKind::NoSession { found: 9 }));
    ask(&mut session, &hello(9), &[]);
    assert_eq!(
        fault(ask(&mut session, &chunk(9, 6, u32::MAX), &[0; 5])),
        (Some(6), FaultKind::PayloadLength { expected: 17_179_869_180, found: 5 })
    );
    assert_eq!(
        fault(ask(&mut session, &chunk(9, 7, 17), &[0; 68])),
        (Some(7), FaultKind::TooLarge { found: 68, max: 64 })
    );
    assert_eq!(fault(answer(&mut session, Ok(std::vec![9, 9, 9]))), (None, FaultKind::Malformed));
    let damage = FrameError::Short { len: 1 };
    let ToHost::Fault(last) = answer(&mut session, Err(damage)) else { panic!("no fault") };
    assert_eq!(last.kind, FaultKind::Damaged);
    assert_eq!(last.link, LinkHealth { damaged: 1, dropped: 3 });
}

/// The same chunk with its payload compressed.
fn compressed_chunk(count: u32) -> ToDevice {
    let ToDevice::Chunk(plain) = chunk(9, 1, count) else { unreachable!() };
    ToDevice::Chunk(Chunk { compression: Compression::BytePlanes, ..plain })
}

#[test]
fn compressed_chunks_are_measured_as_their_elements() {
    let mut session = Session::new(CpuEngine::default(), board());
    ask(&mut session, &hello(9), &[]);
    let plain: Vec<u8> = (0..3000).flat_map(|x| ((x % 7) as f32 * 0.5 - 1.0).to_le_bytes()).collect();
    let mut compressed = Vec::new();
    assert!(compression::compress(&plain, 4, &mut compressed));
    let measured = |answer| match answer {
        ToHost::Report(report) => report.measurement,
        other => panic!("no report: {other:?}"),
    };
    let expected = measured(ask(&mut session, &chunk(9, 0, 3000), &plain));
    for _ in 0..2 {
        assert_eq!(measured(ask(&mut session, &compressed_chunk(3000), &compressed)), expected);
    }
}

#[test]
fn compressed_payloads_that_are_none_are_refused_before_memory_is_taken() {
    let refused =
        |session: &mut Session<CpuEngine>, count, payload: &[u8]| match ask(session, &compressed_chunk(count), payload)
        {
            ToHost::Fault(fault) => fault.kind,
            other => panic!("no fault: {other:?}"),
        };
    let mut session = Session::new(CpuEngine::with_max_payload(64), board());
    ask(&mut session, &hello(9), &[]);
    let constant = [1u8; 8];
    assert_eq!(refused(&mut session, 17, &constant), FaultKind::TooLarge { found: 68, max: 64 });
    let (found, max) = (u32::MAX, 64);
    assert_eq!(refused(&mut session, u32::MAX, &constant), FaultKind::TooLarge { found, max });
    assert_eq!(refused(&mut session, 16, &constant[..5]), FaultKind::Compression);
    let mut plain_only = Session::new(CpuEngine::default(), board()).plain_only();
    ask(&mut plain_only, &hello(9), &[]);
    assert_eq!(refused(&mut plain_only, 16, &constant), FaultKind::Compression);
}

#[test]
fn a_host_of_another_version_learns_ours() {
    let mut session = Session::new(CpuEngine::default(), board());
    let other_version = postcard::to_allocvec(&(0u32, 77u16, [0xffu8; 8])).expect("encodes");
    let ToHost::Welcome(welcome) = answer(&mut session, Ok(other_version)) else { panic!("no welcome") };
    assert_eq!(welcome.protocol, PROTOCOL_VERSION);
}

#[test]
fn a_device_introduces_what_it_measures_and_leaves_out_the_rest() {
    let mut session = Session::new(CpuEngine::single_precision(1 << 12), board());
    let ToHost::Welcome(welcome) = ask(&mut session, &hello(9), &[]) else { panic!("no welcome") };
    assert_eq!(
        welcome.statistics,
        [StatisticKey::of::<kurtoscope_shared::Moments>(), StatisticKey::of::<kurtoscope_shared::Extremes>()]
    );
    let ToHost::Report(report) = ask(&mut session, &chunk(9, 0, 2), &[0; 8]) else { panic!("no report") };
    assert!(report.measurement.histogram.is_none() && report.measurement.extremes.is_some());
    let mut all = Session::new(CpuEngine::default(), board());
    let ToHost::Welcome(mut welcome) = ask(&mut all, &hello(9), &[]) else { panic!("no welcome") };
    welcome.statistics.sort_by_key(|known| known.tag);
    assert_eq!(welcome.statistics, KNOWN);
}

#[test]
fn lights_follow_the_work() {
    let (measuring, fault) = (Probe::default(), Probe::default());
    let status_led = StatusLed::new(measuring.clone(), fault.clone());
    let mut session = Session::with_status_led(CpuEngine::default(), board(), status_led);
    ask(&mut session, &hello(1), &[]);
    ask(&mut session, &chunk(1, 0, 1), &[0; 4]);
    assert_eq!((measuring.rises.get(), measuring.high.get(), fault.high.get()), (1, false, false));
    ask(&mut session, &chunk(1, 1, 1), &[0; 3]);
    assert!(fault.high.get());
}

#[test]
fn the_buffer_comes_back() {
    let mut session = Session::new(CpuEngine::default(), board());
    ask(&mut session, &hello(1), &[]);
    let mut content = postcard::to_allocvec(&chunk(1, 0, 4)).expect("encodes");
    content.extend([0; 16]);
    let pointer = content.as_ptr();
    let buffer = session.answer(Ok(content), &mut Vec::new()).expect("given back");
    assert_eq!(buffer.as_ptr(), pointer);
}

proptest! {
    #[test]
    fn every_frame_gets_exactly_one_answer(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut session = Session::new(CpuEngine::with_max_payload(256), board());
        answer(&mut session, Ok(content));
    }
}
