//! Measuring how fast a device's link is, with a few chunks that belong to no checkpoint, before the run is cut into
//! chunks. What sizes to try and what follows from the times is decided in `pace`.

use std::time::{Duration, Instant};

use kurtoscope_shared::{
    Element, Random, Requests, frame,
    protocol::{Chunk, Compression, FaultKind, ToDevice, ToHost, Welcome},
};

use super::{
    link_counter::LinkCounter,
    pace::{self, Sample},
    wire::{Wire, WireEvent},
};

/// How often a probe is sent before the link is judged by the probes before it.
const ATTEMPTS: u32 = 3;

/// What the probes share with the conversation that follows them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Continuation {
    /// The number that the next chunk will get.
    pub(super) next_sequence: u32,
    /// What the device counted on its link so far.
    pub(super) counter: LinkCounter,
}

/// The rate of the link over which `welcome` arrived, bytes of payload a second, measured now; `None` where no probe
/// is answered within `timeout`, or the device measures nothing at all.
pub(super) fn measure_rate(
    wire: &mut Wire,
    welcome: &Welcome,
    continuation: &mut Continuation,
    timeout: Duration,
) -> Option<f64> {
    let limits = welcome.limits;
    let max_payload = pace::whole(limits.max_payload as usize);
    let element = Element::ALL.into_iter().find(|element| limits.elements.contains(*element))?;
    let mut samples = Vec::new();
    while let Some(bytes) = pace::next_probe(&samples, max_payload) {
        let bytes = pace::whole(bytes);
        let payload = noise(bytes);
        let took = (0..ATTEMPTS).find_map(|_| {
            let chunk = Chunk {
                session: welcome.session,
                sequence: continuation.next_sequence,
                tensor: 0,
                offset: 0,
                count: (bytes / element.size()) as u32,
                element,
                compression: Compression::Plain,
                row: 0,
                requests: Requests::MOMENTS,
            };
            continuation.next_sequence = chunk.sequence.wrapping_add(1);
            exchange(wire, &mut continuation.counter, chunk, &payload, timeout)
        });
        match took {
            Some(took) => samples.push(Sample { bytes, took }),
            None => break,
        }
    }
    pace::rate(&samples)
}

/// The time from sending a chunk to its report; `None` when none came within `timeout` of the last sign of activity.
fn exchange(
    wire: &mut Wire,
    counter: &mut LinkCounter,
    chunk: Chunk,
    payload: &[u8],
    timeout: Duration,
) -> Option<Duration> {
    // What came damaged before says nothing about this chunk.
    while !matches!(wire.next_event(Some(Instant::now())), WireEvent::TimedOut | WireEvent::Ended(_)) {}
    let mut buffer = wire.buffer();
    // Messages of this protocol always encode.
    let _ = frame::encode(wire.framing(), &ToDevice::Chunk(chunk), payload, &mut buffer);
    let start = Instant::now();
    wire.send(buffer);
    loop {
        let deadline = start.max(wire.last_written()) + timeout;
        match wire.next_event(Some(deadline)) {
            WireEvent::Message(ToHost::Report(report))
                if (report.session, report.sequence) == (chunk.session, chunk.sequence) =>
            {
                counter.note(report.link);
                return Some(start.elapsed());
            }
            // Damaged at either end, or refused: a second attempt may do better.
            WireEvent::Message(ToHost::Fault(fault))
                if fault.sequence == Some(chunk.sequence) || fault.kind == FaultKind::Damaged =>
            {
                return None;
            }
            WireEvent::Damaged | WireEvent::OtherFraming(_) | WireEvent::Ended(_) => return None,
            // Bytes may have gone out since the deadline was set.
            WireEvent::TimedOut if start.max(wire.last_written()) + timeout <= Instant::now() => return None,
            WireEvent::Message(_)
            | WireEvent::OtherVersion { .. }
            | WireEvent::Written
            | WireEvent::Woken
            | WireEvent::TimedOut => {}
        }
    }
}

/// Bytes that nothing on the way makes shorter.
fn noise(bytes: usize) -> Vec<u8> {
    let mut random = Random::new(0);
    let words = std::iter::repeat_with(|| random.bits().to_le_bytes());
    words.take(bytes / 8).flatten().collect()
}
