//! Unpacks just the blocks that hold the elements asked for.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::unpack::{Block, LONGEST};
use crate::format::tensor::ElementSource;
use crate::source::MappedFile;

/// The blocks of one tensor. Nothing is kept between calls.
pub(super) struct Blocks {
    file: MappedFile,
    /// The bytes of the file that hold them.
    range: Range<usize>,
    block: &'static Block,
}

impl Blocks {
    /// The blocks in `range` of the file.
    pub(super) fn new(file: &MappedFile, range: Range<usize>, block: &'static Block) -> Self {
        Self { file: file.clone(), range, block }
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {:?}", self.block.name, self.range)
    }
}

impl ElementSource for Blocks {
    fn read(&self, range: Range<u64>) -> Result<Bytes, String> {
        let outside = || "they are not inside the file".to_owned();
        let stored = self.file.bytes().get(self.range.clone()).ok_or_else(outside)?;
        let position = |element: u64| usize::try_from(element).map_err(|_| outside());
        let (start, end) = (position(range.start)?, position(range.end)?);
        let Block { bytes, elements, unpack, .. } = *self.block;
        if start > end || end > stored.len() / bytes * elements {
            return Err(outside());
        }
        let first = start / elements;
        let blocks = stored.chunks_exact(bytes).skip(first).take(end.div_ceil(elements) - first);
        let mut read = vec![0; (end - start) * size_of::<f32>()];
        let (mut rest, _) = read.as_chunks_mut();
        let mut unpacked = [0.0; LONGEST];
        // Elements of the first block that come before those asked for.
        let mut skip = start % elements;
        for block in blocks {
            unpack(block, &mut unpacked[..elements]);
            let wanted = &unpacked[skip..elements];
            let (now, later) = rest.split_at_mut(wanted.len().min(rest.len()));
            for (bytes, value) in now.iter_mut().zip(wanted) {
                *bytes = value.to_le_bytes();
            }
            rest = later;
            skip = 0;
        }
        Ok(read.into())
    }
}
