//! An engine of one's own, served on standard input and output: it measures moments only, in two plain passes.
//! `kurtoscope analyze MODEL --device 'exec:cargo run --release -p kurtoscope-firmware --features std --example own_engine'`

use std::error::Error;

use embedded_io_adapters::std::FromStd;
use kurtoscope_firmware::{
    Board, Framing, Session,
    engine::{ChunkSpec, Engine, check},
    serve,
};
use kurtoscope_shared::{
    Measurement, Moments,
    protocol::{Adapter, ElementSet, EngineKind, FaultKind, Limits},
    statistics::SupportedStatistic,
};

/// The largest payload of a chunk, bytes.
const MAX_PAYLOAD: u32 = 1 << 20;

/// Count, mean and central moments by two passes in f64: slow and short.
struct PlainMoments;

impl Engine for PlainMoments {
    fn kind(&self) -> EngineKind {
        EngineKind::Cpu
    }

    fn adapter(&self) -> Option<Adapter> {
        None
    }

    fn limits(&self) -> Limits {
        Limits { max_payload: MAX_PAYLOAD, window_bytes: 2 * MAX_PAYLOAD, elements: ElementSet::ALL }
    }

    fn statistics(&self) -> &'static [SupportedStatistic] {
        const { &[SupportedStatistic::of::<Moments>()] }
    }

    fn tolerance(&self) -> f64 {
        1e-9
    }

    fn measure(&mut self, spec: ChunkSpec, payload: &[u8]) -> Result<Measurement, FaultKind> {
        check(spec, payload, self.limits())?;
        let values = payload.chunks_exact(spec.element.size()).filter_map(|bytes| spec.element.decode(bytes));
        Ok(Measurement { moments: Moments::from_values(values), ..Measurement::default() })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let board = Board { name: "an engine of one's own".into(), identity: "example".into() };
    let mut session = Session::new(PlainMoments, board);
    let (reader, writer) = (std::io::stdin().lock(), std::io::stdout().lock());
    serve(&mut session, Framing::LengthPrefixed, FromStd::new(reader), FromStd::new(writer))
        .map_err(|error| format!("{error:?}").into())
}
