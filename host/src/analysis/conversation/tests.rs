//! The conversation with a device that behaves, and with ones that do not.

use super::*;
use kurtoscope_shared::protocol::{
    CompressionSet, ElementSet, EngineKind, Fault, Limits, LinkHealth, Report, SelfTest,
};

const SILENCE: Duration = Duration::from_secs(5);
const PATIENCE: Patience = Patience { silence: SILENCE, give_up: Duration::from_secs(60) };

fn conversation(now: Instant) -> Conversation {
    conversation_in(250, now)
}

/// With a device that announces this window.
fn conversation_in(window_bytes: u32, now: Instant) -> Conversation {
    let welcome = Welcome {
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
            window_bytes,
            elements: ElementSet::ALL,
            statistics: kurtoscope_shared::protocol::Statistics::FULL,
        },
        compressions: CompressionSet::ALL,
        self_test: SelfTest { passed: true, answers: 1, max_relative_error: 0.0, tolerance: 1e-10 },
    };
    Conversation::new(&welcome, 0, LinkCounter::of_a_new_device(), PATIENCE, now)
}

fn report(sequence: u32) -> ToHost {
    let measurement = Measurement::default();
    ToHost::Report(Report { session: 3, sequence, measurement, link: LinkHealth::default() })
}

fn fault(sequence: Option<u32>, kind: FaultKind) -> ToHost {
    ToHost::Fault(Fault { session: 3, sequence, kind, link: LinkHealth { damaged: 1, dropped: 0 } })
}

fn measured(chunk: ChunkNumber) -> Step {
    Step::Measured { chunk, measurement: Box::default() }
}

#[test]
fn the_window_counts_payload_bytes() {
    let now = Instant::now();
    let mut talk = conversation(now);
    assert!(talk.has_room(1000), "an idle device takes any chunk");
    talk.sent(0, 100, now);
    talk.sent(1, 100, now);
    assert!(talk.has_room(50) && !talk.has_room(51));
    assert_eq!(talk.receive(report(0), now, |_, _| true), [measured(0)]);
    assert!(talk.has_room(150) && !talk.has_room(151));
}

#[test]
fn a_gap_in_the_answers_is_sent_again_at_once() {
    let now = Instant::now();
    let mut talk = conversation(now);
    for chunk in [10, 11, 12] {
        talk.sent(chunk, 10, now);
    }
    let steps = talk.receive(report(1), now, |_, _| true);
    assert_eq!(steps, [measured(11), Step::Resend { chunk: 10, sequence: 3 }]);
    assert_eq!(talk.receive(report(2), now, |_, _| true), [measured(12)]);
    assert_eq!(talk.receive(report(3), now, |_, _| true), [measured(10)]);
    assert!(talk.is_idle());
    assert_eq!(talk.resent(), 1);
}

#[test]
fn duplicates_and_strangers_are_ignored() {
    let now = Instant::now();
    let mut talk = conversation(now);
    talk.sent(0, 10, now);
    talk.receive(report(0), now, |_, _| true);
    assert_eq!(talk.receive(report(0), now, |_, _| true), []);
    let ToHost::Report(stranger) = report(0) else { unreachable!() };
    assert_eq!(talk.receive(ToHost::Report(Report { session: 8, ..stranger }), now, |_, _| true), []);
}

#[test]
fn a_damaged_frame_is_sent_again_when_it_is_clear_which() {
    let now = Instant::now();
    let mut talk = conversation(now);
    talk.sent(0, 10, now);
    assert_eq!(
        talk.receive(fault(None, FaultKind::Damaged), now, |_, _| true),
        [Step::Resend { chunk: 0, sequence: 1 }]
    );
    talk.sent(1, 10, now);
    assert_eq!(talk.receive(fault(None, FaultKind::Damaged), now, |_, _| true), []);
    assert_eq!(talk.link().damaged(), 1);
}

#[test]
fn silence_is_answered_by_sending_again_and_in_the_end_by_giving_up() {
    let start = Instant::now();
    let mut talk = conversation(start);
    talk.sent(0, 10, start);
    assert_eq!(talk.tick(start + SILENCE / 2, true), []);
    let mut now = start;
    for sequence in 1..12 {
        now += SILENCE;
        assert_eq!(talk.tick(now, true), [Step::Resend { chunk: 0, sequence }]);
    }
    assert_eq!(
        talk.tick(now + SILENCE, true),
        [Step::GiveUp { trouble: Trouble::NoAnswer { bytes: 10, seconds: 60 }, chunk: Some(0) }]
    );
}

#[test]
fn waits_follow_from_the_answers_and_grow_in_silence() {
    let mut now = Instant::now();
    let mut talk = conversation(now);
    talk.sent(0, 10, now);
    now += Duration::from_millis(100);
    talk.receive(report(0), now, |_, _| true);
    talk.sent(1, 10, now);
    for (sequence, wait) in (2..).zip([400, 800, 1600, 3200, 5000, 5000].map(Duration::from_millis)) {
        assert_eq!(talk.tick(now + wait - Duration::from_millis(1), true), [], "{wait:?}");
        now += wait;
        assert_eq!(talk.tick(now, true), [Step::Resend { chunk: 1, sequence }], "{wait:?}");
    }
}

#[test]
fn bad_luck_alone_never_ends_a_conversation() {
    // Every other answer is lost, for an hour.
    let mut now = Instant::now();
    let mut talk = conversation(now);
    for chunk in 0..1000 {
        let sequence = talk.sent(chunk, 10, now);
        now += SILENCE;
        assert_eq!(talk.tick(now, true), [Step::Resend { chunk, sequence: sequence + 1 }]);
        assert_eq!(talk.receive(report(sequence + 1), now, |_, _| true), [measured(chunk)]);
    }
    assert_eq!(talk.resent(), 1000);
}

#[test]
fn a_slow_link_is_not_a_silent_one() {
    let start = Instant::now();
    let mut talk = conversation(start);
    talk.sent(0, 100, start);
    talk.progressed(50, start + SILENCE);
    assert_eq!(talk.tick(start + SILENCE + SILENCE / 2, true), []);
    talk.progressed(50, start + PATIENCE.give_up);
    assert_eq!(talk.tick(start + PATIENCE.give_up + SILENCE / 2, true), [], "it still goes out");
}

#[test]
fn sending_again_is_no_sign_of_life() {
    let start = Instant::now();
    let mut talk = conversation(start);
    talk.sent(0, 100, start);
    for second in 1..60 {
        talk.progressed(100, start + Duration::from_secs(second));
        let damaged = fault(None, FaultKind::Damaged);
        assert_eq!(talk.receive(damaged, start + Duration::from_secs(second), |_, _| true).len(), 1);
    }
    let steps = talk.tick(start + Duration::from_secs(63), true);
    assert!(
        matches!(steps[..], [Step::GiveUp { trouble: Trouble::NoAnswer { bytes: 100, .. }, chunk: Some(0) }]),
        "{steps:?}"
    );
}

#[test]
fn refusals_and_nonsense_end_it_with_numbers() {
    let now = Instant::now();
    let mut talk = conversation(now);
    let kind = FaultKind::Engine;
    talk.sent(0, 10, now);
    for sequence in 0..ATTEMPTS - 1 {
        let steps = talk.receive(fault(Some(sequence), kind), now, |_, _| true);
        assert_eq!(steps, [Step::Resend { chunk: 0, sequence: sequence + 1 }]);
    }
    let steps = talk.receive(fault(Some(ATTEMPTS - 1), kind), now, |_, _| true);
    assert_eq!(steps, [Step::GiveUp { trouble: Trouble::Refused { bytes: 10, kind }, chunk: Some(0) }]);
    assert_eq!(talk.abandon().collect::<Vec<_>>(), [0], "left for another device");

    let mut talk = conversation(now);
    let sequence = talk.sent(1, 20, now);
    let nonsense = Step::GiveUp { trouble: Trouble::Nonsense { bytes: 20 }, chunk: Some(1) };
    assert_eq!(talk.receive(report(sequence), now, |_, _| false), [nonsense]);
}

#[test]
fn a_device_that_was_restarted_is_greeted_and_gets_everything_again() {
    let now = Instant::now();
    let mut talk = conversation(now);
    talk.sent(4, 10, now);
    talk.sent(5, 10, now);
    let steps = talk.receive(fault(Some(0), FaultKind::NoSession { found: 3 }), now, |_, _| true);
    assert_eq!(steps, [Step::Greet]);
    assert_eq!(talk.restart(9, now), [Step::Resend { chunk: 4, sequence: 2 }, Step::Resend { chunk: 5, sequence: 3 }]);
    assert_eq!(talk.session(), 9);
    assert_eq!(talk.abandon().collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn an_answer_to_an_earlier_copy_is_as_good_as_one_to_the_newest() {
    // Every chunk takes longer than the first patience, and is nevertheless measured without sending it over and over.
    let work = SILENCE + SILENCE / 5;
    let mut now = Instant::now();
    let mut talk = conversation(now);
    let mut busy_until = now;
    let mut answers = VecDeque::new();
    let mut copies = 0;
    for chunk in 0..20 {
        let mut sent = vec![talk.sent(chunk, 10, now)];
        loop {
            for sequence in sent.drain(..) {
                copies += 1;
                busy_until = busy_until.max(now) + work;
                answers.push_back((busy_until, sequence));
            }
            now += Duration::from_millis(20);
            let due = answers.front().filter(|(at, _)| *at <= now).map(|(_, sequence)| *sequence);
            let heard = due.map(|sequence| {
                answers.pop_front();
                talk.receive(report(sequence), now, |_, _| true)
            });
            if heard.is_some_and(|steps| steps.contains(&measured(chunk))) {
                break;
            }
            for step in talk.tick(now, true) {
                let Step::Resend { sequence, .. } = step else { panic!("{step:?}") };
                sent.push(sequence);
            }
        }
    }
    assert!(copies <= 22, "{copies} copies of 20 chunks");
}

#[test]
fn silence_has_the_first_chunk_sent_again_and_its_answer_the_others() {
    let now = Instant::now();
    let mut talk = conversation(now);
    for chunk in [10, 11, 12] {
        talk.sent(chunk, 10, now);
    }
    let later = now + SILENCE;
    assert_eq!(talk.tick(later, false), [], "it has not even left");
    assert_eq!(talk.tick(later, true), [Step::Resend { chunk: 10, sequence: 3 }]);
    assert_eq!(talk.oldest(), Some(10));
    // The device was only slow with the second: nothing else is sent again.
    let mut slow = talk.clone();
    assert_eq!(slow.receive(report(0), later, |_, _| true), [measured(10)]);
    assert_eq!(slow.receive(report(1), later, |_, _| true), [measured(11)]);
    assert_eq!(slow.receive(report(2), later, |_, _| true), [measured(12)]);
    assert_eq!(slow.receive(report(3), later, |_, _| true), []);
    assert!(slow.is_idle() && slow.resent() == 1);
    // All three were lost: the answer to the copy shows it.
    let steps = talk.receive(report(3), later, |_, _| true);
    let again = [(11, 4), (12, 5)].map(|(chunk, sequence)| Step::Resend { chunk, sequence });
    assert_eq!(steps, [&[measured(10)][..], &again].concat());
}

#[test]
fn a_window_larger_than_this_program_affords_is_not_used() {
    let now = Instant::now();
    let mut talk = conversation_in(u32::MAX, now);
    talk.sent(0, MOST_IN_FLIGHT - 1, now);
    assert!(talk.has_room(1) && !talk.has_room(2));
}
