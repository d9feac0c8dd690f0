//! An engine of one's own, served on standard input and output: it measures moments only, in two plain passes.
//! `kurtoscope analyze MODEL --device 'exec:cargo run --release -p kurtoscope-firmware --features std --example own_engine'`

use std::error::Error;

use embedded_io_adapters::std::FromStd;
use kurtoscope_firmware::{
    Board, Session,
    engine::{Engine, Piece, check},
    serve,
};
use kurtoscope_shared::{
    Moments,
    protocol::{Adapter, ElementSet, EngineKind, FaultKind, Limits, Measurement, Statistics},
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
        Limits {
            max_payload: MAX_PAYLOAD,
            window_bytes: 2 * MAX_PAYLOAD,
            elements: ElementSet::ALL,
            statistics: Statistics::MOMENTS,
        }
    }

    fn tolerance(&self) -> f64 {
        1e-9
    }

    fn measure(&mut self, piece: Piece, payload: &[u8]) -> Result<Measurement, FaultKind> {
        check(piece, payload, self.limits())?;
        let values = payload.chunks_exact(piece.element.size()).filter_map(|bytes| piece.element.decode(bytes));
        Ok(Measurement { moments: Moments::from_values(values), ..Measurement::default() })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let board = Board { name: "an engine of one's own".into(), identity: "example".into() };
    let mut session = Session::new(PlainMoments, board);
    let (reader, writer) = (std::io::stdin().lock(), std::io::stdout().lock());
    serve(&mut session, FromStd::new(reader), FromStd::new(writer)).map_err(|error| format!("{error:?}").into())
}
