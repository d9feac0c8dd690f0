//! Engines: what computes the moments of a chunk.

mod burn_engine;
pub mod cpu;
mod extension;
pub mod reference;

use bytes::Bytes;
use kurtoscope_shared::{
    Element,
    protocol::{Adapter, EngineKind, FaultKind, Limits, Measurement, Statistics},
};

pub use burn_engine::BurnEngine;
pub use extension::{MeasureBackend, Measured};

/// Measures chunks.
///
/// An engine is wholly synchronous and keeps nothing between chunks: the same payload gives the same bits.
pub trait Engine {
    /// Which kind of engine this is.
    fn kind(&self) -> EngineKind;

    /// The graphics adapter that computes; `None` where the processor does.
    fn adapter(&self) -> Option<Adapter>;

    /// What the engine can take in one chunk, and how much its device should have queued.
    fn limits(&self) -> Limits;

    /// The relative error of mean (in standard deviations), variance, skewness (absolute below 1) and kurtosis that the
    /// engine stands by; its self-test is held against this.
    fn tolerance(&self) -> f64;

    /// Measures `payload`, which holds a whole number of `element`s, little-endian.
    ///
    /// Blocks until the measurement is finished. An empty payload gives an empty measurement. The payload is dropped
    /// before this returns, so a buffer that was lent can be used again.
    ///
    /// # Errors
    /// [`FaultKind::PayloadLength`], [`FaultKind::TooLarge`] and [`FaultKind::UnsupportedElement`] when the chunk is not
    /// one that [`limits`](Self::limits) allows; [`FaultKind::Engine`] when this chunk failed and another may work;
    /// [`FaultKind::Unfit`] when no chunk will work any more.
    fn measure(&mut self, element: Element, payload: Bytes, statistics: Statistics) -> Result<Measurement, FaultKind>;
}

/// Checks a chunk against an engine's limits, in the order in which a reader would ask.
///
/// # Errors
/// The first of [`FaultKind::UnsupportedElement`], [`FaultKind::TooLarge`] and [`FaultKind::PayloadLength`] that applies.
pub fn check(element: Element, payload: &[u8], limits: Limits) -> Result<(), FaultKind> {
    let found = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    if !limits.elements.contains(element) {
        return Err(FaultKind::UnsupportedElement { element });
    }
    if found > limits.max_payload {
        return Err(FaultKind::TooLarge { found, max: limits.max_payload });
    }
    if !payload.len().is_multiple_of(element.size()) {
        let expected = payload.len().next_multiple_of(element.size()) as u64;
        return Err(FaultKind::PayloadLength { expected, found });
    }
    Ok(())
}
