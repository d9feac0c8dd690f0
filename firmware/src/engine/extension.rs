//! The measuring call as a burn backend extension: one call, whatever device holds the tensor.

use alloc::boxed::Box;

use burn::{
    backend::{
        Backend, Dispatch, DispatchDevice, ExtensionType, Flex, backend_extension, ops::IntTensorOps, tensor::IntTensor,
    },
    tensor::{DType, TensorData},
};
use kurtoscope_shared::{Measurement, protocol::FaultKind};

use super::ChunkSpec;
#[cfg(feature = "gpu")]
use super::gpu::{
    exchange::{Launch, Partials},
    failure::Failure,
};
use super::{OnProcessor, lend::lend};

/// What to measure, and how an accelerator is to go about it.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// The elements, and what to measure of them.
    pub spec: ChunkSpec,
    /// How a processor measures; an accelerator has its own way.
    pub on_processor: OnProcessor,
    /// How the kernel is launched; the processor needs nothing of it.
    #[cfg(feature = "gpu")]
    pub launch: Option<Launch>,
}

impl Task {
    /// A task for the processor.
    pub fn on_processor(spec: ChunkSpec, on_processor: OnProcessor) -> Self {
        Self {
            spec,
            on_processor,
            #[cfg(feature = "gpu")]
            launch: None,
        }
    }
}

/// What a backend answers: a finished measurement, or partial results that are still on its device.
#[derive(ExtensionType)]
pub enum Measured<B: Backend> {
    /// The measurement is finished.
    Finished(Box<Measurement>),
    /// Partial results of an accelerator: those of its units, and the histogram. To be read back and merged.
    Partial(IntTensor<B>, IntTensor<B>),
}

/// Backends that measure raw elements.
#[backend_extension(Cube: cfg(feature = "gpu"), Flex)]
pub trait MeasureBackend: Backend {
    /// Measures the elements whose little-endian bytes are in `content`: a tensor of one dimension, of type `u8` on the
    /// processor and of type `u32` on a graphics adapter.
    fn measure(content: IntTensor<Self>, task: Task) -> Measured<Self>;

    /// Waits for partial results and reads them back.
    ///
    /// # Errors
    /// What went wrong since the work was submitted.
    #[cfg(feature = "gpu")]
    fn read_back(partials: IntTensor<Self>, tail: IntTensor<Self>) -> Result<Partials, Failure>;
}

impl MeasureBackend for Flex {
    fn measure(content: IntTensor<Self>, task: Task) -> Measured<Self> {
        Measured::Finished(Box::new((task.on_processor)(content.bytes(), task.spec)))
    }

    #[cfg(feature = "gpu")]
    fn read_back(_: IntTensor<Self>, _: IntTensor<Self>) -> Result<Partials, Failure> {
        Err(Failure::Other("the processor has no partial results".into()))
    }
}

/// Measures a payload on the processor, through burn's backend `flex`, which borrows it.
///
/// # Errors
/// [`FaultKind::Engine`] if burn went to another backend.
pub(super) fn measure(on_processor: OnProcessor, payload: &[u8], spec: ChunkSpec) -> Result<Measurement, FaultKind> {
    let task = Task::on_processor(spec, on_processor);
    let measured = lend(payload, |bytes| {
        // As the backend's own operation: `Tensor::from_data` brings conversions between all types into a small program.
        let device = DispatchDevice::Flex(Default::default());
        let content = TensorData::from_bytes(bytes, [payload.len()], DType::U8);
        dispatch(Dispatch::int_from_data(content, &device), task)
    });
    match measured {
        Measured::Finished(measurement) => Ok(*measurement),
        Measured::Partial(..) => Err(FaultKind::Engine),
    }
}

/// Runs [`MeasureBackend::measure`] on the backend that holds the tensor.
pub(super) fn dispatch(content: IntTensor<Dispatch>, task: Task) -> Measured<Dispatch> {
    <Dispatch as MeasureBackend>::measure(content, task)
}
