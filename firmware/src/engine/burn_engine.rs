//! The engine that every device runs: a burn device, and the measuring call dispatched to it.

use burn::{
    backend::{Dispatch, DispatchDevice, ops::IntTensorOps},
    tensor::{DType, TensorData},
};
use kurtoscope_shared::{
    Measurement,
    protocol::{Adapter, ElementSet, EngineKind, FaultKind, Limits},
    statistics::SupportedStatistic,
};

use super::{ChunkSpec, Engine, Measured, OnProcessor, Task, check, cpu, cpu::StatisticList, extension, lend::lend};

/// Measures on a burn device.
#[derive(Debug, Clone)]
pub struct BurnEngine {
    on_processor: OnProcessor,
    statistics: &'static [SupportedStatistic],
    tolerance: f64,
    limits: Limits,
}

/// The largest payload that the processor takes at once, bytes: a few milliseconds of work.
const CPU_MAX_PAYLOAD: u32 = 1 << 20;

impl BurnEngine {
    /// An engine on the processor, through burn's backend `flex`, for payloads of up to 1 MiB.
    pub fn cpu() -> Self {
        Self::cpu_with_payload(CPU_MAX_PAYLOAD)
    }

    /// An engine on the processor for payloads of up to `max_payload` bytes.
    pub fn cpu_with_payload(max_payload: u32) -> Self {
        Self::cpu_measuring::<cpu::Everything>(max_payload)
    }

    /// An engine on the processor that measures the statistics in the list `L` besides the moments, of payloads of up to
    /// `max_payload` bytes. The program contains no others.
    pub fn cpu_measuring<L: StatisticList>(max_payload: u32) -> Self {
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

impl Engine for BurnEngine {
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
        let task = Task::on_processor(spec, self.on_processor);
        let measured = lend(payload, |bytes| {
            // As the backend's own operation: `Tensor::from_data` brings conversions between all types into a small program.
            let device = DispatchDevice::Flex(Default::default());
            let content = TensorData::from_bytes(bytes, [payload.len()], DType::U8);
            extension::dispatch(Dispatch::int_from_data(content, &device), task)
        });
        match measured {
            Measured::Finished(measurement) => Ok(*measurement),
            Measured::Partial(..) => Err(FaultKind::Engine),
        }
    }
}
