//! Any bytes as elements of any type, in rows of any length, with anything asked for: an engine refuses the chunk or gives
//! an answer that a host accepts.

#![no_main]

use kurtoscope_firmware::engine::{ChunkSpec, CpuEngine, Engine};
use kurtoscope_shared::{
    Element, Requests,
    statistics::{ExtremeCount, SampleStride, StatisticKey},
};
use libfuzzer_sys::fuzz_target;

/// Bytes that say what is asked for.
const HEADER: usize = 8;
const MAX_PAYLOAD: u32 = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    let Some((header, payload)) = bytes.split_first_chunk::<HEADER>() else { return };
    let [kind, flags, top, quantization, row, row_high, offset, offset_high] = *header;
    let element = Element::ALL[usize::from(kind) % Element::ALL.len()];
    let payload = &payload[..payload.len() / element.size() * element.size()];
    let requests = Requests {
        histogram: (flags & 1 == 1).then_some(()),
        extremes: ExtremeCount::new(top % 66),
        quantization_errors: (flags & 2 == 2).then(|| SampleStride::new(1 << (quantization % 7))).flatten(),
        row_column_sums: (flags & 4 == 4).then_some(()),
        ..Requests::MOMENTS
    };
    let row = u16::from_le_bytes([row, row_high]);
    let offset = u16::from_le_bytes([offset, offset_high]);
    let spec = ChunkSpec { element, offset: offset.into(), row: row.into(), requests };
    for mut engine in [CpuEngine::with_max_payload(MAX_PAYLOAD), CpuEngine::single_precision(MAX_PAYLOAD)] {
        if let Ok(measurement) = engine.measure(spec, payload) {
            let known: Vec<StatisticKey> = engine.statistics().iter().map(|statistic| statistic.key).collect();
            let (asked, span) = (requests.limited_to(&known), spec.span(payload.len()));
            let checked = measurement.check(&asked, &span, engine.tolerance());
            assert_eq!(checked, Ok(()), "{spec:?}: {measurement:?}");
        }
    }
});
