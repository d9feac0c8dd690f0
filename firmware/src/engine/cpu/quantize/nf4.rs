//! Finding the nearest level of NF4 without trying all sixteen.
//!
//! The range from -1 to 1 is cut into cells that are narrower than the distance of any two bounds between levels, so
//! that a cell holds one bound at most: a look into a table by cell, and one comparison, give the level.

use kurtoscope_shared::quantization::NF4_LEVELS;

/// Entries of the tables; a cell's entry is its number, from -15 to 15, modulo this.
pub(super) const CELLS: usize = 32;

/// Cells from 0 to 1, counted from the middle of the one around 0: the largest that keeps the cell of 1 at 15.
pub(super) const CELLS_PER_UNIT: f32 = 15.49;

/// By cell: the bound in it, and the levels on both of its sides. A cell without a bound has an infinite one.
pub(super) struct Cells {
    pub(super) below: [f32; CELLS],
    pub(super) bound: [f32; CELLS],
    pub(super) above: [f32; CELLS],
}

/// The cells of [`NF4_LEVELS`].
pub(super) static NF4_CELLS: Cells = Cells::of_levels();

impl Cells {
    const fn of_levels() -> Self {
        let mut cells = Self { below: [0.0; CELLS], bound: [f32::INFINITY; CELLS], above: [0.0; CELLS] };
        let mut number = -16i32;
        while number < 16 {
            let cell = number.rem_euclid(CELLS as i32) as usize;
            let begin = (number as f32 - 0.5) / CELLS_PER_UNIT;
            let end = (number as f32 + 0.5) / CELLS_PER_UNIT;
            // The level that a number at the cell's begin goes to.
            let mut level = 0;
            while level + 1 < NF4_LEVELS.len() && bound_above(level) < begin {
                level += 1;
            }
            cells.below[cell] = NF4_LEVELS[level];
            cells.above[cell] = NF4_LEVELS[level];
            if level + 1 < NF4_LEVELS.len() && bound_above(level) < end {
                cells.bound[cell] = bound_above(level);
                cells.above[cell] = NF4_LEVELS[level + 1];
            }
            number += 1;
        }
        cells
    }
}

/// Halfway from a level to the next.
const fn bound_above(level: usize) -> f32 {
    (NF4_LEVELS[level] + NF4_LEVELS[level + 1]) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bound_is_where_rounding_decides_on_the_cell_and_no_two_in_one() {
        let bounds: Vec<f32> = (0..NF4_LEVELS.len() - 1).map(bound_above).collect();
        for bound in &bounds {
            let place = bound * CELLS_PER_UNIT;
            assert!(((place - place.floor()) - 0.5).abs() > 1e-3, "{bound} is on the edge of a cell");
        }
        for pair in bounds.windows(2) {
            assert_ne!((pair[0] * CELLS_PER_UNIT).round(), (pair[1] * CELLS_PER_UNIT).round());
        }
        assert_eq!(NF4_CELLS.bound.iter().filter(|bound| bound.is_finite()).count(), bounds.len());
    }
}
