//! Sums of fourth powers by row and by column.

use alloc::{vec, vec::Vec};

use kurtoscope_shared::RowColumnSums;
use multiversion::multiversion;

use super::{
    collect::{Block, Collect, Collector},
    decode::Sample,
    rows::{RowCutter, RowEvent},
};
use crate::engine::ChunkSpec;

/// Parallel sums of a row: two registers, so that one addition need not wait for the last.
const LANES: usize = 32;

/// The sums in the making, and where the next element is.
pub struct RowColumnCollector {
    cutter: RowCutter,
    sums: PartialSums,
}

impl Collect for RowColumnSums {
    type Collector<'a, S: Sample> = RowColumnCollector;
}

impl<S: Sample> Collector<'_, S> for RowColumnCollector {
    type Statistic = RowColumnSums;

    fn new((): (), spec: &ChunkSpec, _: &[u8]) -> Self {
        Self { cutter: RowCutter::new(spec), sums: PartialSums::new(spec.row as usize) }
    }

    fn take(&mut self, block: &Block<'_, S>) {
        let Self { cutter, sums } = self;
        cutter.cut(block.samples, |event| sums.take(event));
    }

    fn take_irregular(&mut self, samples: &[S], _: u64) {
        let Self { cutter, sums } = self;
        cutter.cut_irregular(samples, |event| sums.take(event));
    }

    fn finish(self) -> RowColumnSums {
        let columns = self.sums.columns.into_iter().map(f64::from).collect();
        RowColumnSums { rows: self.sums.rows, columns }
    }
}

/// Both sums so far, and those of the current row by lane.
struct PartialSums {
    rows: Vec<f32>,
    columns: Vec<f32>,
    row: [f32; LANES],
}

impl PartialSums {
    /// For rows of `row` elements.
    fn new(row: usize) -> Self {
        Self { rows: Vec::new(), columns: vec![0.0; row], row: [0.0; LANES] }
    }

    fn take(&mut self, event: RowEvent<'_>) {
        match event {
            RowEvent::Elements(elements, column) => self.add(elements, column),
            RowEvent::End => self.end_row(),
        }
    }

    /// Takes elements of the current row, the first of them in `column`.
    fn add(&mut self, elements: &[f32], column: usize) {
        if let Some(columns) = self.columns.get_mut(column..column + elements.len()) {
            add(elements, columns, &mut self.row);
        }
    }

    fn end_row(&mut self) {
        let mut sums = core::mem::replace(&mut self.row, [0.0; LANES]);
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                sums[lane] += sums[lane + width];
            }
            width /= 2;
        }
        self.rows.push(sums[0]);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2"))]
fn add(elements: &[f32], columns: &mut [f32], row: &mut [f32; LANES]) {
    let (groups, rest) = elements.as_chunks::<LANES>();
    let (column_groups, column_rest) = columns.as_chunks_mut::<LANES>();
    let mut sums = *row;
    for (group, columns) in groups.iter().zip(column_groups) {
        for lane in 0..LANES {
            let square = group[lane] * group[lane];
            let fourth = square * square;
            columns[lane] += fourth;
            sums[lane] += fourth;
        }
    }
    for (lane, (element, column)) in rest.iter().zip(column_rest).enumerate() {
        let square = element * element;
        let fourth = square * square;
        *column += fourth;
        sums[lane] += fourth;
    }
    *row = sums;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_hand() {
        // 1 2 3 / 0 -1 2: fourth powers 1 16 81 / 0 1 16.
        let mut sums = PartialSums::new(3);
        sums.add(&[1.0, 2.0], 0);
        sums.add(&[3.0], 2);
        sums.end_row();
        sums.add(&[0.0, -1.0, 2.0], 0);
        sums.end_row();
        assert_eq!((sums.rows, sums.columns), (vec![98.0, 17.0], vec![1.0, 17.0, 97.0]));
    }
}
