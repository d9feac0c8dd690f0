//! The quantizer as a collector: the current row, and a copy of its elements for rows that are quantized in full.

use alloc::vec::Vec;

use kurtoscope_shared::{Element, QuantizationErrors, quantization::LARGEST_BLOCK, statistics::SampleStride};

use super::Quantizer;
use crate::engine::{
    ChunkSpec,
    cpu::{
        collect::{Block, Collect, Collector},
        decode::{self, Sample},
        rows::{RowCutter, RowEvent},
    },
};

/// Quantization errors in the making.
pub struct QuantizationCollector<'a> {
    cutter: RowCutter,
    quantizer: Quantizer,
    rows: Rows<'a>,
}

/// The rows of the chunk, to be read again.
struct Rows<'a> {
    payload: &'a [u8],
    element: Element,
    /// Bytes of a row; 0 where the chunk does not hold whole rows.
    bytes: usize,
    /// Rows of the chunk that are complete.
    complete: usize,
}

impl Collect for QuantizationErrors {
    type Collector<'a, S: Sample> = QuantizationCollector<'a>;
}

impl<'a, S: Sample> Collector<'a, S> for QuantizationCollector<'a> {
    type Statistic = QuantizationErrors;

    fn new(stride: SampleStride, spec: &ChunkSpec, payload: &'a [u8]) -> Self {
        let row = if spec.row == 0 { u64::MAX } else { u64::from(spec.row) };
        let (number, column) = (spec.offset / row, spec.offset % row);
        let has_whole_rows = spec.span(payload.len()).has_whole_rows();
        let bytes = if has_whole_rows { spec.row as usize * spec.element.size() } else { 0 };
        Self {
            cutter: RowCutter::new(spec),
            quantizer: Quantizer::new(stride, number, column / LARGEST_BLOCK as u64),
            rows: Rows { payload, element: spec.element, bytes, complete: 0 },
        }
    }

    fn take(&mut self, block: &Block<'_, S>) {
        let Self { cutter, quantizer, rows } = self;
        cutter.cut(block.samples, |event| take(quantizer, rows, &event));
    }

    fn take_irregular(&mut self, samples: &[S], _: u64) {
        let Self { cutter, quantizer, rows } = self;
        cutter.cut_irregular(samples, |event| take(quantizer, rows, &event));
    }

    fn finish(self) -> QuantizationErrors {
        self.quantizer.finish(self.rows.bytes > 0)
    }
}

fn take(quantizer: &mut Quantizer, rows: &mut Rows<'_>, event: &RowEvent<'_>) {
    match event {
        RowEvent::Elements(elements, _) => quantizer.take(elements),
        RowEvent::End => {
            let Rows { payload, element, bytes, complete } = *rows;
            let begin = complete * bytes;
            let row = if bytes > 0 { payload.get(begin..begin + bytes) } else { None };
            quantizer.end_row(row.map(|row| move |elements: &mut Vec<f32>| decode::finite(element, row, elements)));
            rows.complete += 1;
        }
    }
}
