//! The conversation with a device that behaves, and with ones that do not.

use super::*;
use kurtoscope_shared::protocol::{
    CompressionSet, ElementSet, EngineKind, Fault, Limits, LinkHealth, PROTOCOL_VERSION, Report, SelfTest,
};
use kurtoscope_shared::statistics::KNOWN;

const SILENCE: Duration = Duration::from_secs(5);
const TIMEOUTS: Timeouts = Timeouts { resend: SILENCE, give_up: Duration::from_secs(60) };

fn new_conversation(now: Instant) -> Conversation {
    conversation_in(250, now)
}

/// With a device that announces this window.
fn conversation_in(window_bytes: u32, now: Instant) -> Conversation {
    let welcome = Welcome {
        protocol: PROTOCOL_VERSION,
        session: 3,
        firmware: String::new(),
        board: String::new(),
        identity: String::new(),
        engine: EngineKind::Cpu,
        adapter: None,
        limits: Limits { max_payload: 100, window_bytes, elements: ElementSet::ALL },
        statistics: KNOWN.to_vec(),
        compressions: CompressionSet::ALL,
        self_test: SelfTest { passed: true, answers: 1, max_relative_error: 0.0, tolerance: 1e-10 },
        capabilities: Vec::new(),
    };
    Conversation::new(&welcome, 0, LinkCounter::of_a_new_device(), TIMEOUTS, now)
}

fn report(sequence: u32) -> ToHost {
    let measurement = Measurement::default();
    ToHost::Report(Report { session: 3, sequence, payload_checksum: 0, link: LinkHealth::default(), measurement })
}

fn fault(sequence: Option<u32>, kind: FaultKind) -> ToHost {
    ToHost::Fault(Fault { session: 3, sequence, kind, link: LinkHealth { damaged: 1, dropped: 0 } })
}

fn no_answer(seconds: u64) -> DeviceFailureKind {
    DeviceFailureKind::NoAnswer { waited: Duration::from_secs(seconds), damaged_frames: 0 }
}

fn measured(chunk: ChunkNumber) -> Action {
    Action::Measured { chunk, measurement: Box::default() }
}

#[test]
fn the_window_counts_payload_bytes() {
    let now = Instant::now();
    let mut conversation = new_conversation(now);
    assert!(conversation.has_room(1000), "an idle device takes any chunk");
    conversation.sent(0, 100, now);
    conversation.sent(1, 100, now);
    assert!(conversation.has_room(50) && !conversation.has_room(51));
    assert_eq!(conversation.receive(report(0), now, |_, _| Ok(())), [measured(0)]);
    assert!(conversation.has_room(150) && !conversation.has_room(151));
}

#[test]
fn a_gap_in_the_answers_is_sent_again_at_once() {
    let now = Instant::now();
    let mut conversation = new_conversation(now);
    for chunk in [10, 11, 12] {
        conversation.sent(chunk, 10, now);
    }
    let actions = conversation.receive(report(1), now, |_, _| Ok(()));
    assert_eq!(actions, [measured(11), Action::Resend { chunk: 10, sequence: 3 }]);
    assert_eq!(conversation.receive(report(2), now, |_, _| Ok(())), [measured(12)]);
    assert_eq!(conversation.receive(report(3), now, |_, _| Ok(())), [measured(10)]);
    assert!(conversation.is_idle());
    assert_eq!(conversation.resent(), 1);
}

#[test]
fn duplicates_and_other_sessions_are_ignored() {
    let now = Instant::now();
    let mut conversation = new_conversation(now);
    conversation.sent(0, 10, now);
    conversation.receive(report(0), now, |_, _| Ok(()));
    assert_eq!(conversation.receive(report(0), now, |_, _| Ok(())), []);
    let ToHost::Report(other_session) = report(0) else { unreachable!() };
    assert_eq!(conversation.receive(ToHost::Report(Report { session: 8, ..other_session }), now, |_, _| Ok(())), []);
}

#[test]
fn a_damaged_frame_is_sent_again_when_it_is_clear_which() {
    let now = Instant::now();
    let mut conversation = new_conversation(now);
    conversation.sent(0, 10, now);
    assert_eq!(
        conversation.receive(fault(None, FaultKind::Damaged), now, |_, _| Ok(())),
        [Action::Resend { chunk: 0, sequence: 1 }]
    );
    conversation.sent(1, 10, now);
    assert_eq!(conversation.receive(fault(None, FaultKind::Damaged), now, |_, _| Ok(())), []);
    assert_eq!(conversation.link().damaged(), 1);
}

#[test]
fn silence_is_answered_by_sending_again_and_in_the_end_by_giving_up() {
    let start = Instant::now();
    let mut conversation = new_conversation(start);
    conversation.sent(0, 10, start);
    assert_eq!(conversation.tick(start + SILENCE / 2, true), []);
    let mut now = start;
    for sequence in 1..12 {
        now += SILENCE;
        assert_eq!(conversation.tick(now, true), [Action::Resend { chunk: 0, sequence }]);
    }
    assert_eq!(conversation.tick(now + SILENCE, true), [Action::GiveUp { kind: no_answer(60), chunk: Some(0) }]);
}

#[test]
fn waits_follow_from_the_answers_and_grow_in_silence() {
    let mut now = Instant::now();
    let mut conversation = new_conversation(now);
    conversation.sent(0, 10, now);
    now += Duration::from_millis(100);
    conversation.receive(report(0), now, |_, _| Ok(()));
    conversation.sent(1, 10, now);
    for (sequence, wait) in (2..).zip([400, 800, 1600, 3200, 5000, 5000].map(Duration::from_millis)) {
        assert_eq!(conversation.tick(now + wait - Duration::from_millis(1), true), [], "{wait:?}");
        now += wait;
        assert_eq!(conversation.tick(now, true), [Action::Resend { chunk: 1, sequence }], "{wait:?}");
    }
}

#[test]
fn bad_luck_alone_never_ends_a_conversation() {
    // Every other answer is lost, for an hour.
    let mut now = Instant::now();
    let mut conversation = new_conversation(now);
    for chunk in 0..1000 {
        let sequence = conversation.sent(chunk, 10, now);
        now += SILENCE;
        assert_eq!(conversation.tick(now, true), [Action::Resend { chunk, sequence: sequence + 1 }]);
        assert_eq!(conversation.receive(report(sequence + 1), now, |_, _| Ok(())), [measured(chunk)]);
    }
    assert_eq!(conversation.resent(), 1000);
}

#[test]
fn a_slow_link_is_not_a_silent_one() {
    let start = Instant::now();
    let mut conversation = new_conversation(start);
    conversation.sent(0, 100, start);
    conversation.written(50, start + SILENCE);
    assert_eq!(conversation.tick(start + SILENCE + SILENCE / 2, true), []);
    conversation.written(50, start + TIMEOUTS.give_up);
    assert_eq!(conversation.tick(start + TIMEOUTS.give_up + SILENCE / 2, true), [], "it still goes out");
}

#[test]
fn sending_again_is_no_progress() {
    let start = Instant::now();
    let mut conversation = new_conversation(start);
    conversation.sent(0, 100, start);
    for second in 1..60 {
        conversation.written(100, start + Duration::from_secs(second));
        let damaged = fault(None, FaultKind::Damaged);
        assert_eq!(conversation.receive(damaged, start + Duration::from_secs(second), |_, _| Ok(())).len(), 1);
    }
    let actions = conversation.tick(start + Duration::from_secs(63), true);
    assert!(
        matches!(actions[..], [Action::GiveUp { kind: DeviceFailureKind::NoAnswer { .. }, chunk: Some(0) }]),
        "{actions:?}"
    );
}

#[test]
fn refusals_and_invalid_reports_end_it() {
    let now = Instant::now();
    let mut conversation = new_conversation(now);
    let kind = FaultKind::Engine;
    conversation.sent(0, 10, now);
    for sequence in 0..ATTEMPTS - 1 {
        let actions = conversation.receive(fault(Some(sequence), kind), now, |_, _| Ok(()));
        assert_eq!(actions, [Action::Resend { chunk: 0, sequence: sequence + 1 }]);
    }
    let actions = conversation.receive(fault(Some(ATTEMPTS - 1), kind), now, |_, _| Ok(()));
    assert_eq!(actions, [Action::GiveUp { kind: DeviceFailureKind::Refused { fault: kind }, chunk: Some(0) }]);
    assert_eq!(conversation.into_unanswered().collect::<Vec<_>>(), [0], "left for another device");

    let mut conversation = new_conversation(now);
    let sequence = conversation.sent(1, 20, now);
    let reason = InvalidReport::OtherContent { found: 1, expected: 2 };
    let invalid = Action::GiveUp { kind: DeviceFailureKind::InvalidReport { reason }, chunk: Some(1) };
    assert_eq!(conversation.receive(report(sequence), now, |_, _| Err(reason)), [invalid]);
}

#[test]
fn a_restarted_device_gets_another_handshake_and_everything_again() {
    let now = Instant::now();
    let mut conversation = new_conversation(now);
    conversation.sent(4, 10, now);
    conversation.sent(5, 10, now);
    let actions = conversation.receive(fault(Some(0), FaultKind::NoSession { found: 3 }), now, |_, _| Ok(()));
    assert_eq!(actions, [Action::Handshake]);
    assert_eq!(
        conversation.restart(9, now),
        [Action::Resend { chunk: 4, sequence: 2 }, Action::Resend { chunk: 5, sequence: 3 }]
    );
    assert_eq!(conversation.session(), 9);
    assert_eq!(conversation.into_unanswered().collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn an_answer_to_an_earlier_copy_is_as_good_as_one_to_the_newest() {
    // Every chunk takes longer than the first time-out, and is nevertheless measured without sending it over and over.
    let work = SILENCE + SILENCE / 5;
    let mut now = Instant::now();
    let mut conversation = new_conversation(now);
    let mut busy_until = now;
    let mut answers = VecDeque::new();
    let mut copies = 0;
    for chunk in 0..20 {
        let mut sent = vec![conversation.sent(chunk, 10, now)];
        loop {
            for sequence in sent.drain(..) {
                copies += 1;
                busy_until = busy_until.max(now) + work;
                answers.push_back((busy_until, sequence));
            }
            now += Duration::from_millis(20);
            let due = answers.front().filter(|(at, _)| *at <= now).map(|(_, sequence)| *sequence);
            let answered = due.map(|sequence| {
                answers.pop_front();
                conversation.receive(report(sequence), now, |_, _| Ok(()))
            });
            if answered.is_some_and(|actions| actions.contains(&measured(chunk))) {
                break;
            }
            for action in conversation.tick(now, true) {
                let Action::Resend { sequence, .. } = action else { panic!("{action:?}") };
                sent.push(sequence);
            }
        }
    }
    assert!(copies <= 22, "{copies} copies of 20 chunks");
}

#[test]
fn silence_has_the_first_chunk_sent_again_and_its_answer_the_others() {
    let now = Instant::now();
    let mut conversation = new_conversation(now);
    for chunk in [10, 11, 12] {
        conversation.sent(chunk, 10, now);
    }
    let later = now + SILENCE;
    assert_eq!(conversation.tick(later, false), [], "it has not even left");
    assert_eq!(conversation.tick(later, true), [Action::Resend { chunk: 10, sequence: 3 }]);
    assert_eq!(conversation.oldest(), Some(10));
    // The device was only slow with the second: nothing else is sent again.
    let mut slow = conversation.clone();
    assert_eq!(slow.receive(report(0), later, |_, _| Ok(())), [measured(10)]);
    assert_eq!(slow.receive(report(1), later, |_, _| Ok(())), [measured(11)]);
    assert_eq!(slow.receive(report(2), later, |_, _| Ok(())), [measured(12)]);
    assert_eq!(slow.receive(report(3), later, |_, _| Ok(())), []);
    assert!(slow.is_idle() && slow.resent() == 1);
    // All three were lost: the answer to the copy shows it.
    let actions = conversation.receive(report(3), later, |_, _| Ok(()));
    let again = [(11, 4), (12, 5)].map(|(chunk, sequence)| Action::Resend { chunk, sequence });
    assert_eq!(actions, [&[measured(10)][..], &again].concat());
}

#[test]
fn a_window_larger_than_this_program_affords_is_not_used() {
    let now = Instant::now();
    let mut conversation = conversation_in(u32::MAX, now);
    conversation.sent(0, MAX_IN_FLIGHT_BYTES - 1, now);
    assert!(conversation.has_room(1) && !conversation.has_room(2));
}
