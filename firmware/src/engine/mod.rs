//! Engines: what measures a chunk. The session that feeds them is elsewhere.

mod centre;
pub mod cpu;
mod cpu_engine;
#[cfg(feature = "burn")]
mod extension;
#[cfg(feature = "gpu")]
pub mod gpu;
#[cfg(feature = "burn")]
mod lend;
mod payload;
mod powers;
#[cfg(feature = "burn")]
pub mod reference;

use alloc::boxed::Box;

use kurtoscope_shared::{
    Element, Measurement, Requests,
    protocol::{Adapter, EngineKind, FaultKind, Limits},
    quantization::LARGEST_BLOCK,
    statistics::{ChunkSpan, SupportedStatistic},
};

pub use cpu_engine::{CpuEngine, OnProcessor};
#[cfg(feature = "burn")]
pub use extension::{MeasureBackend, Measured, Task};
pub use payload::Payload;

/// What a payload is, and what to measure of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSpec {
    /// Type of the elements.
    pub element: Element,
    /// Position of the first one in its tensor.
    pub offset: u64,
    /// Elements in a row of the tensor; 0 where it has no rows. A chunk holds whole rows, or a part of one row.
    pub row: u32,
    /// What to measure besides the moments. An engine leaves out what it does not [support](Engine::statistics).
    pub requests: Requests,
}

impl ChunkSpec {
    /// The beginning of a tensor without rows.
    pub const fn of(element: Element, requests: Requests) -> Self {
        Self { element, offset: 0, row: 0, requests }
    }

    /// The position in its tensor of a payload of so many bytes.
    pub const fn span(&self, bytes: usize) -> ChunkSpan {
        ChunkSpan { offset: self.offset, count: (bytes / self.element.size()) as u64, row: self.row as u64 }
    }

    /// Whether a payload of so many bytes is cut from the tensor's rows as the requests need: whole rows, or a part of
    /// one that begins at a multiple of the largest block.
    fn fits_rows(&self, bytes: usize) -> bool {
        if !self.requests.goes_by_row() {
            return true;
        }
        let ChunkSpan { offset, count, row } = self.span(bytes);
        let block = LARGEST_BLOCK as u64;
        match row {
            0 => offset.is_multiple_of(block),
            row => {
                let begin = offset % row;
                let is_part = begin.is_multiple_of(block) && begin + count <= row;
                is_part || begin == 0 && count.is_multiple_of(row)
            }
        }
    }
}

/// A chunk that an engine has taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Submission {
    /// It is measured already, or failed.
    Finished(Box<Completion>),
    /// It is being measured; [`Engine::collect`] takes this number.
    Running(u32),
}

impl Submission {
    /// A chunk that is measured already, or failed.
    pub fn finished(outcome: Result<Measurement, FaultKind>, payload: impl Into<Option<Payload>>) -> Self {
        Self::Finished(Box::new(Completion { outcome, payload: payload.into() }))
    }
}

/// How a chunk ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The measurement, or why there is none; errors as those of [`Engine::measure`].
    pub outcome: Result<Measurement, FaultKind>,
    /// The payload given back, for its buffer; `None` where something still holds it.
    pub payload: Option<Payload>,
}

/// Measures chunks.
///
/// An engine keeps no state from one chunk to the next: the same payload gives the same bits.
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

    /// The statistics that the engine measures, the moments among them.
    fn statistics(&self) -> &'static [SupportedStatistic];

    /// The relative error of mean (in standard deviations), variance, skewness (absolute below 1) and kurtosis that the
    /// engine stands by; its self-test is held against this.
    fn tolerance(&self) -> f64;

    /// Measures `payload`, which holds a whole number of elements, little-endian.
    ///
    /// Blocks until the measurement is finished. An empty payload gives an empty measurement.
    ///
    /// # Errors
    /// [`FaultKind::PayloadLength`], [`FaultKind::TooLarge`], [`FaultKind::UnsupportedElement`] and [`FaultKind::Request`]
    /// when the chunk is not one that [`limits`](Self::limits) allows; [`FaultKind::OutOfMemory`], [`FaultKind::DeviceLost`],
    /// [`FaultKind::Kernel`] and [`FaultKind::Engine`] when this chunk failed and another may work; [`FaultKind::Unfit`]
    /// when no chunk will work any more.
    fn measure(&mut self, spec: ChunkSpec, payload: &[u8]) -> Result<Measurement, FaultKind>;

    /// How many chunks may be submitted before the first of them is collected; at least 1.
    fn in_flight(&self) -> usize {
        1
    }

    /// Takes a chunk, and returns as soon as the next may be submitted. The engine keeps the payload until it is collected.
    fn submit(&mut self, spec: ChunkSpec, payload: Payload) -> Submission {
        Submission::finished(self.measure(spec, &payload), payload)
    }

    /// Waits for a chunk that is [`Submission::Running`]; [`FaultKind::Engine`] for a number that no running chunk has.
    fn collect(&mut self, number: u32) -> Completion {
        let _ = number;
        Completion { outcome: Err(FaultKind::Engine), payload: None }
    }

    /// Waits for a submitted chunk, however far it is.
    fn wait(&mut self, submission: Submission) -> Completion {
        match submission {
            Submission::Finished(completion) => *completion,
            Submission::Running(number) => self.collect(number),
        }
    }
}

/// Checks a chunk against an engine's limits, in the order in which a reader would ask.
///
/// # Errors
/// The first of [`FaultKind::UnsupportedElement`], [`FaultKind::TooLarge`], [`FaultKind::PayloadLength`] and
/// [`FaultKind::Request`] that applies.
pub fn check(spec: ChunkSpec, payload: &[u8], limits: Limits) -> Result<(), FaultKind> {
    let element = spec.element;
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
    if !spec.fits_rows(payload.len()) {
        return Err(FaultKind::Request);
    }
    Ok(())
}
