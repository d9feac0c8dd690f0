//! Greeting a device and deciding whether to work with it.

use std::time::{Duration, Instant};

use kurtoscope_shared::{
    frame::{self, Framing},
    protocol::{PROTOCOL_VERSION, SCHEMA_HASH, ToHost, Welcome},
};

use super::{
    conversation::Conversation,
    wire::{Heard, Wire},
};

/// How often a device is greeted within the patience.
const GREETINGS: u32 = 5;
/// The relative error that no device may state more than: binary16 has five times as much.
pub(super) const LOOSEST_TOLERANCE: f64 = 1e-4;
/// The longest wait before the next greeting, however long the patience is.
const LONGEST_BETWEEN: Duration = Duration::from_secs(2);

/// Why a device that has a link is not worked with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Nothing sound came back.
    #[error(
        "no answer within {seconds} s{}; is it powered, does it run Kurtoscope's firmware, and is the baud rate right?",
        noise(*.damaged)
    )]
    Silent {
        /// How long was waited.
        seconds: f64,
        /// Damaged frames that came instead.
        damaged: u64,
    },
    /// The link ended before an answer.
    #[error("the link ended before the device answered{}", reason(.0))]
    Ended(Option<String>),
    /// Another version of the protocol.
    #[error(
        "it speaks protocol {device} (schema {}), this program protocol {PROTOCOL_VERSION} (schema {}): \
         use the same version of Kurtoscope at both ends",
        hex(.schema),
        hex(&SCHEMA_HASH)
    )]
    Version {
        /// The device's protocol version.
        device: u16,
        /// The device's schema hash.
        schema: [u8; 8],
    },
    /// Frames in the other framing.
    #[error(
        "it sends {found} frames, and this kind of link has {} ones: a board on a serial port or terminal is reached with \
         serial:, a program that serves on standard input and output with exec:, a board's own USB interface with usb:",
        found.other()
    )]
    OtherFraming {
        /// The device's framing.
        found: Framing,
    },
    /// Another device than the one that was there before.
    #[error("{found} answers where {expected} was lost; plug {expected} in again")]
    Another {
        /// The device that was lost.
        expected: String,
        /// The one that answered.
        found: String,
    },
    /// The device computes wrongly.
    #[error(
        "it fails its self-test: relative error {error:.1e} where {tolerance:.0e} is its limit; its driver or its hardware \
         computes wrongly. `--allow-untrusted` measures all the same, and the report will say so"
    )]
    SelfTest {
        /// The largest relative error.
        error: f64,
        /// What the engine states.
        tolerance: f64,
    },
    /// No chunk fits.
    #[error("it takes payloads of up to {max_payload} bytes, and one element may need 8")]
    Payload {
        /// As announced.
        max_payload: u32,
    },
}

fn noise(damaged: u64) -> String {
    match damaged {
        0 => String::new(),
        1 => " but a damaged frame".to_owned(),
        _ => format!(" but {damaged} damaged frames"),
    }
}

fn reason(text: &Option<String>) -> String {
    text.as_ref().map(|text| format!(" ({text})")).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Greets the device under session number `session` until it answers, for up to `patience`.
///
/// # Errors
/// [`Refusal::Silent`], [`Refusal::Ended`], [`Refusal::Version`] or [`Refusal::OtherFraming`].
pub fn greet(wire: &mut Wire, session: u32, patience: Duration) -> Result<Welcome, Refusal> {
    // Anything that was on its way before is cut off.
    let framing = wire.framing();
    let mut greeting = framing.opening().to_vec();
    // The greeting is plain data and always encodes.
    let _ = frame::encode(framing, &Conversation::hello(session), &[], &mut greeting);
    let start = Instant::now();
    let between = (patience / GREETINGS).min(LONGEST_BETWEEN);
    while start.elapsed() < patience {
        wire.send(greeting.clone());
        let until = Instant::now() + between;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            match wire.hear(left) {
                Heard::Message(ToHost::Welcome(welcome)) => {
                    return if (welcome.protocol, welcome.schema) != (PROTOCOL_VERSION, SCHEMA_HASH) {
                        Err(Refusal::Version { device: welcome.protocol, schema: welcome.schema })
                    } else if welcome.session == session {
                        Ok(welcome)
                    } else {
                        continue;
                    };
                }
                Heard::Stranger { protocol, schema } => return Err(Refusal::Version { device: protocol, schema }),
                Heard::OtherFraming(found) => return Err(Refusal::OtherFraming { found }),
                Heard::Ended(reason) => return Err(Refusal::Ended(reason)),
                Heard::Message(_) | Heard::Damaged | Heard::Unwritable(_) | Heard::Nothing => {}
            }
        }
    }
    Err(Refusal::Silent { seconds: patience.as_secs_f64(), damaged: wire.damaged() })
}

/// Decides whether to work with a device that introduced itself.
///
/// # Errors
/// [`Refusal::SelfTest`] unless `allow_untrusted`, and [`Refusal::Payload`].
pub fn judge(welcome: &Welcome, allow_untrusted: bool) -> Result<(), Refusal> {
    let test = welcome.self_test;
    // The device's word and its numbers must agree.
    let tolerance = test.tolerance.min(LOOSEST_TOLERANCE);
    let passed = test.passed && test.max_relative_error <= tolerance;
    if !passed && !allow_untrusted {
        return Err(Refusal::SelfTest { error: test.max_relative_error, tolerance });
    }
    if welcome.limits.max_payload < 8 {
        return Err(Refusal::Payload { max_payload: welcome.limits.max_payload });
    }
    Ok(())
}
