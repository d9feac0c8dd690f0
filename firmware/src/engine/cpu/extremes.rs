//! Keeping the smallest and the largest elements of a chunk.

use alloc::vec::Vec;

use kurtoscope_shared::{Extreme, Extremes, statistics::ExtremeCount};
use multiversion::multiversion;

use super::{
    collect::{Block, Collect, Collector},
    decode::Sample,
};
use crate::engine::ChunkSpec;

/// Samples that are looked at together.
const GROUP: usize = 16;

/// Both ends in the making. Samples are compared as they are: a small processor compares f32, and has to emulate f64.
pub struct ExtremesCollector<S> {
    k: usize,
    highest: Vec<Kept<S>>,
    lowest: Vec<Kept<S>>,
}

/// A sample that is among the farthest so far. Chunks have fewer than 2^32 elements, and what is short is quickly moved.
struct Kept<S> {
    value: S,
    position: u32,
}

impl<S: Copy + PartialOrd + Into<f64>> ExtremesCollector<S> {
    pub(in crate::engine) fn keeping(k: usize) -> Self {
        let end = || Vec::with_capacity(k + 1);
        Self { k, highest: end(), lowest: end() }
    }

    /// Whether a sample between `min` and `max` could be among the kept.
    pub(in crate::engine) fn may_take(&self, min: S, max: S) -> bool {
        self.is_high(max) || self.is_low(min)
    }

    fn is_high(&self, value: S) -> bool {
        self.highest.len() < self.k || self.highest.last().is_some_and(|kept| value > kept.value)
    }

    fn is_low(&self, value: S) -> bool {
        self.lowest.len() < self.k || self.lowest.last().is_some_and(|kept| value < kept.value)
    }

    /// Takes one element; ignored unless finite. Positions must rise from call to call.
    // Inlined, its registers would be missing where most elements are passed over.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(in crate::engine) fn offer(&mut self, value: S, position: u64) {
        if !Into::<f64>::into(value).is_finite() {
            return;
        }
        let position = position as u32;
        if self.is_high(value) {
            insert(&mut self.highest, self.k, Kept { value, position }, |kept| kept >= value);
        }
        if self.is_low(value) {
            insert(&mut self.lowest, self.k, Kept { value, position }, |kept| kept <= value);
        }
    }

    pub(in crate::engine) fn extremes(self) -> Extremes {
        let extremes = |end: Vec<Kept<S>>| {
            // Adding zero makes a negative zero positive.
            let extreme =
                |kept: Kept<S>| Extreme { position: kept.position.into(), value: Into::<f64>::into(kept.value) + 0.0 };
            end.into_iter().map(extreme).collect()
        };
        Extremes { highest: extremes(self.highest), lowest: extremes(self.lowest) }
    }
}

impl Collect for Extremes {
    type Collector<'a, S: Sample> = ExtremesCollector<S>;
}

impl<S: Sample> Collector<'_, S> for ExtremesCollector<S> {
    type Statistic = Extremes;

    fn new(kept: ExtremeCount, _: &ChunkSpec, _: &[u8]) -> Self {
        Self::keeping(kept.get())
    }

    fn take(&mut self, block: &Block<'_, S>) {
        self.search(block.samples, block.position, block.min, block.max);
    }

    fn take_irregular(&mut self, samples: &[S], position: u64) {
        for (index, sample) in samples.iter().enumerate() {
            self.offer(*sample, position + index as u64);
        }
    }

    fn finish(self) -> Extremes {
        self.extremes()
    }
}

impl<S: Sample> ExtremesCollector<S> {
    /// Takes a block of finite samples between `min` and `max`, the first of them at `position`.
    fn search(&mut self, block: &[S], position: u64, min: S, max: S) {
        if !self.may_take(min, max) {
            return;
        }
        // Where there are no vector instructions, looking at groups first would only be looking twice.
        if cfg!(not(feature = "std")) {
            return self.scan(block, position);
        }
        let mut from = 0;
        loop {
            let (below, above) = self.thresholds();
            let Some(start) = group_outside(block, from, below, above) else { return };
            from = block.len().min(start + GROUP);
            self.scan(&block[start..from], position + start as u64);
        }
    }

    fn scan(&mut self, samples: &[S], position: u64) {
        let (mut below, mut above) = self.thresholds();
        for (index, sample) in samples.iter().enumerate() {
            if *sample > above || *sample < below {
                self.offer(*sample, position + index as u64);
                (below, above) = self.thresholds();
            }
        }
    }

    /// What a finite sample must fall below or exceed to be kept.
    fn thresholds(&self) -> (S, S) {
        let threshold = |end: &[Kept<S>], open: S, shut: S| {
            if end.len() < self.k { open } else { end.last().map_or(shut, |kept| kept.value) }
        };
        (threshold(&self.lowest, S::INFINITY, S::NEG_INFINITY), threshold(&self.highest, S::NEG_INFINITY, S::INFINITY))
    }
}

/// Puts `new` behind everything that `stays_before` it and drops what is then beyond `k`.
fn insert<S: Copy>(end: &mut Vec<Kept<S>>, k: usize, new: Kept<S>, stays_before: impl Fn(S) -> bool) {
    let at = end.partition_point(|kept| stays_before(kept.value));
    end.insert(at, new);
    end.truncate(k);
}

/// Where the next group starts, at or behind `from`, that has a sample below `below` or above `above`.
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
