//! NumPy's formats: one array (`.npy`), and a zip archive of arrays (`.npz`).

mod arrange;
mod fault;
mod header;
mod npz;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use super::zip::first_member;
use super::{Format, FormatError};
use crate::format::tensor::{FileContents, TensorData, TensorEntry};
use crate::source::MappedFile;
use crate::unmeasured::Unmeasured;
use fault::NumpyFault;

use arrange::{ArrayData, ArrayElements};
use header::{Header, Type};

/// One array.
pub(super) struct Npy;

impl Format for Npy {
    fn name(&self) -> &'static str {
        "npy"
    }

    fn recognises(&self, file: &[u8]) -> bool {
        file.starts_with(header::MAGIC)
    }

    fn open(&self, file: &MappedFile) -> Result<FileContents, FormatError> {
        Ok(read_array(file)?)
    }
}

/// An archive of arrays.
pub(super) struct Npz;

impl Format for Npz {
    fn name(&self) -> &'static str {
        "npz"
    }

    fn recognises(&self, file: &[u8]) -> bool {
        first_member(file).is_some_and(|member| member.ends_with(b".npy"))
    }

    fn open(&self, file: &MappedFile) -> Result<FileContents, FormatError> {
        Ok(npz::read(file)?)
    }
}

/// Reads a file that holds one array, which is named as the file is.
fn read_array(file: &MappedFile) -> Result<FileContents, NumpyFault> {
    let path = file.path();
    let array = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let header = header::parse(&array, file.bytes())?;
    let length = file.bytes().len();
    let mut contents = FileContents::default();
    match &header.measured {
        Err(reason) => contents.unmeasured.push(unmeasured(array, &header, reason)),
        Ok(_) => {
            let needed = header.data_len(&array)?;
            let available = (length - header.data) as u64;
            if needed != available {
                let offset = header.data as u64;
                return Err(NumpyFault::Length { array, offset, needed, available });
            }
            contents.tensors.extend(stored(array, header, file, 0, length));
        }
    }
    Ok(contents)
}

/// An array that the file holds uncompressed, from its header at `start` to `end`.
fn stored(name: String, header: Header, file: &MappedFile, start: usize, end: usize) -> Option<TensorEntry> {
    let Type { element, big_endian } = header.measured.ok()?;
    let range = start + header.data..end;
    if big_endian || header.fortran {
        return computed(name, header, ArrayData::Stored { file: file.clone(), range: range.clone() }, range);
    }
    let stored = element.name().to_owned();
    Some(TensorEntry { name, shape: header.shape, element, stored, data: TensorData::Mapped(range) })
}

/// An array whose elements have to be unpacked or put in order; the bytes `from` of the file hold them.
fn computed(name: String, header: Header, source: ArrayData, from: Range<usize>) -> Option<TensorEntry> {
    let Type { element, big_endian } = header.measured.ok()?;
    let shape = header.shape.clone();
    let elements = Arc::new(ArrayElements { source, size: element.size(), big_endian, fortran: header.fortran, shape });
    let stored = element.name().to_owned();
    Some(TensorEntry { name, shape: header.shape, element, stored, data: TensorData::Computed { elements, from } })
}

/// An array that is listed, but not measured.
fn unmeasured(name: String, header: &Header, reason: &str) -> Unmeasured {
    Unmeasured { name, shape: header.shape.clone(), dtype: header.dtype.clone(), reason: reason.to_owned() }
}
