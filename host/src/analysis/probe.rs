//! Measuring how fast a device's link is, with a few chunks that belong to no checkpoint, before the run is cut into
//! chunks. What sizes to try and what follows from the times is decided in `pace`.

use std::time::{Duration, Instant};

use kurtoscope_shared::{
    Element, frame,
    protocol::{Chunk, Compression, FaultKind, Statistics, ToDevice, ToHost},
};

use super::{
    device::Device,
    link_counter::LinkCounter,
    pace::{self, Sample},
    wire::{Heard, Wire},
};

/// How often a probe is sent before the link is judged by the probes before it.
const ATTEMPTS: u32 = 3;

impl Device {
    /// The rate of the link, bytes of payload a second, measured now; `None` where there is no link. Where nothing comes
    /// back it is 0, which gives the smallest chunks: the run itself will find out why.
    pub fn measure_rate(&mut self) -> Option<f64> {
        let max_payload = pace::whole(self.limits().max_payload as usize);
        let patience = self.patience();
        let element = Element::ALL.into_iter().find(|element| self.elements().contains(*element))?;
        let session = self.session();
        let mut samples = Vec::new();
        let mut sequence = self.next_sequence();
        let mut link = self.link;
        let wire = self.wire()?;
        while let Some(bytes) = pace::next_probe(&samples, max_payload) {
            let bytes = pace::whole(bytes);
            let payload = noise(bytes);
            let took = (0..ATTEMPTS).find_map(|_| {
                let chunk = Chunk {
                    session,
                    sequence,
                    tensor: 0,
                    offset: 0,
                    count: (bytes / element.size()) as u32,
                    element,
                    compression: Compression::Plain,
                    row: 0,
                    statistics: Statistics::MOMENTS,
                };
                sequence = sequence.wrapping_add(1);
                exchange(wire, &mut link, chunk, &payload, patience)
            });
            match took {
                Some(took) => samples.push(Sample { bytes, took }),
                None => break,
            }
        }
        self.link = link;
        self.set_next_sequence(sequence);
        self.rate = pace::rate(&samples);
        Some(self.rate.unwrap_or(0.0))
    }
}

/// The time from sending a chunk to its report; `None` when none came.
fn exchange(
    wire: &mut Wire,
    link: &mut LinkCounter,
    chunk: Chunk,
    payload: &[u8],
    patience: Duration,
) -> Option<Duration> {
    // What came damaged before says nothing about this chunk.
    while matches!(wire.hear(Duration::ZERO), Heard::Damaged) {}
    let mut buffer = wire.buffer();
    // Messages of this protocol always encode.
    let _ = frame::encode(wire.framing(), &ToDevice::Chunk(chunk), payload, &mut buffer);
    let start = Instant::now();
    let mut alive = start;
    let mut written = wire.written();
    wire.send(buffer);
    while alive.elapsed() < patience {
        match wire.hear(Duration::from_millis(20)) {
            Heard::Message(ToHost::Report(report))
                if (report.session, report.sequence) == (chunk.session, chunk.sequence) =>
            {
                link.note(report.link);
                return Some(start.elapsed());
            }
            // Damaged at either end, or refused: a second attempt may do better.
            Heard::Message(ToHost::Fault(fault))
                if fault.sequence == Some(chunk.sequence) || fault.kind == FaultKind::Damaged =>
            {
                return None;
            }
            Heard::Damaged | Heard::OtherFraming(_) | Heard::Ended(_) => return None,
            Heard::Message(_) | Heard::Stranger { .. } | Heard::Unwritable(_) | Heard::Nothing => {}
        }
        if wire.written() != written {
            (written, alive) = (wire.written(), Instant::now());
        }
    }
    None
}

/// Bytes that nothing on the way makes shorter.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(bytes / 8).flatten().collect()
}
