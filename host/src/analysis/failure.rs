//! Why a device cannot be used, or was lost: one type from the opening of its link to its last chunk. What the caller does
//! about it is the caller's; what ends a whole run is in `error`.

use std::{error::Error, fmt, time::Duration};

use kurtoscope_shared::{
    frame::Framing,
    protocol::{FaultKind, PROTOCOL_VERSION},
    statistics::ImplausibleAnswer,
};

/// A device that cannot be used, or was lost in the middle of a run.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {kind}{}", in_parentheses(chunk))]
pub struct DeviceFailure {
    /// The device.
    pub url: String,
    /// What went wrong.
    pub kind: DeviceFailureKind,
    /// The chunk that it went wrong with; none where no chunk is to blame.
    pub chunk: Option<Box<ChunkLocation>>,
    /// What caused it: a [`LinkError`](crate::link::LinkError) or, after a lost link, the failure of the last attempt to
    /// open it again. Most kinds have no cause beyond themselves.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What went wrong with a device.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceFailureKind {
    /// The link could not be opened, and nothing was sent: the port is absent, in use or forbidden, or a program cannot be
    /// started. The source is the [`LinkError`](crate::link::LinkError).
    #[error("the link cannot be opened")]
    CannotOpen,
    /// The link was open and ended: unplugged, switched off, or its program ended. Unlike with
    /// [`NoAnswer`](Self::NoAnswer), the system reported it.
    #[error("{}", disconnected(.reason.as_deref(), *.searched))]
    Disconnected {
        /// The system's reason, where it gave one.
        reason: Option<String>,
        /// How long the device was looked for afterwards; none where it had not answered at all yet.
        searched: Option<Duration>,
    },
    /// The link is open, and no valid answer came in time: to the handshake, or to any copy of a chunk.
    #[error("no valid answer within {} s{}", seconds(*.waited), damaged_instead(*.damaged_frames))]
    NoAnswer {
        /// How long was waited.
        waited: Duration,
        /// Damaged frames that came instead.
        damaged_frames: u64,
    },
    /// The device uses another version of the protocol, and no chunk was sent.
    #[error(
        "it uses protocol {protocol}, this program protocol {PROTOCOL_VERSION}: use the same version of Kurtoscope at \
         both ends"
    )]
    IncompatibleVersion {
        /// The device's protocol version.
        protocol: u16,
    },
    /// The device does not measure the moments as this program defines them, and nothing is measured without.
    #[error(
        "it measures moments of another version than this program: use the same version of Kurtoscope at both ends"
    )]
    IncompatibleMoments,
    /// The device sends frames in the other framing, and no chunk was sent: it serves another kind of link.
    #[error("it sends {found} frames, and this kind of link has {} ones", found.other())]
    IncompatibleFraming {
        /// The device's framing.
        found: Framing,
    },
    /// The device announces a payload that cannot hold one element of every type.
    #[error("it takes payloads of up to {max_payload} bytes, and one element may need 8")]
    PayloadTooSmall {
        /// As announced, bytes.
        max_payload: u32,
    },
    /// Another device answers where this one was lost.
    #[error("{found} answers where {expected} was lost; plug {expected} in again")]
    DifferentDevice {
        /// The device that was lost.
        expected: String,
        /// The one that answered.
        found: String,
    },
    /// The device computes known answers wrongly: its driver or its hardware is at fault.
    #[error(
        "it fails its self-test: {answers} known answers, the largest relative error {max_relative_error:.1e} where \
         {tolerance:.0e} is its limit, which may be {most:.0e} at most"
    )]
    SelfTestFailed {
        /// Known answers that it compared.
        answers: u32,
        /// The largest relative error.
        max_relative_error: f64,
        /// What the engine states as its accuracy.
        tolerance: f64,
        /// The most that an engine may state.
        most: f64,
    },
    /// The device itself reports that it cannot measure: one chunk, however often it was sent, or any at all.
    #[error("the device refuses{}: {fault}", if *.fault == FaultKind::Unfit { " to work" } else { " a chunk" })]
    Refused {
        /// What it reported last.
        fault: FaultKind,
    },
    /// The device answered in time, and the answer contradicts itself or the chunk: its engine or firmware is defective.
    #[error("the device's report contradicts itself or its chunk: {reason}; its engine or firmware is defective")]
    InvalidReport {
        /// What is wrong with it.
        reason: InvalidReport,
    },
    /// The engine crashed: its program ended repeatedly at the same chunk or, in this process, its thread panicked.
    #[error("{}", crashed(*.times))]
    Crashed {
        /// How often; once in this process.
        times: u32,
    },
}

/// What is wrong with a report.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InvalidReport {
    /// It is of other elements than those of the chunk with its number.
    #[error("it is of elements with CRC-32C {found:08x}, the chunk's have {expected:08x}")]
    OtherContent {
        /// The checksum of what was measured, as reported.
        found: u32,
        /// That of the chunk's elements.
        expected: u32,
    },
    /// No elements have these statistics.
    #[error("{0}")]
    Implausible(ImplausibleAnswer),
}

/// A chunk of a checkpoint, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkLocation {
    /// The tensor.
    pub tensor: String,
    /// The chunk's first element in what is measured of the tensor.
    pub offset: u64,
    /// The chunk's elements.
    pub count: u32,
    /// The chunk's payload, bytes.
    pub bytes: usize,
}

impl DeviceFailure {
    /// A failure of the device `url` as a whole.
    pub(super) fn new(url: impl fmt::Display, kind: DeviceFailureKind) -> Self {
        Self { url: url.to_string(), kind, chunk: None, source: None }
    }

    /// The link of the device `url` cannot be opened.
    pub(super) fn cannot_open(url: impl fmt::Display, source: crate::link::LinkError) -> Self {
        Self { source: Some(Box::new(source)), ..Self::new(url, DeviceFailureKind::CannotOpen) }
    }

    /// The same failure, with the chunk that is to blame.
    #[must_use]
    pub(super) fn at(self, chunk: Option<ChunkLocation>) -> Self {
        Self { chunk: chunk.map(Box::new), ..self }
    }

    /// The same failure, caused by `source`.
    #[must_use]
    pub(super) fn caused_by(self, source: Option<Self>) -> Self {
        Self { source: source.map(|source| Box::new(source) as _), ..self }
    }

    /// Whether the device was there and is gone: unplugged, switched off, or its program ended.
    pub fn is_disconnected(&self) -> bool {
        matches!(self.kind, DeviceFailureKind::Disconnected { .. })
    }
}

impl fmt::Display for ChunkLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {} elements of \"{}\" from element {}", self.bytes, self.count, self.tensor, self.offset)
    }
}

fn in_parentheses(chunk: &Option<Box<ChunkLocation>>) -> String {
    chunk.as_ref().map(|chunk| format!(" (chunk of {chunk})")).unwrap_or_default()
}

fn disconnected(reason: Option<&str>, searched: Option<Duration>) -> String {
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    match searched {
        None => format!("the link ended before the device answered{reason}"),
        Some(searched) => {
            let seconds = seconds(searched);
            format!("the link ended in the middle of the run{reason}, and within {seconds} s it did not come back")
        }
    }
}

fn crashed(times: u32) -> String {
    match times {
        0 | 1 => "the engine in this process panicked, which is a defect of Kurtoscope".into(),
        _ => format!("its program ended {times} times over the same chunk"),
    }
}

fn damaged_instead(frames: u64) -> String {
    match frames {
        0 => String::new(),
        1 => " but a damaged frame".to_owned(),
        _ => format!(" but {frames} damaged frames"),
    }
}

/// Seconds to the millisecond, without zeros that say nothing.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_device_the_chunk_and_its_source_once() {
        let chunk = ChunkLocation { tensor: "h.0.weight".into(), offset: 4096, count: 1024, bytes: 4096 };
        let kind = DeviceFailureKind::Refused { fault: FaultKind::Engine };
        let refused = DeviceFailure::new("exec:x", kind).at(Some(chunk));
        let text = refused.to_string();
        assert!(text.starts_with("exec:x: the device refuses a chunk: "), "{text}");
        assert!(text.ends_with("(chunk of 4096 bytes, 1024 elements of \"h.0.weight\" from element 4096)"), "{text}");
        let kind = DeviceFailureKind::Disconnected { reason: None, searched: Some(Duration::from_millis(1500)) };
        let gone = DeviceFailure::new("usb:", kind).caused_by(Some(refused));
        assert!(gone.is_disconnected() && !gone.to_string().contains("refuses"), "{gone}");
        assert!(gone.to_string().contains("within 1.5 s it did not come back"), "{gone}");
        assert_eq!(gone.source().map(ToString::to_string), Some(text));
    }
}
