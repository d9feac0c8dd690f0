//! Positions in a row-major tensor: evenly spaced runs of elements, and indices.

use std::ops::Range;

/// Evenly spaced runs of a stored tensor's elements: for `i` in `0..count`, the elements `start + i * stride` and the
/// `length - 1` behind it.
///
/// The elements of all runs, in order, are numbered from 0: their *logical* positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Runs {
    /// Where the first run begins.
    pub start: u64,
    /// Elements in a run.
    pub length: u64,
    /// From the beginning of one run to that of the next; at least `length`.
    pub stride: u64,
    /// How many runs there are.
    pub count: u64,
}

impl Runs {
    /// All of a tensor of `n` elements.
    pub const fn whole(n: u64) -> Self {
        Self { start: 0, length: n, stride: n, count: 1 }
    }

    /// Elements in all runs.
    pub const fn elements(&self) -> u64 {
        self.length.saturating_mul(self.count)
    }

    /// Where in the stored tensor the element at this logical position is. Positions from [`elements`](Self::elements)
    /// on continue the pattern beyond the tensor.
    pub const fn position(&self, logical: u64) -> u64 {
        let Some(run) = logical.checked_div(self.length) else { return self.start };
        self.start.saturating_add(run.saturating_mul(self.stride)).saturating_add(logical % self.length)
    }

    /// The stored elements at the logical positions in `range`, as contiguous ranges, in order.
    ///
    /// What of `range` is beyond the last element is left out. Runs that touch come as one.
    pub fn spans(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
        let runs = *self;
        let end = range.end.min(runs.elements());
        let mut next = range.start;
        std::iter::from_fn(move || {
            let left = end.checked_sub(next).filter(|&left| left > 0)?;
            let inside = next.checked_rem(runs.length)?;
            let taken = if runs.stride == runs.length { left } else { left.min(runs.length - inside) };
            let start = runs.position(next);
            next += taken;
            Some(start..start.saturating_add(taken))
        })
    }
}

/// The index, one number a dimension, of the element at `position` in a row-major tensor of this shape.
///
/// A scalar has the empty index.
pub fn unravel(position: u64, shape: &[u64]) -> Vec<u64> {
    let mut rest = position;
    let mut index: Vec<u64> = shape
        .iter()
        .rev()
        .map(|&dimension| {
            let inner = rest.checked_rem(dimension).unwrap_or(0);
            rest = rest.checked_div(dimension).unwrap_or(0);
            inner
        })
        .collect();
    index.reverse();
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_third_pair() {
        let runs = Runs { start: 2, length: 2, stride: 6, count: 3 };
        assert_eq!(runs.elements(), 6);
        assert_eq!((0..6).map(|i| runs.position(i)).collect::<Vec<_>>(), [2, 3, 8, 9, 14, 15]);
        assert_eq!(runs.spans(1..5).collect::<Vec<_>>(), [3..4, 8..10, 14..15]);
        assert!(runs.spans(4..99).eq(std::iter::once(14..16)));
    }

    #[test]
    fn touching_runs_are_one_span() {
        let runs = Runs { start: 5, length: 2, stride: 2, count: 4 };
        assert!(runs.spans(1..7).eq(std::iter::once(6..12)));
        assert!(Runs::whole(9).spans(0..9).eq(std::iter::once(0..9)));
    }

    #[test]
    fn empty_and_extreme_runs() {
        assert_eq!(Runs::whole(0).spans(0..9).count(), 0);
        assert_eq!(Runs::whole(0).position(3), 0);
        #[expect(clippy::reversed_empty_ranges, reason = "callers may compute one")]
        let backwards = 3..1;
        assert_eq!(Runs::whole(9).spans(backwards).count(), 0);
        let huge = Runs { start: u64::MAX, length: u64::MAX, stride: u64::MAX, count: u64::MAX };
        assert_eq!(huge.elements(), u64::MAX);
        assert_eq!(huge.position(u64::MAX), u64::MAX);
        assert_eq!(huge.spans(0..u64::MAX).count(), 1);
    }

    #[test]
    fn indices() {
        assert_eq!(unravel(0, &[]), [0; 0]);
        assert_eq!(unravel(7, &[10]), [7]);
        assert_eq!(unravel(23, &[2, 3, 4]), [1, 2, 3]);
        assert_eq!(unravel(6, &[2, 3, 4]), [0, 1, 2]);
        assert_eq!(unravel(1, &[0, 4]), [0, 1]);
    }

    proptest! {
        #[test]
        fn spans_are_the_positions(
            start in 0..50u64, length in 0..9u64, gap in 0..5u64, count in 0..9u64, from in 0..80u64, to in 0..90u64,
        ) {
            let runs = Runs { start, length, stride: length + gap, count };
            let expected: Vec<u64> = (from..to.min(runs.elements())).map(|i| runs.position(i)).collect();
            let spans: Vec<Range<u64>> = runs.spans(from..to).collect();
            prop_assert!(spans.iter().all(|span| !span.is_empty()));
            prop_assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert_eq!(spans.into_iter().flatten().collect::<Vec<_>>(), expected);
        }

        #[test]
        fn unravel_is_the_inverse_of_row_major(shape in proptest::collection::vec(1..6u64, 0..5), pick in 0..10_000u64) {
            let elements: u64 = shape.iter().product();
            let position = pick % elements;
            let index = unravel(position, &shape);
            prop_assert!(index.iter().zip(&shape).all(|(i, n)| i < n));
            prop_assert_eq!(index.iter().zip(&shape).fold(0, |at, (i, n)| at * n + i), position);
        }
    }
}
