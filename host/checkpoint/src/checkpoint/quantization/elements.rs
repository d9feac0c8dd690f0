//! The elements of a quantized weight as the checkpoint reads them, and the bytes of its parts as dequantization reads
//! them: from the mapping, or from a format's reader.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::message;
use crate::format::{ElementSource, TensorData};
use crate::packed::{self, PackedTensor, StoredType};
use crate::source::MappedFile;

/// A quantized weight's elements.
#[derive(Debug)]
pub(super) struct PackedElements {
    pub(super) tensor: PackedTensor,
    /// Where its codes are.
    pub(super) codes: TensorData,
}

impl ElementSource for PackedElements {
    fn read(&self, range: Range<u64>) -> Result<Bytes, String> {
        // Ranges are inside the tensor, which bounds them by what a chunk may hold.
        let mut values = vec![0f32; range.end.saturating_sub(range.start) as usize];
        self.tensor.dequantize(range, &mut values).map_err(|fault| message(&fault))?;
        if cfg!(target_endian = "big") {
            values.iter_mut().for_each(|value| *value = f32::from_bits(value.to_bits().swap_bytes()));
        }
        Ok(Bytes::from_owner(Values(values)))
    }

    fn elsewhere(&self) -> Option<(&MappedFile, Range<usize>)> {
        self.codes.elsewhere()
    }
}

/// Numbers that are handed out as their bytes.
struct Values(Vec<f32>);

impl AsRef<[u8]> for Values {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// The parts of the weight that was read last, other than its codes: a reader that gives whole tensors would otherwise
/// read codes and scales in turn for every range.
#[derive(Debug, Default)]
pub(super) struct LastMembers(Mutex<(usize, HashMap<usize, Bytes>)>);

impl LastMembers {
    fn get_or(
        &self,
        weight: usize,
        member: usize,
        read: impl FnOnce() -> Result<Bytes, String>,
    ) -> Result<Bytes, String> {
        // A thread that panicked here left whole values or none.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != weight {
            *kept = (weight, HashMap::new());
        }
        if let Some(bytes) = kept.1.get(&member) {
            return Ok(bytes.clone());
        }
        let bytes = read()?;
        kept.1.insert(member, bytes.clone());
        Ok(bytes)
    }
}

/// The bytes of one tensor of a weight, which has `count` elements; `kept` says where a part other than the codes is kept between reads, with the numbers
/// of the weight and of the part.
pub(super) fn component_bytes(
    file: Option<&MappedFile>,
    stored: &StoredType,
    data: &TensorData,
    count: u64,
    kept: Option<(Arc<LastMembers>, usize, usize)>,
) -> Arc<dyn packed::Bytes> {
    match (data, stored, file) {
        (TensorData::Mapped(range), _, Some(file)) => {
            Arc::new(MappedBytes { file: file.clone(), range: range.clone() })
        }
        (TensorData::Computed { elements, .. }, StoredType::Element(element), _) => {
            Arc::new(ComputedBytes { elements: Arc::clone(elements), size: element.size() as u64, count, kept })
        }
        // Every file that lists a tensor is open, and computed elements have an element type.
        _ => Arc::new(Vec::new()),
    }
}

/// Bytes of a mapped file.
#[derive(Debug)]
struct MappedBytes {
    file: MappedFile,
    range: Range<usize>,
}

impl packed::Bytes for MappedBytes {
    fn range(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        let stored = self.file.bytes().get(self.range.clone()).unwrap_or_default();
        slice(stored, &range).map(Cow::Borrowed).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Bytes of elements that a format's reader computes.
#[derive(Debug)]
struct ComputedBytes {
    elements: Arc<dyn ElementSource>,
    /// Bytes of an element.
    size: u64,
    /// Elements of the tensor.
    count: u64,
    kept: Option<(Arc<LastMembers>, usize, usize)>,
}

impl packed::Bytes for ComputedBytes {
    fn range(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        if let Some((kept, weight, member)) = &self.kept {
            let all = kept.get_or(*weight, *member, || self.elements.read(0..self.count)).map_err(io::Error::other)?;
            let wanted = slice(&all, &range).ok_or(io::ErrorKind::UnexpectedEof)?;
            return Ok(Cow::Owned(wanted.to_vec()));
        }
        // Whole elements, the first and the last of which may reach beyond the range.
        let whole = range.start / self.size..range.end.div_ceil(self.size);
        let first = whole.start * self.size;
        let wanted = range.start - first..range.end.saturating_sub(first);
        let bytes = self.elements.read(whole).map_err(io::Error::other)?;
        slice(&bytes, &wanted)
            .map(|bytes| Cow::Owned(bytes.to_vec()))
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

fn slice<'a>(bytes: &'a [u8], range: &Range<u64>) -> Option<&'a [u8]> {
    bytes.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}
