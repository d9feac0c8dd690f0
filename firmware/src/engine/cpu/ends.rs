//! Keeping the smallest and the largest elements of a chunk.

use alloc::vec::Vec;

use kurtoscope_shared::{Extreme, Top};
use multiversion::multiversion;

use super::decode::Sample;

/// Samples that are looked at together.
const GROUP: usize = 16;

/// Both ends in the making.
pub(in crate::engine) struct Ends {
    k: usize,
    top: Top,
    /// The value that an element must exceed to be among the `k` largest.
    above: f64,
    /// The value that an element must fall below to be among the `k` smallest.
    below: f64,
}

impl Ends {
    pub(in crate::engine) fn new(k: usize) -> Self {
        // With nothing to keep, no finite value exceeds or falls below these.
        let (above, below) =
            if k == 0 { (f64::INFINITY, f64::NEG_INFINITY) } else { (f64::NEG_INFINITY, f64::INFINITY) };
        let ends = || Vec::with_capacity(k + 1);
        Self { k, top: Top { highest: ends(), lowest: ends() }, above, below }
    }

    /// Whether a sample between `min` and `max` could be among the kept.
    pub(in crate::engine) fn may_take(&self, min: f64, max: f64) -> bool {
        max > self.above || min < self.below
    }

    /// Takes a block of finite samples between `min` and `max`, the first of them at `position`.
    pub(super) fn search<S: Sample>(&mut self, block: &[S], position: u64, min: f64, max: f64) {
        if !self.may_take(min, max) {
            return;
        }
        let mut from = 0;
        while let Some(start) = group_outside(block, from, S::from_f64(self.below), S::from_f64(self.above)) {
            from = block.len().min(start + GROUP);
            for (index, sample) in block[start..from].iter().enumerate() {
                let value = (*sample).into();
                if value > self.above || value < self.below {
                    self.offer(value, position + (start + index) as u64);
                }
            }
        }
    }

    /// Takes one element; ignored unless finite. Positions must rise from call to call.
    pub(in crate::engine) fn offer(&mut self, value: f64, position: u64) {
        if !value.is_finite() {
            return;
        }
        let value = value + 0.0;
        if value > self.above {
            insert(&mut self.top.highest, self.k, Extreme { position, value }, |kept| kept >= value);
            self.above = threshold(&self.top.highest, self.k, f64::NEG_INFINITY);
        }
        if value < self.below {
            insert(&mut self.top.lowest, self.k, Extreme { position, value }, |kept| kept <= value);
            self.below = threshold(&self.top.lowest, self.k, f64::INFINITY);
        }
    }

    pub(in crate::engine) fn finish(self) -> Top {
        self.top
    }
}

/// Puts `extreme` behind everything that `stays_before` it and drops what is then beyond `k`.
fn insert(end: &mut Vec<Extreme>, k: usize, extreme: Extreme, stays_before: impl Fn(f64) -> bool) {
    let at = end.partition_point(|kept| stays_before(kept.value));
    end.insert(at, extreme);
    end.truncate(k);
}

fn threshold(end: &[Extreme], k: usize, open: f64) -> f64 {
    if end.len() < k { open } else { end.last().map_or(open, |extreme| extreme.value) }
}

/// Where the next group starts, at or behind `from`, that has a sample below `below` or above `above`.
///
/// The thresholds are samples or infinite, so comparing as samples does not round them.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2"))]
fn group_outside<S: Sample>(block: &[S], from: usize, below: S, above: S) -> Option<usize> {
    let (groups, rest) = block[from..].as_chunks::<GROUP>();
    for (number, group) in groups.iter().enumerate() {
        let mut outside = [false; GROUP];
        for (outside, sample) in outside.iter_mut().zip(group) {
            *outside = (*sample < below) | (*sample > above);
        }
        if outside.iter().fold(false, |any, outside| any | outside) {
            return Some(from + number * GROUP);
        }
    }
    rest.iter().any(|sample| *sample < below || *sample > above).then_some(from + groups.len() * GROUP)
}
