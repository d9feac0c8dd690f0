//! GGUF (versions 2 and 3, little-endian), the format of llama.cpp: metadata, a list of tensors, and their data, plain or in
//! quantized blocks.
//!
//! Quantized tensors are measured as the numbers that their blocks encode. llama.cpp's converter stores all
//! projections `[out, in]` and the query and key rows of some families in another order, which changes no moment.

mod blocks;
mod config;
mod cursor;
mod fault;
mod header;
#[cfg(test)]
mod tests;
mod types;
mod unpack;
mod value;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use kurtoscope_shared::Element;

use blocks::Blocks;
use fault::GgufFault;
use header::{Header, Tensor};
use types::StorageType;
use value::Scalar;

use super::{Format, FormatError, Shape};
use crate::format::tensor::{FileContents, TensorData, TensorEntry};
use crate::source::{MappedFile, PartName};
use crate::unmeasured::Unmeasured;

/// The key in a file's metadata that marks synthetic weights.
const SYNTHETIC: &str = "kurtoscope.synthetic";

/// The format of one file, which may be one part of a split model.
pub(super) struct Gguf;

impl Format for Gguf {
    fn name(&self) -> &'static str {
        "gguf"
    }

    fn recognises(&self, file: &[u8]) -> bool {
        file.starts_with(header::MAGIC)
    }

    fn open(&self, file: &MappedFile) -> Result<FileContents, FormatError> {
        Ok(read(file)?)
    }
}

/// Reads the header of a mapped file and checks all of it.
fn read(file: &MappedFile) -> Result<FileContents, GgufFault> {
    let header = Header::parse(file.bytes())?;
    check_part(file.path(), &header)?;
    let mut contents = FileContents {
        synthetic: header.metadata.get(SYNTHETIC).is_some_and(is_true),
        config: config::config(&header),
        ..FileContents::default()
    };
    let mut placed = Vec::new();
    for tensor in &header.tensors {
        match types::stored(tensor.kind) {
            Ok(stored) => placed.push(place(&header, tensor, stored)?),
            Err(unread) => contents.unmeasured.push(Unmeasured {
                name: tensor.name.to_owned(),
                shape: tensor.shape.clone(),
                dtype: unread.name,
                reason: unread.reason.to_owned(),
            }),
        }
    }
    check_layout(&mut placed, header.data, file.bytes().len() as u64)?;
    contents.tensors = placed.into_iter().map(|placed| placed.entry(file)).collect();
    Ok(contents)
}

fn is_true(value: &Scalar<'_>) -> bool {
    *value == Scalar::Bool(true) || value.as_str() == Some("true")
}

/// Refuses one part of a split model under a name from which the other parts were not found.
fn check_part(path: &Path, header: &Header<'_>) -> Result<(), GgufFault> {
    let count = header.number("split.count").unwrap_or(1);
    let named = path.file_name().and_then(|name| PartName::parse(name.to_str()?)).map(|part| part.total);
    if count > 1 && named != Some(count) {
        let number = header.number("split.no").unwrap_or(0).saturating_add(1);
        return Err(GgufFault::Part { number, count });
    }
    Ok(())
}

/// A tensor whose type and size are checked.
struct LocatedTensor<'h, 'a> {
    tensor: &'h Tensor<'a>,
    stored: StorageType,
    /// Where it is in the file, which may be shorter.
    start: u64,
    end: u64,
}

impl LocatedTensor<'_, '_> {
    /// The tensor as every format describes it. Its range is inside the file.
    fn entry(self, file: &MappedFile) -> TensorEntry {
        let range = self.start as usize..self.end as usize;
        let (element, data) = match self.stored {
            StorageType::Plain(element) => (element, TensorData::Mapped(range)),
            StorageType::Blocks(block) => {
                let elements = Arc::new(Blocks::new(file, range.clone(), block));
                (Element::F32, TensorData::Computed { elements, from: range })
            }
        };
        let (name, shape) = (self.tensor.name.to_owned(), self.tensor.shape.clone());
        TensorEntry { name, shape, element, stored: self.stored.name().to_owned(), data }
    }
}

/// Computes where a tensor's data is.
fn place<'h, 'a>(
    header: &Header<'_>,
    tensor: &'h Tensor<'a>,
    stored: StorageType,
) -> Result<LocatedTensor<'h, 'a>, GgufFault> {
    let name = || tensor.name.to_owned();
    let shape = || Shape(tensor.shape.clone());
    let (elements, bytes) = stored.block_size();
    if tensor.shape.last().copied().unwrap_or(1) % elements != 0 {
        return Err(GgufFault::PartialBlock { tensor: name(), shape: shape(), stored: stored.name(), block: elements });
    }
    if !tensor.offset.is_multiple_of(header.alignment) {
        return Err(GgufFault::Misaligned { tensor: name(), offset: tensor.offset, alignment: header.alignment });
    }
    // Of the dimensions and not only of their product, which a zero among them makes small.
    let nonzero = tensor.shape.iter().try_fold(1u64, |product, &dimension| product.checked_mul(dimension.max(1)));
    let count = nonzero.map(|product| if tensor.shape.contains(&0) { 0 } else { product });
    let length = count.and_then(|count| (count / elements).checked_mul(bytes));
    let start = header.data.checked_add(tensor.offset);
    match start.zip(length).and_then(|(start, length)| Some((start, start.checked_add(length)?))) {
        Some((start, end)) => Ok(LocatedTensor { tensor, stored, start, end }),
        None => Err(GgufFault::ShapeOverflow { tensor: name(), shape: shape(), stored: stored.name() }),
    }
}

/// Checks that tensors are inside the file and apart from each other, and puts them in the order of the data.
fn check_layout(placed: &mut [LocatedTensor<'_, '_>], data: u64, length: u64) -> Result<(), GgufFault> {
    placed.sort_by_key(|placed| (placed.start, placed.end));
    let mut previous: Option<(&str, Range<u64>)> = None;
    for LocatedTensor { tensor, start, end, .. } in placed.iter() {
        if let Some((name, before)) = &previous
            && *start < before.end
            && start < end
        {
            return Err(GgufFault::Overlap {
                tensor: tensor.name.to_owned(),
                start: start - data,
                end: end - data,
                previous: (*name).to_owned(),
                previous_end: before.end - data,
            });
        }
        if start < end {
            previous = Some((tensor.name, *start..*end));
        }
    }
    let last = placed.iter().map(|placed| placed.end).max().unwrap_or(0);
    match placed.iter().find(|placed| placed.end > length) {
        None => Ok(()),
        Some(cut_off) => Err(GgufFault::Truncated {
            tensor: cut_off.tensor.name.to_owned(),
            end: cut_off.end,
            length,
            missing: last - length,
        }),
    }
}
