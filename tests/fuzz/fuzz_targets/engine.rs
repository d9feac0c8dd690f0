//! Any bytes as elements of any type, in rows of any length, with anything asked for: an engine refuses the chunk or gives
//! an answer that a host accepts.

#![no_main]

use kurtoscope_firmware::engine::{BurnEngine, Engine, Piece};
use kurtoscope_shared::{Element, protocol::Statistics};
use libfuzzer_sys::fuzz_target;

/// Bytes that say what is asked for.
const HEADER: usize = 8;
const MAX_PAYLOAD: u32 = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    let Some((header, payload)) = bytes.split_first_chunk::<HEADER>() else { return };
    let [kind, flags, top, quantization, row, row_high, offset, offset_high] = *header;
    let element = Element::ALL[usize::from(kind) % Element::ALL.len()];
    let payload = &payload[..payload.len() / element.size() * element.size()];
    let statistics = Statistics {
        tail: flags & 1 == 1,
        top,
        // Densities that engines know come up as often as others.
        quantization: if flags & 2 == 2 { 1 << (quantization % 7) } else { quantization },
        lines: flags & 4 == 4,
    };
    let row = u16::from_le_bytes([row, row_high]);
    let offset = u16::from_le_bytes([offset, offset_high]);
    let piece = Piece { element, offset: offset.into(), row: row.into(), statistics };
    for mut engine in [BurnEngine::cpu_with_payload(MAX_PAYLOAD), BurnEngine::single_precision(MAX_PAYLOAD)] {
        if let Ok(measurement) = engine.measure(piece, payload) {
            assert!(measurement.is_valid((payload.len() / element.size()) as u64), "{piece:?}: {measurement:?}");
        }
    }
});
