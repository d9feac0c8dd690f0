//! Keeps the tensor that was read last, so that a tensor measured chunk by chunk is read once.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use pytorch_reader::Tensor;

use crate::checkpoint::contents::Elements;

/// The elements of the tensors of one file that were read last, shared by all of them.
///
/// That is one tensor, or two of the same length: those may be compared with each other, piece by piece, to find out
/// whether an output head is the embedding.
#[derive(Default)]
pub(super) struct Recent {
    kept: Mutex<VecDeque<(usize, Bytes)>>,
}

impl Recent {
    /// The elements of the tensor numbered `index`, read by `read` unless they are kept.
    ///
    /// Readers wait for each other, so no tensor is read twice at the same time.
    fn get(&self, index: usize, length: usize, read: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Bytes> {
        // Nothing is left half done by a reader that panicked.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = kept.iter().find(|(kept, _)| *kept == index) {
            return Ok(bytes.clone());
        }
        // Room is made first, so that no third tensor is ever in memory.
        kept.retain(|(_, bytes)| bytes.len() == length);
        kept.truncate(1);
        let bytes = Bytes::from(read()?);
        kept.push_front((index, bytes.clone()));
        Ok(bytes)
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}

/// A tensor that is read when its elements are asked for.
#[derive(Debug)]
pub(super) struct Lazy {
    tensor: Tensor,
    index: usize,
    recent: Arc<Recent>,
}

impl Lazy {
    /// `index` tells the tensor apart from the others that share `recent`.
    pub(super) fn new(mut tensor: Tensor, index: usize, recent: Arc<Recent>) -> Self {
        // Its errors begin with the name if it has one; ours already do.
        tensor.name.clear();
        Self { tensor, index, recent }
    }
}

impl Elements for Lazy {
    fn read(&self, range: Range<u64>) -> Result<Bytes, String> {
        let size = self.tensor.dtype().size();
        let read = || self.tensor.read().map(|bytes| little_endian(bytes, size));
        let bytes = self.recent.get(self.index, self.tensor.byte_len(), read).map_err(|error| {
            let detail = error.to_string();
            format!("{}; the file has changed or is damaged: download it again", detail.trim_end_matches('.'))
        })?;
        let at = |position: u64| usize::try_from(position).ok().and_then(|position| position.checked_mul(size));
        match (at(range.start), at(range.end)) {
            (Some(start), Some(end)) if start <= end && end <= bytes.len() => Ok(bytes.slice(start..end)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tensors_of_one_length_are_kept_together() {
        let recent = Recent::default();
        let get = |index: usize, length: usize, expect_read: bool| {
            let mut was_read = false;
            let bytes = recent.get(index, length, || {
                was_read = true;
                Ok(vec![index as u8; length])
            });
            assert_eq!(bytes.expect("bytes"), vec![index as u8; length]);
            assert_eq!(was_read, expect_read, "{index}");
        };
        get(1, 8, true);
        get(1, 8, false);
        get(2, 8, true);
        get(1, 8, false);
        get(2, 8, false);
        get(3, 8, true);
        get(2, 8, false);
        get(1, 8, true);
        get(4, 4, true);
        get(1, 8, true);
        get(4, 4, true);
    }

    #[test]
    fn failures_are_not_kept() {
        let recent = Recent::default();
        recent.get(0, 1, || Err(io::Error::other("no"))).expect_err("an error");
        assert_eq!(recent.get(0, 1, || Ok(vec![7])).expect("bytes")[..], [7]);
    }
}
