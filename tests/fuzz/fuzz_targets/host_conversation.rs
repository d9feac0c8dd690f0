//! Any order of messages, sends, time-outs and restarts: the host's side of the conversation never panics, never loses a
//! chunk and never counts one twice, and its window is kept.

#![no_main]

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use kurtoscope_host::analysis::{
    conversation::{Conversation, Patience, Step},
    link_counter::LinkCounter,
};
use kurtoscope_shared::protocol::{
    CompressionSet, ElementSet, EngineKind, Fault, FaultKind, Limits, LinkHealth, Measurement, PROTOCOL_VERSION,
    Report, SCHEMA_HASH, SelfTest, Statistics, ToHost, Welcome,
};
use libfuzzer_sys::fuzz_target;

const WINDOW: u32 = 250;

fuzz_target!(|bytes: &[u8]| {
    let mut now = Instant::now();
    let patience = Patience { silence: Duration::from_secs(1), give_up: Duration::from_secs(60) };
    let mut talk = Conversation::new(&welcome(), 0, LinkCounter::default(), patience, now);
    let (mut next, mut measured, mut flying) = (0, HashSet::new(), HashMap::new());
    for pair in bytes.chunks_exact(2) {
        let [what, detail] = [pair[0], pair[1]];
        let session = if detail & 0x80 == 0 { talk.session() } else { u32::from(detail) };
        // Near the numbers that are in use, on both sides.
        let sequence = talk.next_sequence().wrapping_add(8).wrapping_sub(u32::from(detail & 0x1f));
        let link = LinkHealth { damaged: u32::from(what), dropped: u32::from(detail) };
        let steps = match what % 8 {
            0 | 1 => {
                let size = 1 + usize::from(detail);
                if talk.has_room(size) {
                    talk.sent(next, size, now);
                    flying.insert(next, size);
                    assert!(flying.len() == 1 || flying.values().sum::<usize>() <= WINDOW as usize);
                    next += 1;
                }
                Vec::new()
            }
            2 | 3 => {
                let report = Report { session, sequence, measurement: Measurement::default(), link };
                talk.receive(ToHost::Report(report), now, |_, _| what & 0x40 == 0 || detail & 1 == 0)
            }
            4 => {
                let kinds = [FaultKind::Damaged, FaultKind::Engine, FaultKind::Malformed, FaultKind::Compression];
                let kind = match detail >> 5 {
                    4 => FaultKind::NoSession { found: session },
                    5 => FaultKind::Unfit,
                    index => kinds[usize::from(index) % kinds.len()],
                };
                let sequence = (what & 0x10 == 0).then_some(sequence);
                talk.receive(ToHost::Fault(Fault { session, sequence, kind, link }), now, |_, _| true)
            }
            5 => {
                now += Duration::from_millis(u64::from(detail) * 20);
                talk.tick(now, what & 0x80 == 0)
            }
            6 => {
                talk.progressed(u64::from(detail), now);
                Vec::new()
            }
            _ => talk.restart(u32::from(detail), now),
        };
        for step in steps {
            match step {
                Step::Measured { chunk, .. } => {
                    assert!(measured.insert(chunk), "counted twice");
                    assert!(flying.remove(&chunk).is_some(), "never sent");
                }
                Step::Resend { chunk, .. } => assert!(flying.contains_key(&chunk), "sent again after its answer"),
                Step::Greet => {}
                Step::GiveUp { chunk, .. } => {
                    assert!(chunk.is_none_or(|chunk| flying.contains_key(&chunk)));
                    let left: HashSet<usize> = talk.abandon().collect();
                    assert_eq!(left, flying.into_keys().collect(), "what is unanswered is left for others");
                    return;
                }
            }
        }
        assert_eq!(talk.is_idle(), flying.is_empty());
    }
    let left: HashSet<usize> = talk.abandon().collect();
    assert_eq!(left, flying.into_keys().collect());
    assert_eq!(measured.len() + left.len(), next);
});

fn welcome() -> Welcome {
    Welcome {
        protocol: PROTOCOL_VERSION,
        schema: SCHEMA_HASH,
        session: 3,
        firmware: String::new(),
        board: String::new(),
        identity: String::new(),
        engine: EngineKind::Cpu,
        adapter: None,
        limits: Limits {
            max_payload: 100,
            window_bytes: WINDOW,
            elements: ElementSet::ALL,
            statistics: Statistics::FULL,
        },
        compressions: CompressionSet::ALL,
        self_test: SelfTest { passed: true, answers: 1, max_relative_error: 0.0, tolerance: 1e-10 },
    }
}
