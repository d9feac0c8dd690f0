//! The handshake with a device, and deciding whether to work with what answers. What happens on a refusal is left to the
//! device's owner.

use std::time::{Duration, Instant};

use kurtoscope_shared::{
    Moments,
    frame::{self, Framing},
    protocol::{Hello, PROTOCOL_VERSION, SelfTest, ToDevice, ToHost, Welcome},
    statistics::StatisticKey,
};

use super::{
    failure::DeviceFailureKind,
    wire::{Wire, WireEvent},
};

/// How often the handshake is attempted within its time.
const ATTEMPTS: u32 = 5;
/// The relative error that no device may state more than: binary16 has five times as much.
const MAX_TOLERANCE: f64 = 1e-4;
/// The most noise before one hello: `1024 << 14` bytes, 16 MiB.
const MAX_PADDING_SHIFT: u32 = 14;
/// The longest wait before the next attempt, however long the time is.
const MAX_ATTEMPT: Duration = Duration::from_secs(2);

/// Sends the device a hello under session number `session` until it answers, for up to `timeout`.
///
/// # Errors
/// [`DeviceFailureKind::NoAnswer`], [`DeviceFailureKind::Disconnected`], [`DeviceFailureKind::IncompatibleVersion`] or
/// [`DeviceFailureKind::IncompatibleFraming`].
pub fn handshake(wire: &mut Wire, session: u32, timeout: Duration) -> Result<Welcome, DeviceFailureKind> {
    // Anything that was on its way before is cut off.
    let framing = wire.framing();
    let mut hello = framing.opening().to_vec();
    // A hello is plain data and always encodes.
    let message = ToDevice::Hello(Hello { protocol: PROTOCOL_VERSION, session });
    let _ = frame::encode(framing, &message, &[], &mut hello);
    let start = Instant::now();
    let each = (timeout / ATTEMPTS).min(MAX_ATTEMPT);
    for attempt in 0u32.. {
        if start.elapsed() >= timeout {
            break;
        }
        // A program that was started with the link has no earlier sender; on a link that takes nothing more would only pile up.
        let may_be_waiting = attempt > 0 && !wire.is_program() && wire.is_written();
        let mut bytes = vec![0; if may_be_waiting { padding(framing, attempt) } else { 0 }];
        bytes.extend_from_slice(&hello);
        wire.send(bytes);
        let until = Instant::now() + each;
        while Instant::now() < until {
            match wire.next_event(Some(until)) {
                WireEvent::Message(ToHost::Welcome(welcome)) => {
                    if welcome.protocol != PROTOCOL_VERSION {
                        return Err(DeviceFailureKind::IncompatibleVersion { protocol: welcome.protocol });
                    } else if welcome.session == session {
                        return Ok(welcome);
                    }
                }
                WireEvent::OtherVersion { protocol } => {
                    return Err(DeviceFailureKind::IncompatibleVersion { protocol });
                }
                WireEvent::OtherFraming(found) => return Err(DeviceFailureKind::IncompatibleFraming { found }),
                WireEvent::Ended(reason) => return Err(DeviceFailureKind::Disconnected { reason, searched: None }),
                WireEvent::Message(_)
                | WireEvent::Damaged
                | WireEvent::Written
                | WireEvent::Woken
                | WireEvent::TimedOut => {}
            }
        }
    }
    Err(DeviceFailureKind::NoAnswer { waited: timeout, damaged_frames: wire.damaged() })
}

/// Bytes of noise to send before a hello. A device that waits for the rest of a long frame, whose sender is gone, takes the hello
/// for a part of it; where frames carry their length, only more bytes end that frame.
fn padding(framing: Framing, attempt: u32) -> usize {
    match framing {
        Framing::LengthPrefixed => 1024 << attempt.min(MAX_PADDING_SHIFT),
        Framing::Cobs => 0,
    }
}

/// Decides whether to work with a device that introduced itself.
///
/// # Errors
/// [`DeviceFailureKind::IncompatibleMoments`], [`DeviceFailureKind::SelfTestFailed`] unless `allow_untrusted`, and
/// [`DeviceFailureKind::PayloadTooSmall`].
pub fn accept(welcome: &Welcome, allow_untrusted: bool) -> Result<(), DeviceFailureKind> {
    if !welcome.statistics.contains(&StatisticKey::of::<Moments>()) {
        return Err(DeviceFailureKind::IncompatibleMoments);
    }
    if !passes_self_test(welcome) && !allow_untrusted {
        let SelfTest { answers, max_relative_error, tolerance, .. } = welcome.self_test;
        return Err(DeviceFailureKind::SelfTestFailed { answers, max_relative_error, tolerance, most: MAX_TOLERANCE });
    }
    if welcome.limits.max_payload < 8 {
        return Err(DeviceFailureKind::PayloadTooSmall { max_payload: welcome.limits.max_payload });
    }
    Ok(())
}

/// Whether a device's verdict about itself and its numbers agree, and it states an accuracy that is one.
pub fn passes_self_test(welcome: &Welcome) -> bool {
    let SelfTest { passed, answers, max_relative_error, tolerance } = welcome.self_test;
    passed
        && answers > 0
        && (0.0..=MAX_TOLERANCE).contains(&tolerance)
        && (0.0..=tolerance).contains(&max_relative_error)
}

/// The relative accuracy that a device states, within the range that is plausible.
pub fn stated_accuracy(welcome: &Welcome) -> f64 {
    let tolerance = welcome.self_test.tolerance;
    if (0.0..=MAX_TOLERANCE).contains(&tolerance) { tolerance } else { MAX_TOLERANCE }
}

/// Whether the device that answers, `found`, is the one that was there `before`: by its name and identity, not by the
/// port that it is on.
///
/// # Errors
/// [`DeviceFailureKind::DifferentDevice`].
pub fn recognise(before: &Welcome, found: Welcome) -> Result<Welcome, DeviceFailureKind> {
    let what =
        |welcome: &Welcome| (welcome.engine, welcome.adapter.clone(), welcome.limits, welcome.statistics.clone());
    let who = |welcome: &Welcome| (welcome.board.clone(), welcome.identity.clone());
    let same = (who(before), what(before)) == (who(&found), what(&found));
    if same {
        return Ok(found);
    }
    let name = |welcome: &Welcome| match welcome.identity.as_str() {
        "" => welcome.board.clone(),
        identity => format!("{} {identity}", welcome.board),
    };
    Err(DeviceFailureKind::DifferentDevice { expected: name(before), found: name(&found) })
}

/// A number that no session on the same board had recently: it distinguishes late answers from new ones.
pub fn session_number() -> u32 {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (time.as_nanos() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(std::process::id())) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Link;
    use embedded_io_adapters::std::FromStd;
    use kurtoscope_firmware::{Board, Session, engine::CpuEngine, serve};
    use std::{
        io::{self, Write},
        thread,
    };

    /// A device that has received `before`, from a sender that is gone.
    fn device(framing: Framing, before: &[u8]) -> Wire {
        let ((host_reads, device_writes), (device_reads, mut host_writes)) =
            (io::pipe().expect("a pipe"), io::pipe().expect("a pipe"));
        host_writes.write_all(before).expect("room in a pipe");
        thread::spawn(move || {
            let board = Board { name: "test".into(), identity: String::new() };
            let mut session = Session::new(CpuEngine::with_max_payload(1 << 14), board);
            serve(&mut session, framing, FromStd::new(device_reads), FromStd::new(device_writes))
        });
        let (reader, writer) = (Box::new(host_reads), Box::new(host_writes));
        Wire::new(Link { reader, writer, framing, process: None })
    }

    #[test]
    fn a_device_in_the_middle_of_a_frame_whose_sender_is_gone_answers() {
        for framing in Framing::ALL {
            let (mut frame, hello) = (Vec::new(), ToDevice::Hello(Hello { protocol: PROTOCOL_VERSION, session: 1 }));
            frame::encode(framing, &hello, &[7; 4000], &mut frame).expect("encodes");
            let mut wire = device(framing, &frame[..100]);
            let welcome = handshake(&mut wire, 2, Duration::from_secs(10));
            assert_eq!(welcome.map(|welcome| welcome.session), Ok(2), "{framing}");
        }
    }

    #[test]
    fn a_device_whose_verdict_and_numbers_disagree_is_refused() {
        let mut wire = device(Framing::Cobs, &[]);
        let right = handshake(&mut wire, 1, Duration::from_secs(10)).expect("a welcome");
        assert_eq!(accept(&right, false), Ok(()));
        let test = right.self_test;
        for self_test in [
            SelfTest { passed: false, ..test },
            SelfTest { answers: 0, ..test },
            SelfTest { max_relative_error: f64::NAN, ..test },
            SelfTest { max_relative_error: -1e-12, ..test },
            SelfTest { max_relative_error: test.tolerance * 2.0, ..test },
            SelfTest { tolerance: f64::NAN, ..test },
            SelfTest { tolerance: f64::INFINITY, ..test },
            SelfTest { tolerance: 1e30, ..test },
            SelfTest { tolerance: -1.0, ..test },
        ] {
            let welcome = Welcome { self_test, ..right.clone() };
            let refused = accept(&welcome, false);
            assert!(matches!(refused, Err(DeviceFailureKind::SelfTestFailed { .. })), "{self_test:?}: {refused:?}");
            assert_eq!(accept(&welcome, true), Ok(()), "{self_test:?}");
            assert!((0.0..=MAX_TOLERANCE).contains(&stated_accuracy(&welcome)), "{self_test:?}");
        }
    }
}
