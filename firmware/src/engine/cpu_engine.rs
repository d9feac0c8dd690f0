//! The engine on the processor, which every device can run. How it computes is in `cpu`; with the feature `burn` the call
//! goes through burn's backend `flex`, without it straight there.

use kurtoscope_shared::{
    Measurement,
    protocol::{Adapter, ElementSet, EngineKind, FaultKind, Limits},
    statistics::SupportedStatistic,
};

#[cfg(feature = "burn")]
use super::extension;
use super::{ChunkSpec, Engine, check, cpu, cpu::StatisticList};

/// How a processor measures the elements in some bytes. A function rather than a name for one, so that a program holds
/// no other than it uses.
pub type OnProcessor = fn(&[u8], ChunkSpec) -> Measurement;

/// Measures on the processor.
#[derive(Debug, Clone)]
pub struct CpuEngine {
    on_processor: OnProcessor,
    statistics: &'static [SupportedStatistic],
    tolerance: f64,
    limits: Limits,
}

/// The largest payload that is taken at once where none is given, bytes: a few milliseconds of work.
const DEFAULT_MAX_PAYLOAD: u32 = 1 << 20;

impl Default for CpuEngine {
    /// An engine that measures everything, of payloads of up to 1 MiB.
    fn default() -> Self {
        Self::with_max_payload(DEFAULT_MAX_PAYLOAD)
    }
}

impl CpuEngine {
    /// An engine that measures everything, of payloads of up to `max_payload` bytes.
    pub fn with_max_payload(max_payload: u32) -> Self {
        Self::measuring::<cpu::Everything>(max_payload)
    }

    /// An engine that measures the statistics in the list `L` besides the moments, of payloads of up to `max_payload` bytes.
    /// The program contains no others.
    pub fn measuring<L: StatisticList>(max_payload: u32) -> Self {
        Self {
            on_processor: cpu::measure::<L>,
            statistics: L::SUPPORTED,
            tolerance: 1e-10,
            limits: limits(max_payload),
        }
    }

    /// An engine for processors that compute in 32 bits and only emulate 64, for payloads of up to `max_payload` bytes: sums
    /// of 256 elements in f32, added up in f64. It measures moments and extremes; histograms and errors of quantizing would
    /// take more memory than such processors have.
    pub fn single_precision(max_payload: u32) -> Self {
        Self {
            on_processor: cpu::measure_single::<cpu::Small>,
            statistics: cpu::Small::SUPPORTED,
            tolerance: cpu::SINGLE_TOLERANCE,
            limits: limits(max_payload),
        }
    }
}

fn limits(max_payload: u32) -> Limits {
    Limits { max_payload, window_bytes: max_payload.saturating_mul(4), elements: ElementSet::ALL }
}

impl Engine for CpuEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Cpu
    }

    fn adapter(&self) -> Option<Adapter> {
        None
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn statistics(&self) -> &'static [SupportedStatistic] {
        self.statistics
    }

    fn tolerance(&self) -> f64 {
        self.tolerance
    }

    fn measure(&mut self, spec: ChunkSpec, payload: &[u8]) -> Result<Measurement, FaultKind> {
        check(spec, payload, self.limits)?;
        #[cfg(feature = "burn")]
        return extension::measure(self.on_processor, payload, spec);
        #[cfg(not(feature = "burn"))]
        return Ok((self.on_processor)(payload, spec));
    }
}
