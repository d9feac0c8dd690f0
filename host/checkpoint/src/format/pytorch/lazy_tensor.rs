//! A tensor that is read when its elements are asked for, and kept while it is measured chunk by chunk.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use pytorch_reader::Tensor;

use crate::format::cache::LastValue;
use crate::format::tensor::ElementSource;

/// A tensor of a PyTorch file. The tensors of a file share one cache, so one of them is in memory at a time.
#[derive(Debug)]
pub(super) struct LazyTensor {
    tensor: Tensor,
    index: usize,
    cache: Arc<LastValue<Bytes>>,
}

impl LazyTensor {
    /// `index` distinguishes the tensor from the others that share `cache`.
    pub(super) fn new(mut tensor: Tensor, index: usize, cache: Arc<LastValue<Bytes>>) -> Self {
        // Its errors begin with the name if it has one; ours already do.
        tensor.name.clear();
        Self { tensor, index, cache }
    }

    fn load(&self) -> Result<Bytes, String> {
        let bytes = self.tensor.read().map_err(|error| {
            let detail = error.to_string();
            format!("{}; the file has changed or is damaged: download it again", detail.trim_end_matches('.'))
        })?;
        Ok(Bytes::from(little_endian(bytes, self.tensor.dtype().size())))
    }
}

impl ElementSource for LazyTensor {
    fn read(&self, range: Range<u64>) -> Result<Bytes, String> {
        let size = self.tensor.dtype().size();
        let bytes = self.cache.get_or(self.index, || self.load())?;
        let at = |position: u64| usize::try_from(position).ok().and_then(|position| position.checked_mul(size));
        match (at(range.start), at(range.end)) {
            // Copied, or a chunk on its way to a slow device would keep the whole tensor.
            (Some(start), Some(end)) if start <= end && end <= bytes.len() => {
                Ok(Bytes::copy_from_slice(&bytes[start..end]))
            }
            _ => Err(format!("{} bytes were read", bytes.len())),
        }
    }
}

/// The crate gives elements in the byte order of this machine.
fn little_endian(mut bytes: Vec<u8>, size: usize) -> Vec<u8> {
    if cfg!(target_endian = "big") {
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    bytes
}
