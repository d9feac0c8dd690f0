//! The measuring call on a graphics adapter: buffers, launch, read-back.

use burn::{
    backend::tensor::IntTensor,
    tensor::{DType, Shape},
};
use burn_wgpu::{CubeBackend, CubeTensor};
use cubecl::{
    CubeElement,
    bytes::Bytes,
    prelude::{BufferArg, CubeCount, CubeDim},
    server::Handle,
};
use kurtoscope_shared::statistics::histogram::BINS;

use super::{
    exchange::{Launch, Partials},
    failure::Failure,
    kernel::{self, ROWS},
    layout::UNITS,
};
use crate::engine::extension::{MeasureBackend, Measured, Task};

impl MeasureBackend for CubeBackend {
    fn measure(content: IntTensor<Self>, task: Task) -> Measured<Self> {
        let CubeTensor { client, handle: input, device, meta, .. } = content;
        let words = meta.shape().num_elements();
        let Some(Launch { layout, centre, nonce }) = task.launch else {
            // An empty buffer is read back as an incomplete answer.
            let nothing = |client: &cubecl::prelude::Client| client.empty(4);
            let wrap = |handle| {
                CubeTensor::new_contiguous(client.clone(), device.clone(), Shape::new([1]), handle, DType::U32)
            };
            return Measured::Partial(wrap(nothing(&client)), wrap(nothing(&client)));
        };
        let (rows, bins) = (ROWS * layout.units(), if task.spec.requests.histogram.is_some() { BINS } else { 1 });
        let partials = client.empty(rows * size_of::<u32>());
        let histogram = client.create(Bytes::from_elems(std::vec![0u32; bins]));
        let argument = |handle: &Handle, length| {
            // SAFETY: `length` words were allocated behind each handle.
            unsafe { BufferArg::from_raw_parts(handle.clone(), length) }
        };
        // SAFETY: the kernel clamps what it reads to the words that `elements` fill, writes one column of `partials` a
        // unit, and adds to bins below `BINS`; its loops are bounded by `groups`.
        unsafe {
            kernel::measure::launch_unchecked(
                &client,
                CubeCount::Static(layout.cubes, 1, 1),
                CubeDim::new_1d(UNITS),
                argument(&input, words),
                argument(&partials, rows),
                argument(&histogram, bins),
                layout.elements,
                layout.groups,
                centre.scaled_pivot(),
                centre.scale,
                nonce,
                layout.format,
                centre.scale != 0,
                task.spec.requests.histogram.is_some(),
            );
        }
        let wrap = |handle, length| {
            CubeTensor::new_contiguous(client.clone(), device.clone(), Shape::new([length]), handle, DType::U32)
        };
        Measured::Partial(wrap(partials, rows), wrap(histogram, bins))
    }

    fn read_back(partials: IntTensor<Self>, histogram: IntTensor<Self>) -> Result<Partials, Failure> {
        let read = partials.client.read(std::vec![partials.handle, histogram.handle])?;
        match read.as_slice() {
            [rows, bins] => Ok(Partials { rows: u32::from_bytes(rows).to_vec(), bins: u32::from_bytes(bins).to_vec() }),
            other => Err(Failure::Incomplete { found: other.len() as u64, expected: 2 }),
        }
    }
}
