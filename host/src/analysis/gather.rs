//! The elements of a target in one piece: gathered from the runs of a stored tensor that they are in.

use std::ops::Range;

use bytes::Bytes;
use kurtoscope_checkpoint::model::Runs;

/// Elements of a stored tensor that are read at once to pick runs from.
const WINDOW: u64 = 1 << 18;
/// Runs of so many elements are read one by one.
const LONG: u64 = 1 << 12;

/// The elements at the logical positions in `range`, of `size` bytes each, in order: as `read` gives them where they are
/// contiguous, gathered otherwise. Short runs are picked from windows of the tensor, so that elements by turns take few reads.
///
/// # Errors
/// Those of `read`, which gives the bytes of a range of the stored tensor.
pub(super) fn gather<E>(
    runs: &Runs,
    range: Range<u64>,
    size: usize,
    mut read: impl FnMut(Range<u64>) -> Result<Bytes, E>,
) -> Result<Bytes, E> {
    let end = range.end.min(runs.elements());
    let mut spans = runs.spans(range.start..end);
    let Some(first) = spans.next() else { return Ok(Bytes::new()) };
    if spans.next().is_none() {
        return read(first);
    }
    let in_window = if runs.length >= LONG { 1 } else { (WINDOW / runs.stride.max(1)).max(1) };
    let mut gathered = Vec::with_capacity((end - range.start) as usize * size);
    let mut next = range.start;
    while next < end {
        let last_run = next.checked_div(runs.length).unwrap_or(0) + in_window;
        let until = last_run.saturating_mul(runs.length).min(end);
        let start = runs.position(next);
        let bytes = read(start..runs.position(until - 1) + 1)?;
        for span in runs.spans(next..until) {
            let at = |position: u64| (position - start) as usize * size;
            gathered.extend_from_slice(bytes.get(at(span.start)..at(span.end)).unwrap_or_default());
        }
        next = until;
    }
    Ok(Bytes::from(gathered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is gathered of a tensor of 16-bit numbers that count up, and the most elements that were read at once.
    fn gathered(runs: Runs, range: Range<u64>) -> (Vec<u16>, u64) {
        let mut most = 0;
        let read = |range: Range<u64>| {
            most = most.max(range.end - range.start);
            Ok::<_, ()>(Bytes::from_iter(range.flat_map(|position| (position as u16).to_le_bytes())))
        };
        let bytes = gather(&runs, range, 2, read).expect("nothing fails");
        (bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect(), most)
    }

    #[test]
    fn elements_by_turns_take_few_reads_of_bounded_length() {
        let runs = Runs { start: 1, length: 1, stride: 2, count: 1 << 20 };
        let (found, most) = gathered(runs, 0..1 << 20);
        assert_eq!(found.len(), 1 << 20);
        assert!(found.iter().enumerate().all(|(at, value)| *value == (2 * at + 1) as u16));
        assert!(most <= WINDOW, "{most}");
        // Long runs come without what is between them.
        let (_, most) = gathered(Runs { start: 0, length: LONG, stride: 3 * LONG, count: 3 }, 0..3 * LONG);
        assert_eq!(most, LONG);
    }

    proptest! {
        #[test]
        fn gathering_is_picking_one_by_one(
            start in 0..50u64, length in 1..9u64, gap in 0..5u64, count in 0..9u64, from in 0..80u64, to in 0..90u64,
        ) {
            let runs = Runs { start, length, stride: length + gap, count };
            let expected: Vec<u16> = (from..to.min(runs.elements())).map(|i| runs.position(i) as u16).collect();
            prop_assert_eq!(gathered(runs, from..to).0, expected);
        }
    }
}
