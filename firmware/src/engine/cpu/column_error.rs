//! Squares and int4 errors by column, one group of 32 elements at a time.

use alloc::{vec, vec::Vec};

use kurtoscope_shared::{
    ColumnErrors,
    quantization::nearest,
    statistics::column_error::{GROUP, SCHEME},
};

use super::{
    collect::{Block, Collect, Collector},
    decode::Sample,
    rows::{RowCutter, RowEvent},
};
use crate::engine::ChunkSpec;

/// The sums in the making, and where the next element is.
pub struct ColumnErrorCollector {
    cutter: RowCutter,
    sums: PartialSums,
}

impl Collect for ColumnErrors {
    type Collector<'a, S: Sample> = ColumnErrorCollector;
}

impl<S: Sample> Collector<'_, S> for ColumnErrorCollector {
    type Statistic = ColumnErrors;

    fn new((): (), spec: &ChunkSpec, _: &[u8]) -> Self {
        let columns = vec![0.0; spec.row as usize];
        let sums = ColumnErrors { squares: columns.clone(), errors: columns };
        Self { cutter: RowCutter::new(spec), sums: PartialSums { sums, group: Vec::with_capacity(GROUP), column: 0 } }
    }

    fn take(&mut self, block: &Block<'_, S>) {
        let Self { cutter, sums } = self;
        cutter.cut(block.samples, |event| sums.take(&event));
    }

    fn take_irregular(&mut self, samples: &[S], _: u64) {
        let Self { cutter, sums } = self;
        cutter.cut_irregular(samples, |event| sums.take(&event));
    }

    fn finish(self) -> ColumnErrors {
        self.sums.sums
    }
}

/// The sums so far, and the current group with its first column.
struct PartialSums {
    sums: ColumnErrors,
    group: Vec<f32>,
    column: usize,
}

impl PartialSums {
    fn take(&mut self, event: &RowEvent<'_>) {
        match event {
            RowEvent::Elements(elements, _) => {
                let mut rest = *elements;
                while !rest.is_empty() {
                    let (taken, more) = rest.split_at(rest.len().min(GROUP - self.group.len()));
                    self.group.extend_from_slice(taken);
                    rest = more;
                    if self.group.len() == GROUP {
                        self.end_group();
                    }
                }
            }
            RowEvent::End => {
                self.end_group();
                self.column = 0;
            }
        }
    }

    fn end_group(&mut self) {
        let largest = self.group.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        let Self { sums, group, column } = self;
        let columns = sums.squares.iter_mut().zip(&mut sums.errors).skip(*column);
        for (x, (square, error)) in group.iter().zip(columns) {
            let difference = f64::from(x - nearest(SCHEME, largest, *x));
            *square += f64::from(*x) * f64::from(*x);
            *error += difference * difference;
        }
        *column += group.len();
        group.clear();
    }
}
