//! Reads NumPy's files: an array (`.npy`), or a zip archive of them (`.npz`).

mod arrange;
mod fault;
mod header;
mod npz;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use super::contents::{Contents, Data, Entry};
use super::error::CheckpointError;
use crate::Unmeasured;
use crate::source::MappedFile;
pub use fault::NumpyFault;

use arrange::{Arranged, Source};
use header::{Header, Type};

/// Reads a file that holds one array, which is named as the file is.
pub(super) fn read_npy(file: &MappedFile) -> Result<Contents, CheckpointError> {
    let path = file.path();
    let array = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let refused = |fault| CheckpointError::Numpy { path: path.to_owned(), fault: Box::new(fault) };
    let header = header::parse(&array, file.bytes()).map_err(refused)?;
    let length = file.bytes().len();
    let mut contents = Contents::default();
    match &header.measured {
        Err(reason) => contents.unmeasured.push(unmeasured(array, &header, reason)),
        Ok(_) => {
            let needed = header.data_len(&array).map_err(refused)?;
            let available = (length - header.data) as u64;
            if needed != available {
                let offset = header.data as u64;
                return Err(refused(NumpyFault::Length { array, offset, needed, available }));
            }
            contents.tensors.extend(stored(array, header, file, 0, length));
        }
    }
    Ok(contents)
}

/// Reads all arrays of an archive, each named as its member is, without `.npy`.
pub(super) fn read_npz(file: &MappedFile) -> Result<Contents, CheckpointError> {
    npz::read(file).map_err(|fault| CheckpointError::Numpy { path: file.path().to_owned(), fault: Box::new(fault) })
}

/// An array that lies in the file uncompressed, from its header at `start` to `end`.
fn stored(name: String, header: Header, file: &MappedFile, start: usize, end: usize) -> Option<Entry> {
    let Type { element, big_endian } = header.measured.ok()?;
    let range = start + header.data..end;
    if big_endian || header.fortran {
        return computed(name, header, Source::Stored { file: file.clone(), range: range.clone() }, range);
    }
    let stored = element.name().to_owned();
    Some(Entry { name, shape: header.shape, element, stored, data: Data::Mapped(range) })
}

/// An array whose elements have to be unpacked or put in order; the bytes `from` of the file hold them.
fn computed(name: String, header: Header, source: Source, from: Range<usize>) -> Option<Entry> {
    let Type { element, big_endian } = header.measured.ok()?;
    let shape = header.shape.clone();
    let elements = Arc::new(Arranged { source, size: element.size(), big_endian, fortran: header.fortran, shape });
    let stored = element.name().to_owned();
    Some(Entry { name, shape: header.shape, element, stored, data: Data::Computed { elements, from } })
}

/// An array that is listed, but not measured.
fn unmeasured(name: String, header: &Header, reason: &str) -> Unmeasured {
    Unmeasured { name, shape: header.shape.clone(), dtype: header.dtype.clone(), reason: reason.to_owned() }
}
