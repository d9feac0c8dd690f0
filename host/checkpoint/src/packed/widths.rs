//! How many bits MLX's codes have where nothing states it: what all weights of a checkpoint agree on.

use std::collections::BTreeSet;

/// Bits of MLX's affine codes.
const BITS: [u64; 7] = [1, 2, 3, 4, 5, 6, 8];

/// Groups of MLX's affine codes.
const GROUPS: [u64; 3] = [32, 64, 128];

/// The pairs of bits and group that make rows of so many words and scales.
pub(super) fn candidates(words: u64, groups: u64) -> Vec<(u64, u64)> {
    let pairs = BITS.into_iter().flat_map(|bits| GROUPS.map(|group| (bits, group)));
    let row = words.checked_mul(32);
    pairs.filter(|(bits, group)| row.is_some() && row == groups.checked_mul(bits * group)).collect()
}

/// The pair for which the columns of every weight, given as words and scales of a row, are the length of something else
/// in the checkpoint; `None` if there is no such pair or several.
pub(super) fn agreed(rows: &[(u64, u64)], lengths: &BTreeSet<u64>) -> Option<(u64, u64)> {
    let &(words, groups) = rows.first()?;
    let explains = |&(bits, group): &(u64, u64)| {
        rows.iter().all(|&(words, groups)| {
            candidates(words, groups).contains(&(bits, group)) && lengths.contains(&(groups * group))
        })
    };
    let mut agreed = candidates(words, groups).into_iter().filter(explains);
    agreed.next().filter(|_| agreed.next().is_none())
}
