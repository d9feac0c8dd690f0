//! Reads one GGUF file (versions 2 and 3, little-endian): what it holds, where, and how to unpack it.
//!
//! Quantized tensors are measured as the numbers that their blocks stand for. llama.cpp's converter stores all
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

pub use fault::{GgufFault, Place};

use blocks::Blocks;
use header::{Header, Tensor};
use types::Stored;
use value::Scalar;

use super::contents::{Contents, Data, Entry};
use super::error::CheckpointError;
use super::fault::{Shape, TensorFault};
use crate::Unmeasured;
use crate::source::{MappedFile, PartName};

/// The key in a file's metadata that marks made-up weights.
const SYNTHETIC: &str = "kurtoscope.synthetic";

/// Reads the header of a mapped file and checks all of it.
pub(super) fn read(file: &MappedFile) -> Result<Contents, CheckpointError> {
    let path = file.path();
    let refused = |fault| CheckpointError::Gguf { path: path.to_owned(), fault: Box::new(fault) };
    let header = Header::parse(file.bytes()).map_err(refused)?;
    check_part(path, &header).map_err(refused)?;
    let mut contents = Contents {
        synthetic: header.metadata.get(SYNTHETIC).is_some_and(is_true),
        config: config::config(&header),
        ..Contents::default()
    };
    let mut placed = Vec::new();
    for tensor in &header.tensors {
        match types::stored(tensor.kind) {
            Ok(stored) => placed.push(place(path, &header, tensor, stored)?),
            Err(unread) => contents.unmeasured.push(Unmeasured {
                name: tensor.name.to_owned(),
                shape: tensor.shape.clone(),
                dtype: unread.name,
                reason: unread.reason.to_owned(),
            }),
        }
    }
    check_layout(path, &mut placed, header.data, file.bytes().len() as u64)?;
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
struct Placed<'h, 'a> {
    tensor: &'h Tensor<'a>,
    stored: Stored,
    /// Where it is in the file, which may be shorter.
    start: u64,
    end: u64,
}

impl Placed<'_, '_> {
    /// The tensor as every format describes it. Its range is inside the file.
    fn entry(self, file: &MappedFile) -> Entry {
        let range = self.start as usize..self.end as usize;
        let (element, data) = match self.stored {
            Stored::Plain(element) => (element, Data::Mapped(range)),
            Stored::Blocks(block) => {
                let elements = Arc::new(Blocks::new(file, range.clone(), block));
                (Element::F32, Data::Computed { elements, from: range })
            }
        };
        let (name, shape) = (self.tensor.name.to_owned(), self.tensor.shape.clone());
        Entry { name, shape, element, stored: self.stored.name().to_owned(), data }
    }
}

/// Computes where a tensor's data is.
fn place<'h, 'a>(
    path: &Path,
    header: &Header<'_>,
    tensor: &'h Tensor<'a>,
    stored: Stored,
) -> Result<Placed<'h, 'a>, CheckpointError> {
    let name = || tensor.name.to_owned();
    let refused = |fault| CheckpointError::Gguf { path: path.to_owned(), fault: Box::new(fault) };
    let shape = || Shape(tensor.shape.clone());
    let (elements, bytes) = stored.piece();
    if tensor.shape.last().copied().unwrap_or(1) % elements != 0 {
        let fault = GgufFault::PartialBlock { tensor: name(), shape: shape(), stored: stored.name(), block: elements };
        return Err(refused(fault));
    }
    if !tensor.offset.is_multiple_of(header.alignment) {
        let fault = GgufFault::Misaligned { tensor: name(), offset: tensor.offset, alignment: header.alignment };
        return Err(refused(fault));
    }
    // Of the dimensions and not only of their product, which a zero among them makes small.
    let nonzero = tensor.shape.iter().try_fold(1u64, |product, &dimension| product.checked_mul(dimension.max(1)));
    let count = nonzero.map(|product| if tensor.shape.contains(&0) { 0 } else { product });
    let length = count.and_then(|count| (count / elements).checked_mul(bytes));
    let start = header.data.checked_add(tensor.offset);
    match start.zip(length).and_then(|(start, length)| Some((start, start.checked_add(length)?))) {
        Some((start, end)) => Ok(Placed { tensor, stored, start, end }),
        None => Err(CheckpointError::Tensor {
            path: path.to_owned(),
            tensor: name(),
            fault: Box::new(TensorFault::ShapeOverflow { shape: shape(), dtype: stored.name().to_owned() }),
        }),
    }
}

/// Checks that tensors are inside the file and apart from each other, and puts them in the order of the data.
fn check_layout(path: &Path, placed: &mut [Placed<'_, '_>], data: u64, length: u64) -> Result<(), CheckpointError> {
    placed.sort_by_key(|placed| (placed.start, placed.end));
    let mut previous: Option<(&str, Range<u64>)> = None;
    for Placed { tensor, start, end, .. } in placed.iter() {
        if let Some((name, before)) = &previous
            && *start < before.end
            && start < end
        {
            return Err(CheckpointError::Tensor {
                path: path.to_owned(),
                tensor: tensor.name.to_owned(),
                fault: Box::new(TensorFault::Overlap {
                    start: start - data,
                    end: end - data,
                    previous: (*name).to_owned(),
                    expected: before.end - data,
                }),
            });
        }
        if start < end {
            previous = Some((tensor.name, *start..*end));
        }
    }
    let last = placed.iter().map(|placed| placed.end).max().unwrap_or(0);
    match placed.iter().find(|placed| placed.end > length) {
        None => Ok(()),
        Some(cut_off) => Err(CheckpointError::Truncated {
            path: path.to_owned(),
            tensor: cut_off.tensor.name.to_owned(),
            end: cut_off.end,
            length,
            missing: last - length,
        }),
    }
}
