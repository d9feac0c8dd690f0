//! Elements of arrays that are compressed, big-endian or in Fortran order, put as they are measured.

use std::fmt;
use std::io::{Cursor, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use zip::ZipArchive;

use crate::format::cache::LastValue;
use crate::format::tensor::ElementSource;
use crate::source::MappedFile;

/// An array and the way from its data to elements in C order, little-endian.
#[derive(Debug)]
pub(super) struct ArrayElements {
    pub(super) source: ArrayData,
    /// Bytes of an element.
    pub(super) size: usize,
    pub(super) big_endian: bool,
    pub(super) fortran: bool,
    pub(super) shape: Vec<u64>,
}

/// Where an array's data is.
#[derive(Debug)]
pub(super) enum ArrayData {
    /// In the file as it is.
    Stored { file: MappedFile, range: Range<usize> },
    /// Compressed.
    Deflated(Member),
}

/// A compressed member of an archive.
pub(super) struct Member {
    /// Clones share the directory and the bytes.
    pub(super) archive: ZipArchive<Cursor<Bytes>>,
    pub(super) index: usize,
    /// Bytes of the array's header, which come first.
    pub(super) header: usize,
    /// Bytes of its data, which are all the rest.
    pub(super) length: usize,
    pub(super) cache: Arc<LastValue<Bytes>>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("index", &self.index).field("length", &self.length).finish_non_exhaustive()
    }
}

impl ElementSource for ArrayElements {
    fn read(&self, range: Range<u64>) -> Result<Bytes, String> {
        let data = match &self.source {
            ArrayData::Stored { file, range } => file.share(range.clone()).ok_or("they are not inside the file")?,
            ArrayData::Deflated(member) => member.cache.get_or(member.index, || member.inflate())?,
        };
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let count = (range.end - range.start) as usize;
        let mut elements = if self.fortran {
            gather(&data, &self.shape, self.size, range.start, count)
        } else {
            let bytes = range.start as usize * self.size..range.end as usize * self.size;
            if !self.big_endian {
                // Copied, or a chunk on its way to a slow device would keep the whole array.
                return data.get(bytes).map(Bytes::copy_from_slice).ok_or_else(short);
            }
            data.get(bytes).map(<[u8]>::to_vec)
        }
        .ok_or_else(short)?;
        if self.big_endian {
            elements.chunks_exact_mut(self.size).for_each(<[u8]>::reverse);
        }
        Ok(elements.into())
    }
}

fn short() -> String {
    "its data is shorter than its shape".to_owned()
}

impl Member {
    /// The array's data, checked against the archive's checksum.
    fn inflate(&self) -> Result<Bytes, String> {
        let damaged = |error: &dyn fmt::Display| format!("{error}; the archive is damaged: download or save it again");
        let mut archive = self.archive.clone();
        let mut member = archive.by_index(self.index).map_err(|error| damaged(&error))?;
        let header = self.header as u64;
        let skipped = std::io::copy(&mut (&mut member).take(header), &mut std::io::sink());
        if skipped.map_err(|error| damaged(&error))? != header {
            return Err(damaged(&"it inflates to less than the archive says"));
        }
        let mut data = Vec::new();
        let length = self.length as u64;
        data.try_reserve_exact(self.length)
            .map_err(|_| format!("{length} bytes of memory are needed and not available; free some"))?;
        // Exactly what the shape calls for, then a byte more: reaching the end is what has the checksum compared.
        (&mut member).take(length).read_to_end(&mut data).map_err(|error| damaged(&error))?;
        let more = member.read(&mut [0]).map_err(|error| damaged(&error))?;
        if data.len() != self.length || more != 0 {
            return Err(damaged(&"it does not inflate to what the archive says"));
        }
        Ok(data.into())
    }
}

/// `count` elements from position `first` in C order of an array that is stored with its first dimension innermost.
fn gather(data: &[u8], shape: &[u64], size: usize, first: u64, count: usize) -> Option<Vec<u8>> {
    let mut axes = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &dimension in shape {
        axes.push(Axis { dimension, stride, index: 0 });
        stride *= dimension;
    }
    let mut rest = first;
    let mut offset = 0;
    for axis in axes.iter_mut().rev() {
        axis.index = rest % axis.dimension;
        rest /= axis.dimension;
        offset += axis.index * axis.stride;
    }
    let mut elements = Vec::with_capacity(count * size);
    for _ in 0..count {
        let start = offset as usize * size;
        elements.extend_from_slice(data.get(start..start + size)?);
        for axis in axes.iter_mut().rev() {
            axis.index += 1;
            offset += axis.stride;
            if axis.index < axis.dimension {
                break;
            }
            offset -= axis.stride * axis.dimension;
            axis.index = 0;
        }
    }
    Some(elements)
}

/// One dimension, and where in it the next element is.
struct Axis {
    dimension: u64,
    stride: u64,
    index: u64,
}
