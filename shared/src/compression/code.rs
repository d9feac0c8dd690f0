//! The prefix code of a compressed plane: lengths from counts, canonical codes from lengths, and the table that decodes
//! them.

/// The longest code, bits.
pub(super) const MAX_BITS: usize = 11;
/// Bytes that hold the code lengths of all values.
pub(super) const LENGTHS_BYTES: usize = 128;

/// Lengths of a complete code for the values that occur, of which there are at least two, none above [`MAX_BITS`].
pub(super) fn limited_lengths(counts: &[u32; 256]) -> [u8; 256] {
    let mut counts = *counts;
    loop {
        let lengths = huffman_lengths(&counts);
        if lengths.iter().all(|&length| usize::from(length) <= MAX_BITS) {
            return lengths;
        }
        // Flatter counts give shorter codes; 256 equal ones give 8 bits, so this ends.
        for count in counts.iter_mut().filter(|count| **count > 0) {
            *count = (*count / 2) | 1;
        }
    }
}

/// Huffman's code lengths, by merging the two rarest trees until one is left.
fn huffman_lengths(counts: &[u32; 256]) -> [u8; 256] {
    const NODES: usize = 512;
    let mut weights = [0u64; NODES];
    let mut parents = [0usize; NODES];
    let mut leaves = [0usize; 256];
    let mut used = 0;
    for value in (0..256).filter(|&value| counts[value] > 0) {
        weights[value] = u64::from(counts[value]);
        leaves[used] = value;
        used += 1;
    }
    leaves[..used].sort_unstable_by_key(|&value| (weights[value], value));
    // Merged trees come out in order of weight, so two queues do for a heap.
    let (mut leaf, mut merged, mut end) = (0, 256, 256);
    for _ in 1..used {
        let mut lightest = || {
            let from_leaves = leaf < used && (merged == end || weights[leaves[leaf]] <= weights[merged]);
            let queue = if from_leaves { &mut leaf } else { &mut merged };
            *queue += 1;
            if from_leaves { leaves[*queue - 1] } else { *queue - 1 }
        };
        let (a, b) = (lightest(), lightest());
        weights[end] = weights[a] + weights[b];
        (parents[a], parents[b]) = (end, end);
        end += 1;
    }
    let mut depths = [0u8; NODES];
    for node in (256..end.saturating_sub(1)).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    let mut lengths = [0; 256];
    for &value in &leaves[..used] {
        lengths[value] = depths[parents[value]] + 1;
    }
    lengths
}

/// The code of each value with its leading bit lowest, as the streams hold it.
pub(super) fn canonical_codes(lengths: &[u8; 256]) -> [u16; 256] {
    let mut codes = [0; 256];
    let mut code = 0u16;
    for length in 1..=MAX_BITS {
        code <<= 1;
        for value in (0..256).filter(|&value| usize::from(lengths[value]) == length) {
            codes[value] = code.reverse_bits() >> (16 - length);
            code = code.wrapping_add(1);
        }
    }
    codes
}

/// What the next [`MAX_BITS`] bits begin with: a value and the length of its code.
#[derive(Debug)]
pub(super) struct DecodingTable([[u8; 2]; 1 << MAX_BITS]);

impl DecodingTable {
    /// Reads compressed code lengths; `None` when they are no complete code.
    pub(super) fn new(compressed: &[u8]) -> Option<Self> {
        let mut lengths = [0; 256];
        for (pair, byte) in lengths.chunks_exact_mut(2).zip(compressed) {
            pair.copy_from_slice(&[byte & 15, byte >> 4]);
        }
        let mut filled = 0;
        for length in lengths.iter().map(|&length| usize::from(length)).filter(|&length| length > 0) {
            filled += 1usize << MAX_BITS.checked_sub(length)?;
        }
        if filled != 1 << MAX_BITS {
            return None;
        }
        let codes = canonical_codes(&lengths);
        let mut table = [[0; 2]; 1 << MAX_BITS];
        for value in 0..=u8::MAX {
            let (length, code) = (lengths[usize::from(value)], codes[usize::from(value)]);
            if length > 0 {
                for entry in table[usize::from(code)..].iter_mut().step_by(1 << length) {
                    *entry = [value, length];
                }
            }
        }
        Some(Self(table))
    }

    /// The value at the front of `bits`, and how many of them it takes.
    #[inline]
    pub(super) fn read(&self, bits: u64) -> (u8, u8) {
        let [value, length] = self.0[bits as usize & ((1 << MAX_BITS) - 1)];
        (value, length)
    }
}
