//! Reads a zip archive of arrays, as `numpy.savez` and `numpy.savez_compressed` write them.

use std::io::{Cursor, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use zip::{CompressionMethod, ZipArchive};

use super::arrange::{ArrayData, Member};
use super::fault::NumpyFault;
use super::{computed, header, stored, unmeasured};
use crate::format::cache::LastValue;
use crate::format::tensor::FileContents;
use crate::source::MappedFile;
use crate::unmeasured::Unmeasured;

/// The most bytes that one compressed byte can expand to: deflate's longest match, 258, in a quarter of a byte.
const DEFLATE_RATIO: u64 = 1032;

/// Reads the archive's directory and all headers. Each array is named as its member is, without `.npy`.
pub(super) fn read(file: &MappedFile) -> Result<FileContents, NumpyFault> {
    let bytes = file.share(0..file.bytes().len()).unwrap_or_default();
    let mut archive =
        ZipArchive::new(Cursor::new(bytes)).map_err(|error| NumpyFault::Archive { detail: error.to_string() })?;
    let cache = Arc::new(LastValue::default());
    let mut contents = FileContents::default();
    for index in 0..archive.len() {
        add(file, &mut archive, index, &cache, &mut contents)?;
    }
    Ok(contents)
}

/// Reads the header of one member.
fn add(
    file: &MappedFile,
    archive: &mut ZipArchive<Cursor<Bytes>>,
    index: usize,
    cache: &Arc<LastValue<Bytes>>,
    contents: &mut FileContents,
) -> Result<(), NumpyFault> {
    let shared = archive.clone();
    let mut place = format!("number {index}");
    let mut start = 0;
    let failed =
        |member: &str, offset, detail: String| NumpyFault::Member { member: member.to_owned(), offset, detail };
    if let Ok(entry) = shared.by_index_data(index) {
        place = String::from_utf8_lossy(entry.name_raw()).into_owned();
        start = entry.header_start();
    }
    let mut member = archive.by_index(index).map_err(|error| failed(&place, start, error.to_string()))?;
    let Some(name) = place.strip_suffix(".npy").map(str::to_owned) else {
        if !place.ends_with('/') {
            contents.unmeasured.push(Unmeasured {
                name: place,
                shape: Vec::new(),
                dtype: "file".to_owned(),
                reason: "it is not a NumPy array".to_owned(),
            });
        }
        return Ok(());
    };
    let (compressed, size) = (member.compressed_size(), member.size());
    let from = span(file, member.data_start(), compressed)
        .ok_or_else(|| failed(&place, start, format!("its {compressed} bytes go on behind the end of the file")))?;
    let mut head = Vec::new();
    let head_limit = header::LIMIT as u64 + 12;
    (&mut member).take(head_limit).read_to_end(&mut head).map_err(|error| failed(&place, start, error.to_string()))?;
    let header = header::parse(&name, &head)?;
    if let Err(reason) = &header.measured {
        contents.unmeasured.push(unmeasured(name, &header, reason));
        return Ok(());
    }
    let needed = header.data_len(&name)?;
    let available = size.saturating_sub(header.data as u64);
    let is_stored = member.compression() == CompressionMethod::Stored;
    if needed != available || is_stored && compressed != size {
        let offset = if is_stored { from.start } else { 0 } + header.data;
        return Err(NumpyFault::Length { array: name, offset: offset as u64, needed, available });
    }
    if is_stored {
        contents.tensors.extend(stored(name, header, file, from.start, from.end));
        return Ok(());
    }
    if size / DEFLATE_RATIO > compressed {
        return Err(NumpyFault::Bomb { array: name, compressed, inflated: size });
    }
    let length = usize::try_from(needed).map_err(|_| failed(&place, start, "it is too long for this system".into()))?;
    let source = ArrayData::Deflated(Member {
        archive: shared.clone(),
        index,
        header: header.data,
        length,
        cache: Arc::clone(cache),
    });
    contents.tensors.extend(computed(name, header, source, from));
    Ok(())
}

/// The bytes of a member, if they are inside the file.
fn span(file: &MappedFile, start: Option<u64>, length: u64) -> Option<Range<usize>> {
    let start = start?;
    let range = usize::try_from(start).ok()?..usize::try_from(start.checked_add(length)?).ok()?;
    file.bytes().get(range.clone()).map(|_| range)
}
