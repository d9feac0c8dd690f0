//! The elements at both ends of a set, with their positions.
//!
//! A chunk's distance from the *tensor's* mean is not known while the chunk is measured. So a report keeps the `k`
//! smallest and the `k` largest elements: whatever the mean turns out to be, the `k` elements farthest from it are
//! among those. Ties keep the lower position, so the result does not depend on how the data was cut.

use alloc::vec::Vec;

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

use super::{ChunkSpan, Context, ImplausibleAnswer, Part, Statistic};

/// An element and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Schema)]
pub struct Extreme {
    /// Position, counted in elements from the start of what was measured.
    pub position: u64,
    /// The element's value, finite.
    pub value: f64,
}

/// How many elements are kept at each end: 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
#[serde(try_from = "u8", into = "u8")]
pub struct ExtremeCount(u8);

impl ExtremeCount {
    /// As many as reports show.
    pub const DEFAULT: Self = Self(16);
    /// The most.
    pub const MAX: Self = Self(64);

    /// `count` elements at each end; `None` for none and for more than [`MAX`](Self::MAX).
    pub const fn new(count: u8) -> Option<Self> {
        if count == 0 || count > Self::MAX.0 { None } else { Some(Self(count)) }
    }

    /// The number.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl TryFrom<u8> for ExtremeCount {
    type Error = &'static str;

    fn try_from(count: u8) -> Result<Self, &'static str> {
        Self::new(count).ok_or("a number of extremes other than 1 to 64")
    }
}

impl From<ExtremeCount> for u8 {
    fn from(count: ExtremeCount) -> Self {
        count.0
    }
}

/// The `k` smallest and the `k` largest finite elements.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Schema)]
pub struct Extremes {
    /// Largest first; equal values in order of position.
    pub highest: Vec<Extreme>,
    /// Smallest first; equal values in order of position.
    pub lowest: Vec<Extreme>,
}

impl Extremes {
    /// Merges `other`, whose positions are moved up by `shift` (the offset of its chunk), and keeps `k` at each end.
    pub fn merge(&mut self, other: &Self, shift: u64, k: usize) {
        merge_end(&mut self.highest, &other.highest, shift, k, |a, b| b.value.total_cmp(&a.value));
        merge_end(&mut self.lowest, &other.lowest, shift, k, |a, b| a.value.total_cmp(&b.value));
    }

    /// The up to `k` elements farthest from `mean`, farthest first; equal distances in order of position.
    pub fn farthest(&self, mean: f64, k: usize) -> Vec<Extreme> {
        let mut all: Vec<Extreme> = self.highest.iter().chain(&self.lowest).copied().collect();
        // A set with fewer than 2k elements has some of them at both ends.
        all.sort_by_key(|extreme| extreme.position);
        all.dedup_by_key(|extreme| extreme.position);
        all.sort_by(|a, b| (b.value - mean).abs().total_cmp(&(a.value - mean).abs()));
        all.truncate(k);
        all
    }
}

impl Statistic for Extremes {
    const TAG: u16 = 3;
    const NAME: &'static str = "extremes";
    type Request = ExtremeCount;
    const LARGEST_REQUEST: Self::Request = ExtremeCount::MAX;
    const TOLERANCE: Option<f64> = Some(0.0);

    fn append(&mut self, next: &Self, kept: ExtremeCount, span: &ChunkSpan) {
        self.merge(next, span.offset, kept.get());
    }

    fn join(parts: &[Part<'_, Self>]) -> Option<Self> {
        let mut whole = Self::default();
        for Part { statistic, request, layout } in parts {
            let mut moved = (*statistic).clone();
            for extreme in moved.highest.iter_mut().chain(&mut moved.lowest) {
                extreme.position = (layout.position)(extreme.position);
            }
            whole.merge(&moved, 0, request.get());
        }
        Some(whole)
    }

    fn check(&self, kept: ExtremeCount, context: &Context<'_>) -> Result<(), ImplausibleAnswer> {
        let Context { moments, span, .. } = context;
        let expected = moments.count.min(kept.get() as u64);
        let is_highest = |a: &Extreme, b: &Extreme| b.value.total_cmp(&a.value);
        check_end(&self.highest, expected, moments.max, span.count, is_highest)?;
        check_end(&self.lowest, expected, moments.min, span.count, |a, b| a.value.total_cmp(&b.value))?;
        let bound = |value: f64| value.clamp(moments.min, moments.max);
        if let Some(value) = self.highest.iter().chain(&self.lowest).map(|it| it.value).find(|it| *it != bound(*it)) {
            return Err(ImplausibleAnswer::Extreme { value, other: bound(value) });
        }
        self.check_ends_against_each_other()
    }

    fn largest_encoded_len(kept: ExtremeCount, _: &ChunkSpan) -> usize {
        // Two lists, each with its length, and with a varint and a binary64 an element.
        2 * (1 + kept.get() * (10 + 8))
    }

    fn reference(values: &[f64], kept: ExtremeCount, _: &ChunkSpan) -> Self {
        let mut extremes = Self::default();
        // A few at a time: microcontrollers compute this for their self-test.
        for (part, values) in values.chunks(kept.get()).enumerate() {
            let first = part * kept.get();
            let finite = values.iter().enumerate().filter(|(_, value)| value.is_finite());
            // Adding zero makes a negative zero positive: which of two zeros comes first is a matter of position.
            let part: Vec<Extreme> =
                finite.map(|(index, value)| Extreme { position: (first + index) as u64, value: value + 0.0 }).collect();
            extremes.merge(&Self { highest: part.clone(), lowest: part }, 0, kept.get());
        }
        extremes
    }

    fn relative_error(&self, expected: &Self) -> f64 {
        if self == expected { 0.0 } else { f64::INFINITY }
    }
}

impl Extremes {
    /// An element that is at both ends has one value, and one that is at the lower end alone is below none of the higher end's.
    fn check_ends_against_each_other(&self) -> Result<(), ImplausibleAnswer> {
        let Some(least) = self.highest.last() else { return Ok(()) };
        for low in &self.lowest {
            let other = match self.highest.iter().find(|high| high.position == low.position) {
                Some(high) if high.value != low.value => high.value,
                None if low.value > least.value => least.value,
                _ => continue,
            };
            return Err(ImplausibleAnswer::Extreme { value: low.value, other });
        }
        Ok(())
    }
}

/// Checks one end of a chunk of `count` elements: as many as expected, the first of them `first`, in order, each once.
fn check_end(
    end: &[Extreme],
    expected: u64,
    first: f64,
    count: u64,
    before: impl Fn(&Extreme, &Extreme) -> core::cmp::Ordering,
) -> Result<(), ImplausibleAnswer> {
    if end.len() as u64 != expected {
        return Err(ImplausibleAnswer::Count { statistic: Extremes::NAME, found: end.len() as u64, expected });
    }
    for (index, extreme) in end.iter().enumerate() {
        let Extreme { position, value } = *extreme;
        if position >= count || end[..index].iter().any(|other| other.position == position) {
            return Err(ImplausibleAnswer::Position { position, count });
        }
        if !value.is_finite() {
            return Err(ImplausibleAnswer::NotFinite { statistic: Extremes::NAME, value });
        }
        if index == 0 && value != first {
            return Err(ImplausibleAnswer::Extreme { value, other: first });
        }
        if let Some(next) = end.get(index + 1)
            && before(extreme, next).then(position.cmp(&next.position)).is_gt()
        {
            return Err(ImplausibleAnswer::Extreme { value, other: next.value });
        }
    }
    Ok(())
}

/// Merges `other`, in any order, into `end`, which is sorted. By insertion: there are few, and a sort is 10 KB of a small program.
fn merge_end(
    end: &mut Vec<Extreme>,
    other: &[Extreme],
    shift: u64,
    k: usize,
    before: impl Fn(&Extreme, &Extreme) -> core::cmp::Ordering,
) {
    for extreme in other {
        let new = Extreme { position: extreme.position + shift, ..*extreme };
        let at = end.partition_point(|kept| before(kept, &new).then(kept.position.cmp(&new.position)).is_le());
        if at < k {
            end.insert(at, new);
            end.truncate(k);
        }
    }
    end.truncate(k);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn extremes_of(values: &[f64], k: u8) -> Extremes {
        let kept = ExtremeCount::new(k).expect("1 to 64");
        Extremes::reference(values, kept, &ChunkSpan { offset: 0, count: values.len() as u64, row: 0 })
    }

    #[test]
    fn farthest_from_any_mean() {
        let extremes = extremes_of(&[5.0, -7.0, 1.0, 5.0, 0.0], 2);
        let positions = |mean| extremes.farthest(mean, 2).iter().map(|extreme| extreme.position).collect::<Vec<_>>();
        assert_eq!(positions(0.0), [1, 0]);
        assert_eq!(positions(-10.0), [0, 3]);
        assert_eq!(positions(10.0), [1, 4]);
    }

    proptest! {
        #[test]
        fn cutting_anywhere_gives_the_same_top(values in prop::collection::vec((-5i32..5).prop_map(f64::from), 0..40), cut in 0usize..40, k in 1u8..6) {
            let cut = cut.min(values.len());
            let mut merged = extremes_of(&values[..cut], k);
            merged.merge(&extremes_of(&values[cut..], k), cut as u64, k.into());
            prop_assert_eq!(merged, extremes_of(&values, k));
        }

        #[test]
        fn farthest_is_what_a_full_sort_finds(values in prop::collection::vec(-9.0..9.0f64, 1..40), mean in -20.0..20.0f64, k in 1u8..6) {
            let mut all: Vec<f64> = values.iter().map(|value| (value - mean).abs()).collect();
            all.sort_by(|a, b| b.total_cmp(a));
            all.truncate(k.into());
            let found: Vec<f64> = extremes_of(&values, k).farthest(mean, k.into()).iter().map(|extreme| (extreme.value - mean).abs()).collect();
            prop_assert_eq!(found, all);
        }
    }
}
