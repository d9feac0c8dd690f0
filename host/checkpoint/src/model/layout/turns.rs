//! The geometry of fused tensors: parts that take turns along one axis of a matrix, as runs of its elements.

use super::super::component::Component;
use super::super::runs::Runs;
use super::Part;

/// The axis of a matrix along which its parts take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    /// The parts are made up of rows, or of elements of a vector.
    Rows,
    /// The parts are made up of columns.
    Columns,
}

impl Axis {
    /// Its number in the shape of a matrix.
    pub(super) const fn number(self) -> usize {
        match self {
            Self::Rows => 0,
            Self::Columns => 1,
        }
    }
}

/// One part's share of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// `q`, `gate`, ….
    pub(super) label: &'static str,
    /// What the part is.
    pub(super) component: Component,
    /// Its lines in each turn.
    pub(super) lines: u64,
}

/// Parts that take turns: `repeats` times the lines of each, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turns {
    pub(super) shares: Vec<Share>,
    pub(super) repeats: u64,
}

/// A matrix, or a vector, inside a stored tensor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    /// Position of its first element.
    pub(super) start: u64,
    /// Its dimensions: one or two.
    pub(super) shape: &'a [u64],
}

impl Turns {
    /// Each part once, in order, the whole length being `lines` for each.
    pub(super) fn once(shares: Vec<Share>) -> Self {
        Self { shares, repeats: 1 }
    }

    /// The parts of `matrix`, which hold each of its elements exactly once. `None` where the turns are not as long as the
    /// axis, and where a part is empty.
    pub(super) fn of(&self, matrix: Matrix<'_>, axis: Axis) -> Option<Vec<Part>> {
        let (rows, columns) = match *matrix.shape {
            [rows, columns] => (rows, columns),
            [rows] => (rows, 1),
            _ => return None,
        };
        let elements = rows.checked_mul(columns).filter(|&elements| elements > 0)?;
        matrix.start.checked_add(elements)?;
        let turn = self.shares.iter().try_fold(0u64, |sum, share| sum.checked_add(share.lines))?;
        let (length, unit, outer) = match axis {
            Axis::Rows => (rows, columns, 1),
            Axis::Columns => (columns, 1, rows),
        };
        if turn.checked_mul(self.repeats)? != length || self.shares.iter().any(|share| share.lines == 0) {
            return None;
        }
        let mut before = 0;
        let parts = self.shares.iter().map(|share| {
            let runs = Runs {
                start: matrix.start + before * unit,
                length: share.lines * unit,
                stride: turn * unit,
                count: self.repeats * outer,
            };
            before += share.lines;
            let mut shape = matrix.shape.to_vec();
            if let Some(length) = shape.get_mut(axis.number()) {
                *length = share.lines * self.repeats;
            }
            Part { label: format!("[{}]", share.label), component: share.component, shape, runs, is_mixture: false }
        });
        Some(parts.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(lines: &[u64]) -> Vec<Share> {
        lines.iter().map(|&lines| Share { label: "part", component: Component::Other, lines }).collect()
    }

    #[test]
    fn turns_that_do_not_fit_give_no_parts() {
        let turns = Turns { shares: shares(&[2, 1]), repeats: 2 };
        let of = |shape: &[u64], axis| turns.of(Matrix { start: 0, shape }, axis);
        assert!(
            of(&[6, 4], Axis::Rows).is_some() && of(&[4, 6], Axis::Columns).is_some() && of(&[6], Axis::Rows).is_some()
        );
        for shape in [&[5, 4][..], &[6, 0], &[], &[6, 1, 1], &[6 << 40, 1 << 40]] {
            assert_eq!(of(shape, Axis::Rows), None, "{shape:?}");
        }
        assert_eq!(turns.of(Matrix { start: u64::MAX, shape: &[6, 4] }, Axis::Rows), None);
        let empty = Turns::once(shares(&[6, 0]));
        assert_eq!(empty.of(Matrix { start: 0, shape: &[6, 4] }, Axis::Rows), None);
        let huge = Turns { shares: shares(&[u64::MAX, 1]), repeats: 1 };
        assert_eq!(huge.of(Matrix { start: 0, shape: &[6, 4] }, Axis::Rows), None);
    }

    proptest! {
        #[test]
        fn parts_hold_every_element_once(
            lines in proptest::collection::vec(1..5u64, 1..5), repeats in 1..5u64, other in 1..8u64, start in 0..9u64,
            by_rows in any::<bool>(),
        ) {
            let length = lines.iter().sum::<u64>() * repeats;
            let (axis, shape) = if by_rows { (Axis::Rows, [length, other]) } else { (Axis::Columns, [other, length]) };
            let turns = Turns { shares: shares(&lines), repeats };
            let parts = turns.of(Matrix { start, shape: &shape }, axis).expect("they fit");
            for part in &parts {
                prop_assert_eq!(part.shape.iter().product::<u64>(), part.runs.elements());
            }
            let mut all: Vec<u64> =
                parts.iter().flat_map(|part| part.runs.spans(0..part.runs.elements()).flatten()).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (start..start + length * other).collect::<Vec<_>>());
        }
    }
}
