//! Sums of fourth powers by row and by column.

use alloc::{vec, vec::Vec};

use kurtoscope_shared::Lines;
use multiversion::multiversion;

/// Parallel sums of a row: two registers, so that one addition need not wait for the last.
const LANES: usize = 32;

/// Both sums in the making.
pub(super) struct LineSums {
    rows: Vec<f32>,
    columns: Vec<f32>,
    row: [f32; LANES],
}

impl LineSums {
    /// For rows of `row` elements.
    pub(super) fn new(row: usize) -> Self {
        Self { rows: Vec::new(), columns: vec![0.0; row], row: [0.0; LANES] }
    }

    /// Takes elements of the row at hand, the first of them in `column`.
    pub(super) fn take(&mut self, elements: &[f32], column: usize) {
        if let Some(columns) = self.columns.get_mut(column..column + elements.len()) {
            add(elements, columns, &mut self.row);
        }
    }

    pub(super) fn end_row(&mut self) {
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

    pub(super) fn finish(self) -> Lines {
        Lines { rows: self.rows, columns: self.columns }
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
        let mut lines = LineSums::new(3);
        lines.take(&[1.0, 2.0], 0);
        lines.take(&[3.0], 2);
        lines.end_row();
        lines.take(&[0.0, -1.0, 2.0], 0);
        lines.end_row();
        assert_eq!(lines.finish(), Lines { rows: vec![98.0, 17.0], columns: vec![1.0, 17.0, 97.0] });
    }
}
