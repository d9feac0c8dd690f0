//! A chunk's largest and smallest elements, from the extremes of its units.
//!
//! The `k` largest elements are in units whose largest is at least the `k`th largest of the units' maxima. They
//! are few, and the chunk's bytes are still in memory: the processor reads their elements alone, for exact values
//! and positions.

use alloc::vec::Vec;

use kurtoscope_shared::{Element, Extremes};

use super::{
    kernel::{GREATEST, LEAST},
    layout::{Layout, UNITS},
    sums::value,
};
use crate::engine::cpu::ExtremesCollector;

/// The `k` smallest and `k` largest elements of `bytes`, of which a submission gave these `partials`.
pub(super) fn search(bytes: &[u8], element: Element, partials: &[u32], layout: &Layout, k: usize) -> Extremes {
    let units = layout.units();
    let least = &partials[LEAST * units..][..units];
    let greatest = &partials[GREATEST * units..][..units];
    let enough = threshold(greatest.to_vec(), k, |a, b| b.cmp(a)).unwrap_or(0);
    let little = threshold(least.to_vec(), k, Ord::cmp).unwrap_or(u32::MAX);
    let mut collector = ExtremesCollector::keeping(k);
    let mut found = Vec::new();
    // A cube's elements come before those of the next, so equal elements keep the order of their positions.
    for (cube, (least, greatest)) in least.chunks(UNITS as usize).zip(greatest.chunks(UNITS as usize)).enumerate() {
        let low = least.iter().min().copied().unwrap_or(u32::MAX);
        let high = greatest.iter().max().copied().unwrap_or(0);
        if low > high || (low > little && high < enough) || !collector.may_take(value(low), value(high)) {
            continue;
        }
        found.clear();
        for (place, (least, greatest)) in least.iter().zip(greatest).enumerate() {
            // A unit without a finite element has its extremes the wrong way round.
            if least <= greatest && (*least <= little || *greatest >= enough) {
                found.extend(layout.elements_of(cube * UNITS as usize + place).flatten());
            }
        }
        found.sort_unstable();
        for position in &found {
            let at = *position as usize * element.size();
            if let Some(value) = bytes.get(at..).and_then(|bytes| element.decode(bytes)) {
                collector.offer(value, *position);
            }
        }
    }
    collector.extremes()
}

/// The `k`th key in the order of `before`; `None` where there are fewer.
fn threshold(mut keys: Vec<u32>, k: usize, before: impl Fn(&u32, &u32) -> core::cmp::Ordering) -> Option<u32> {
    (k > 0 && k <= keys.len()).then(|| *keys.select_nth_unstable_by(k - 1, before).1)
}
