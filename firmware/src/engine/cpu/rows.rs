//! Cutting a chunk's blocks at the ends of its tensor's rows, for what is measured by row: errors of quantizing, and the
//! fourth powers of rows and columns.

use alloc::vec::Vec;

use kurtoscope_shared::{Element, Lines, Noise, quantization::LARGEST_BLOCK};

use super::{
    decode::{self, Sample},
    lines::LineSums,
    quantize::Quantizer,
};
use crate::engine::Piece;

/// What is measured by row.
pub(in crate::engine) struct Rows<'a> {
    /// All of the chunk, and the type of its elements.
    payload: &'a [u8],
    element: Element,
    quantizer: Option<Quantizer>,
    lines: Option<LineSums>,
    /// Elements in a row; for a tensor without rows more than any chunk has.
    row: u64,
    /// Elements of the row at hand that came before.
    column: u64,
    /// Whether the chunk holds whole rows.
    has_whole_rows: bool,
    /// Rows of the chunk that are complete.
    complete: usize,
    /// Where elements are made fit: converted to binary32, and zero where they are not finite.
    scratch: Vec<f32>,
}

impl<'a> Rows<'a> {
    /// What `piece` asks for of the elements in `payload`; `None` where it asks for nothing of this kind.
    pub(in crate::engine) fn new(piece: Piece, payload: &'a [u8]) -> Option<Self> {
        let Piece { element, statistics: what, .. } = piece;
        let count = (payload.len() / element.size()) as u64;
        let row = if piece.row == 0 { u64::MAX } else { u64::from(piece.row) };
        let (number, column) = (piece.offset / row, piece.offset % row);
        // An empty payload holds no row, whatever length a host gives them: nothing is kept for their columns.
        let has_whole_rows = piece.row > 0 && column == 0 && count > 0 && count.is_multiple_of(row);
        let quantizer =
            (what.quantization > 0).then(|| Quantizer::new(what.quantization, number, column / LARGEST_BLOCK as u64));
        let lines = (what.lines && has_whole_rows).then(|| LineSums::new(row as usize));
        let is_asked = quantizer.is_some() || lines.is_some();
        let scratch = Vec::new();
        is_asked.then_some(Self {
            payload,
            element,
            quantizer,
            lines,
            row,
            column,
            has_whole_rows,
            complete: 0,
            scratch,
        })
    }

    /// Takes the next block, all of it finite.
    pub(super) fn take<S: Sample>(&mut self, block: &[S]) {
        let mut scratch = core::mem::take(&mut self.scratch);
        self.cut(S::narrow(block, &mut scratch));
        self.scratch = scratch;
    }

    /// Takes the next block; what is not finite counts as zero.
    pub(super) fn take_finite<S: Sample>(&mut self, block: &[S]) {
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend(block.iter().map(|sample| decode::finite_or_zero((*sample).into() as f32)));
        self.cut(&scratch);
        self.scratch = scratch;
    }

    fn cut(&mut self, mut block: &[f32]) {
        while !block.is_empty() {
            let left = usize::try_from(self.row - self.column).unwrap_or(usize::MAX);
            let (segment, rest) = block.split_at(left.min(block.len()));
            if let Some(quantizer) = &mut self.quantizer {
                quantizer.take(segment);
            }
            if let Some(lines) = &mut self.lines {
                lines.take(segment, self.column as usize);
            }
            self.column += segment.len() as u64;
            if self.column == self.row {
                self.column = 0;
                if let Some(quantizer) = &mut self.quantizer {
                    let bytes = self.row as usize * self.element.size();
                    let begin = self.complete * bytes;
                    let row = if self.has_whole_rows { self.payload.get(begin..begin + bytes) } else { None };
                    let element = self.element;
                    quantizer
                        .end_row(row.map(|row| move |elements: &mut Vec<f32>| decode::finite(element, row, elements)));
                }
                self.complete += 1;
                if let Some(lines) = &mut self.lines {
                    lines.end_row();
                }
            }
            block = rest;
        }
    }

    pub(in crate::engine) fn finish(self) -> (Noise, Lines) {
        let noise = self.quantizer.map(|quantizer| quantizer.finish(self.has_whole_rows));
        (noise.unwrap_or_default(), self.lines.map(LineSums::finish).unwrap_or_default())
    }
}
