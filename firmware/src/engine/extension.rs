//! The measuring call as a burn backend extension: one call, whatever device holds the tensor.

use alloc::boxed::Box;

use burn::backend::{Backend, Dispatch, ExtensionType, Flex, backend_extension, tensor::IntTensor};
use kurtoscope_shared::{Element, protocol::Measurement, protocol::Statistics};

use super::cpu;

/// What a backend answers: a finished measurement, or partial results that are still on its device.
#[derive(ExtensionType)]
pub enum Measured<B: Backend> {
    /// The measurement is finished.
    Finished(Box<Measurement>),
    /// Partial results of an accelerator, to be read back and merged.
    Partial(IntTensor<B>),
}

/// Backends that measure raw elements.
#[backend_extension(Flex)]
pub trait MeasureBackend: Backend {
    /// Measures the elements whose little-endian bytes `bytes` holds: a tensor of one dimension and type `u8`, a whole
    /// number of elements long.
    fn measure(bytes: IntTensor<Self>, element: Element, statistics: Statistics) -> Measured<Self>;
}

impl MeasureBackend for Flex {
    fn measure(bytes: IntTensor<Self>, element: Element, statistics: Statistics) -> Measured<Self> {
        Measured::Finished(Box::new(cpu::measure(bytes.bytes(), element, statistics)))
    }
}

/// Runs [`MeasureBackend::measure`] on the backend that holds the tensor.
pub(super) fn dispatch(bytes: IntTensor<Dispatch>, element: Element, statistics: Statistics) -> Measured<Dispatch> {
    <Dispatch as MeasureBackend>::measure(bytes, element, statistics)
}
