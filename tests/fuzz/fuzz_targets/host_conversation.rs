//! Any order of messages, sends, time-outs and restarts: the host's side of the conversation never panics, never loses a
//! chunk and never counts one twice, and its window is kept.

#![no_main]

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use kurtoscope_host::analysis::{
    InvalidReport, Timeouts,
    conversation::{Action, Conversation},
    link_counter::LinkCounter,
};
use kurtoscope_shared::{
    Measurement,
    protocol::{
        CompressionSet, ElementSet, EngineKind, Fault, FaultKind, Limits, LinkHealth, PROTOCOL_VERSION, Report,
        SelfTest, ToHost, Welcome,
    },
    statistics::KNOWN,
};
use libfuzzer_sys::fuzz_target;

const WINDOW: u32 = 250;

fuzz_target!(|bytes: &[u8]| {
    let mut now = Instant::now();
    let timeouts = Timeouts { resend: Duration::from_secs(1), give_up: Duration::from_secs(60) };
    let mut conversation = Conversation::new(&welcome(), 0, LinkCounter::default(), timeouts, now);
    let (mut next, mut measured, mut in_flight) = (0, HashSet::new(), HashMap::new());
    for pair in bytes.chunks_exact(2) {
        let [what, detail] = [pair[0], pair[1]];
        let session = if detail & 0x80 == 0 { conversation.session() } else { u32::from(detail) };
        // Near the numbers that are in use, on both sides.
        let sequence = conversation.next_sequence().wrapping_add(8).wrapping_sub(u32::from(detail & 0x1f));
        let link = LinkHealth { damaged: u32::from(what), dropped: u32::from(detail) };
        let actions = match what % 8 {
            0 | 1 => {
                let size = 1 + usize::from(detail);
                if conversation.has_room(size) {
                    conversation.sent(next, size, now);
                    in_flight.insert(next, size);
                    assert!(in_flight.len() == 1 || in_flight.values().sum::<usize>() <= WINDOW as usize);
                    next += 1;
                }
                Vec::new()
            }
            2 | 3 => {
                let measurement = Measurement::default();
                let report = Report { session, sequence, payload_checksum: 0, link, measurement };
                let is_valid = what & 0x40 == 0 || detail & 1 == 0;
                let reason = InvalidReport::OtherContent { found: 0, expected: 1 };
                conversation.receive(ToHost::Report(report), now, |_, _| if is_valid { Ok(()) } else { Err(reason) })
            }
            4 => {
                let kinds = [FaultKind::Damaged, FaultKind::Engine, FaultKind::Malformed, FaultKind::Compression];
                let kind = match detail >> 5 {
                    4 => FaultKind::NoSession { found: session },
                    5 => FaultKind::Unfit,
                    index => kinds[usize::from(index) % kinds.len()],
                };
                let sequence = (what & 0x10 == 0).then_some(sequence);
                conversation.receive(ToHost::Fault(Fault { session, sequence, kind, link }), now, |_, _| Ok(()))
            }
            5 => {
                now += Duration::from_millis(u64::from(detail) * 20);
                conversation.tick(now, what & 0x80 == 0)
            }
            6 => {
                conversation.written(u64::from(detail), now);
                Vec::new()
            }
            _ => conversation.restart(u32::from(detail), now),
        };
        for action in actions {
            match action {
                Action::Measured { chunk, .. } => {
                    assert!(measured.insert(chunk), "counted twice");
                    assert!(in_flight.remove(&chunk).is_some(), "never sent");
                }
                Action::Resend { chunk, .. } => assert!(in_flight.contains_key(&chunk), "sent again after its answer"),
                Action::Handshake => {}
                Action::GiveUp { chunk, .. } => {
                    assert!(chunk.is_none_or(|chunk| in_flight.contains_key(&chunk)));
                    let left: HashSet<usize> = conversation.into_unanswered().collect();
                    assert_eq!(left, in_flight.into_keys().collect(), "what is unanswered is left for others");
                    return;
                }
            }
        }
        assert_eq!(conversation.is_idle(), in_flight.is_empty());
    }
    let left: HashSet<usize> = conversation.into_unanswered().collect();
    assert_eq!(left, in_flight.into_keys().collect());
    assert_eq!(measured.len() + left.len(), next);
});

fn welcome() -> Welcome {
    Welcome {
        protocol: PROTOCOL_VERSION,
        session: 3,
        firmware: String::new(),
        board: String::new(),
        identity: String::new(),
        engine: EngineKind::Cpu,
        adapter: None,
        limits: Limits { max_payload: 100, window_bytes: WINDOW, elements: ElementSet::ALL },
        statistics: KNOWN.to_vec(),
        compressions: CompressionSet::ALL,
        self_test: SelfTest { passed: true, answers: 1, max_relative_error: 0.0, tolerance: 1e-10 },
        capabilities: Vec::new(),
    }
}
