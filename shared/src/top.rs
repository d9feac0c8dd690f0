//! The elements at both ends of a set, with their positions.
//!
//! A chunk's distance from the *tensor's* mean is not known while the chunk is measured. So a report keeps the `k`
//! smallest and the `k` largest elements: wherever the mean turns out to lie, the `k` elements farthest from it are
//! among those. Ties keep the lower position, so the result does not depend on how the data was cut.

use alloc::vec::Vec;

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// An element and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Schema)]
pub struct Extreme {
    /// Position, counted in elements from the start of what was measured.
    pub position: u64,
    /// The element's value, finite.
    pub value: f64,
}

/// The `k` smallest and the `k` largest finite elements.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Schema)]
pub struct Top {
    /// Largest first; equal values in order of position.
    pub highest: Vec<Extreme>,
    /// Smallest first; equal values in order of position.
    pub lowest: Vec<Extreme>,
}

impl Top {
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

    /// Whether every value is finite and every position below `count`. A device's answer is checked with this.
    pub fn is_valid(&self, count: u64) -> bool {
        self.highest.iter().chain(&self.lowest).all(|extreme| extreme.value.is_finite() && extreme.position < count)
    }
}

fn merge_end(
    end: &mut Vec<Extreme>,
    other: &[Extreme],
    shift: u64,
    k: usize,
    before: impl Fn(&Extreme, &Extreme) -> core::cmp::Ordering,
) {
    end.extend(other.iter().map(|extreme| Extreme { position: extreme.position + shift, ..*extreme }));
    end.sort_by(|a, b| before(a, b).then(a.position.cmp(&b.position)));
    end.truncate(k);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn top_of(values: &[f64], k: usize) -> Top {
        let all = values.iter().enumerate().map(|(index, value)| Extreme { position: index as u64, value: *value });
        let mut top = Top::default();
        top.merge(&Top { highest: all.clone().collect(), lowest: all.collect() }, 0, k);
        top
    }

    #[test]
    fn farthest_from_any_mean() {
        let top = top_of(&[5.0, -7.0, 1.0, 5.0, 0.0], 2);
        let positions = |mean| top.farthest(mean, 2).iter().map(|extreme| extreme.position).collect::<Vec<_>>();
        assert_eq!(positions(0.0), [1, 0]);
        assert_eq!(positions(-10.0), [0, 3]);
        assert_eq!(positions(10.0), [1, 4]);
    }

    #[test]
    fn positions_beyond_the_chunk_are_invalid() {
        assert!(top_of(&[1.0, 2.0], 4).is_valid(2));
        assert!(!top_of(&[1.0, 2.0], 4).is_valid(1));
        assert!(!top_of(&[f64::NAN], 4).is_valid(1));
    }

    proptest! {
        #[test]
        fn cutting_anywhere_gives_the_same_top(values in prop::collection::vec((-5i32..5).prop_map(f64::from), 0..40), cut in 0usize..40, k in 1usize..6) {
            let cut = cut.min(values.len());
            let mut merged = top_of(&values[..cut], k);
            merged.merge(&top_of(&values[cut..], k), cut as u64, k);
            prop_assert_eq!(merged, top_of(&values, k));
        }

        #[test]
        fn farthest_is_what_a_full_sort_finds(values in prop::collection::vec(-9.0..9.0f64, 1..40), mean in -20.0..20.0f64, k in 1usize..6) {
            let mut all: Vec<f64> = values.iter().map(|value| (value - mean).abs()).collect();
            all.sort_by(|a, b| b.total_cmp(a));
            all.truncate(k);
            let found: Vec<f64> = top_of(&values, k).farthest(mean, k).iter().map(|extreme| (extreme.value - mean).abs()).collect();
            prop_assert_eq!(found, all);
        }
    }
}
