//! The engine that every device runs: a burn device, and the measuring call dispatched to it.

use burn::tensor::{AllocationProperty, Bytes as BurnBytes, DType, Device, Int, Tensor, TensorData};
use bytes::Bytes;
use kurtoscope_shared::protocol::{
    Adapter, ElementSet, EngineKind, FaultKind, Limits, MAX_TOP, Measurement, Statistics,
};

use super::{Engine, Measured, Piece, Task, check, extension};

/// Measures on a burn device.
#[derive(Debug, Clone)]
pub struct BurnEngine {
    device: Device,
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
        let limits = Limits {
            max_payload,
            window_bytes: max_payload.saturating_mul(4),
            elements: ElementSet::ALL,
            statistics: Statistics { top: MAX_TOP, ..Statistics::FULL },
        };
        Self { device: Device::flex(), limits }
    }
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

    fn tolerance(&self) -> f64 {
        1e-10
    }

    fn measure(&mut self, piece: Piece, payload: Bytes) -> Result<Measurement, FaultKind> {
        check(piece, &payload, self.limits)?;
        let len = payload.len();
        // Lent, not copied: the tensor keeps the payload alive and drops it with itself.
        let bytes = BurnBytes::from_shared(payload, AllocationProperty::Other);
        let tensor =
            Tensor::<1, Int>::from_data(TensorData::from_bytes(bytes, [len], DType::U8), (&self.device, DType::U8));
        match extension::dispatch(tensor.into_dispatch(), Task::on_processor(piece)) {
            Measured::Finished(measurement) => Ok(*measurement),
            Measured::Partial(..) => Err(FaultKind::Engine),
        }
    }
}
