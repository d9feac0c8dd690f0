//! The elements of one tensor where the model keeps them: in the model's file, in one beside it, or in typed fields.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use kurtoscope_shared::Element;
use prost::Message;

use super::proto::Typed;
use crate::format::cache::LastValue;
use crate::format::tensor::{ElementSource, TensorData};
use crate::source::MappedFile;

/// One tensor's elements.
#[derive(Debug, Clone)]
pub(super) struct ElementStorage {
    pub(super) source: Source,
    pub(super) element: Element,
    pub(super) count: u64,
}

/// Where they are.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// In the model's file.
    Raw { file: MappedFile, range: Range<usize> },
    /// In a file beside it.
    External { file: MappedFile, range: Range<usize> },
    /// In the typed fields of this message of the model's file.
    Typed { file: MappedFile, message: Range<usize>, cache: Arc<LastValue<Bytes>> },
    /// Here: the few numbers of a node's attribute.
    Inline(Bytes),
}

impl ElementStorage {
    /// What an entry of the model's file says about them.
    pub(super) fn data(&self, file: &MappedFile) -> TensorData {
        if let Source::Raw { range, .. } = &self.source {
            return TensorData::Mapped(range.clone());
        }
        TensorData::Computed { elements: Arc::new(self.clone()), from: self.from(file) }
    }

    /// The bytes of the model's file that they are from.
    pub(super) fn from(&self, file: &MappedFile) -> Range<usize> {
        match &self.source {
            Source::Raw { range, .. } | Source::Typed { message: range, .. } => range.clone(),
            Source::External { .. } => 0..0,
            Source::Inline(_) => 0..file.bytes().len(),
        }
    }
}

impl ElementSource for ElementStorage {
    fn read(&self, range: Range<u64>) -> Result<Bytes, String> {
        let size = self.element.size();
        let outside = || "they are not inside the file".to_owned();
        if range.start > range.end || range.end > self.count {
            return Err(outside());
        }
        let bytes = range.start as usize * size..range.end as usize * size;
        let cut = |all: &Bytes| all.get(bytes.clone()).map(|_| all.slice(bytes.clone())).ok_or_else(outside);
        match &self.source {
            Source::Raw { file, range } | Source::External { file, range } => {
                file.share(range.start + bytes.start..range.start + bytes.end).ok_or_else(outside)
            }
            Source::Inline(all) => cut(all),
            Source::Typed { file, message, cache } => {
                cut(&cache.get_or(message.start, || typed(file, message.clone(), self.element))?)
            }
        }
    }

    fn elsewhere(&self) -> Option<(&MappedFile, Range<usize>)> {
        match &self.source {
            Source::External { file, range } => Some((file, range.clone())),
            _ => None,
        }
    }
}

/// All elements that the typed fields of the tensor in these bytes hold.
pub(super) fn typed(file: &MappedFile, message: Range<usize>, element: Element) -> Result<Bytes, String> {
    let message = file.bytes().get(message).ok_or("it is not inside the file")?;
    let typed = Typed::decode(message).map_err(|error| error.to_string())?;
    let bytes: Vec<u8> = match element {
        Element::F32 => typed.floats.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Element::F64 => typed.doubles.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Element::I64 => typed.int64s.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Element::U64 => typed.uint64s.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Element::U32 => typed.uint64s.iter().flat_map(|&value| (value as u32).to_le_bytes()).collect(),
        // Narrower types are the low bytes of 32-bit integers.
        _ => {
            let low = |value: &i32| value.to_le_bytes().into_iter().take(element.size());
            typed.int32s.iter().flat_map(low).collect()
        }
    };
    Ok(bytes.into())
}
