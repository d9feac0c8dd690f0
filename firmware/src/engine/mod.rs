//! Engines: what computes the moments of a chunk.

mod burn_engine;
pub mod cpu;
mod extension;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod reference;

use alloc::boxed::Box;

use bytes::Bytes;
use kurtoscope_shared::{
    Element,
    protocol::{Adapter, EngineKind, FaultKind, Limits, Measurement, Statistics},
};

pub use burn_engine::BurnEngine;
pub use extension::{MeasureBackend, Measured, Task};

/// A chunk that an engine has taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Submission {
    /// It is measured already.
    Finished(Box<Measurement>),
    /// It is being measured; [`Engine::collect`] takes this number.
    Running(u32),
}

/// Measures chunks.
///
/// An engine keeps nothing that one chunk could tell another: the same payload gives the same bits.
///
/// [`measure`](Self::measure) is all that an engine on a processor needs. One that works beside the processor also takes
/// chunks before it has finished those before them: [`submit`](Self::submit), later [`collect`](Self::collect).
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
    /// one that [`limits`](Self::limits) allows; [`FaultKind::OutOfMemory`], [`FaultKind::DeviceLost`],
    /// [`FaultKind::Kernel`] and [`FaultKind::Engine`] when this chunk failed and another may work; [`FaultKind::Unfit`]
    /// when no chunk will work any more.
    fn measure(&mut self, element: Element, payload: Bytes, statistics: Statistics) -> Result<Measurement, FaultKind>;

    /// How many chunks may be submitted before the first of them is collected; at least 1.
    fn in_flight(&self) -> usize {
        1
    }

    /// Takes a chunk, and returns as soon as the next may be submitted. The payload stays in use until it is collected.
    ///
    /// # Errors
    /// As [`measure`](Self::measure).
    fn submit(&mut self, element: Element, payload: Bytes, statistics: Statistics) -> Result<Submission, FaultKind> {
        self.measure(element, payload, statistics).map(|measurement| Submission::Finished(measurement.into()))
    }

    /// Waits for a chunk that is [`Submission::Running`].
    ///
    /// # Errors
    /// As [`measure`](Self::measure); [`FaultKind::Engine`] for a number that no running chunk has.
    fn collect(&mut self, number: u32) -> Result<Measurement, FaultKind> {
        let _ = number;
        Err(FaultKind::Engine)
    }
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
