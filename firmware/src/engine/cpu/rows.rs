//! Cutting a chunk's blocks at the ends of its tensor's rows, for collectors that go by row.

use alloc::vec::Vec;

use super::decode::{self, Sample};
use crate::engine::ChunkSpec;

/// What a collector is handed of a row.
pub(super) enum RowEvent<'a> {
    /// The next elements of the current row, all of them finite, the first in this column.
    Elements(&'a [f32], usize),
    /// The current row is complete.
    End,
}

/// Where in its tensor's rows the elements to come are.
pub(super) struct RowCutter {
    /// Elements in a row; for a tensor without rows more than any chunk has.
    row: u64,
    /// Elements of the current row that came before.
    column: u64,
    /// Where elements are made fit: converted to binary32, and zero where they are not finite.
    scratch: Vec<f32>,
}

impl RowCutter {
    /// At the first element of a chunk.
    pub(super) fn new(spec: &ChunkSpec) -> Self {
        let row = if spec.row == 0 { u64::MAX } else { u64::from(spec.row) };
        Self { row, column: spec.offset % row, scratch: Vec::new() }
    }

    /// Cuts the next samples, all of them finite.
    pub(super) fn cut<S: Sample>(&mut self, samples: &[S], take: impl FnMut(RowEvent<'_>)) {
        let mut scratch = core::mem::take(&mut self.scratch);
        self.cut_singles(S::narrow(samples, &mut scratch), take);
        self.scratch = scratch;
    }

    /// Cuts the next samples; what is not finite counts as zero.
    pub(super) fn cut_irregular<S: Sample>(&mut self, samples: &[S], take: impl FnMut(RowEvent<'_>)) {
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend(samples.iter().map(|sample| decode::finite_or_zero((*sample).into() as f32)));
        self.cut_singles(&scratch, take);
        self.scratch = scratch;
    }

    fn cut_singles(&mut self, mut elements: &[f32], mut take: impl FnMut(RowEvent<'_>)) {
        while !elements.is_empty() {
            let left = usize::try_from(self.row - self.column).unwrap_or(usize::MAX);
            let (segment, rest) = elements.split_at(left.min(elements.len()));
            take(RowEvent::Elements(segment, self.column as usize));
            self.column += segment.len() as u64;
            if self.column == self.row {
                self.column = 0;
                take(RowEvent::End);
            }
            elements = rest;
        }
    }
}
