//! The survey of a group before it is quantized: its blocks' extremes, and which of its elements are quantized.
//!
//! Twelve schemes for every element would cost several times what all else does that an engine measures. So of large
//! tensors one element of up to 64 is quantized, spread evenly, which leaves the sum of squared errors with a relative
//! standard deviation of about `1 / √samples`: errors go with the scale, and every block's scale is known. They are
//! not alike where one element stands out, so a group in which the largest magnitude of one block of 32 is more than three
//! times that of another is quantized in full, and so is a row of which the same holds for its groups, six times. The choice
//! depends on the group, its row and its place alone, so that every way of cutting a tensor into whole rows gives the same
//! sums, up to rounding.

use alloc::vec::Vec;
use core::array::from_fn;

use kurtoscope_shared::quantization::LARGEST_BLOCK as GROUP;
use multiversion::multiversion;

use super::{SMALL, SMALLS, vector::LANES};

/// The element of largest magnitude in each small block of a group; of equal ones a negative one.
pub(super) type BlockExtremes = [f32; SMALLS];

/// The largest and the least of some magnitudes that are not zero: a block of zeros, such as those that fill up a row,
/// is left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Magnitudes {
    pub(super) largest: f32,
    /// One less than the bits of the least. Magnitudes are in the order of their bits, and zero comes last this way.
    below_least: u32,
}

impl Magnitudes {
    pub(super) const NONE: Self = Self { largest: 0.0, below_least: u32::MAX };

    #[inline(always)]
    pub(super) fn of(extremes: &BlockExtremes) -> Self {
        let mut magnitudes = Self::NONE;
        for extreme in extremes {
            magnitudes.include(extreme.abs());
        }
        magnitudes
    }

    #[inline(always)]
    pub(super) fn include(&mut self, magnitude: f32) {
        self.largest = if magnitude > self.largest { magnitude } else { self.largest };
        self.below_least = self.below_least.min(magnitude.to_bits().wrapping_sub(1));
    }

    /// Whether something stands out by more than `factor`, so that samples would not represent the rest.
    #[inline(always)]
    pub(super) fn differ_by(&self, factor: f32) -> bool {
        self.largest > factor * f32::from_bits(self.below_least.wrapping_add(1))
    }
}

/// Surveys groups of finite elements, and appends what was found.
pub(super) fn survey(groups: &[[f32; GROUP]], found: &mut Vec<BlockExtremes>) {
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    if std::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F, as was just checked.
        return unsafe { x86::survey(groups, found) };
    }
    portable(groups, found);
}

#[multiversion(targets("x86_64+avx2"))]
fn portable(groups: &[[f32; GROUP]], found: &mut Vec<BlockExtremes>) {
    for group in groups {
        let mut keys = [[0u32; LANES]; SMALLS];
        for (small, keys) in group.as_chunks::<SMALL>().0.iter().zip(&mut keys) {
            for part in small.as_chunks::<LANES>().0 {
                for lane in 0..LANES {
                    keys[lane] = keys[lane].max(key(part[lane]));
                }
            }
        }
        // Halves are folded onto each other, for all blocks at once.
        let mut width = LANES / 2;
        while width > 0 {
            for keys in &mut keys {
                for lane in 0..width {
                    keys[lane] = keys[lane].max(keys[lane + width]);
                }
            }
            width /= 2;
        }
        found.push(keys.map(|keys| value(keys[0])));
    }
}

/// The magnitude with the sign as the lowest bit behind it: an order in which the largest magnitude is the largest number.
#[inline(always)]
fn key(value: f32) -> u32 {
    value.to_bits().rotate_left(1)
}

/// The element that a key encodes.
#[inline(always)]
fn value(key: u32) -> f32 {
    f32::from_bits(key.rotate_right(1))
}

/// Elements that share a lane: a group has as many shifts.
pub(super) const PER_LANE: usize = GROUP / LANES;

/// The first of the shifts at which a group is sampled so that one of `stride` elements is, a power of two; for 16 and
/// more only every second group has one, fourth and so on: which ones varies from group to group and from row to row, so that
/// no column is always taken or never.
#[inline(always)]
pub(super) fn first_shift(row: u64, group: u64, stride: usize) -> usize {
    let mixed = (row.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ group.wrapping_mul(0xc2b2_ae3d_27d4_eb4f)) >> 32;
    (mixed as u32).wrapping_mul(0x9e37_79b1) as usize >> 26 & (stride - 1)
}

/// One element of every eight consecutive ones of a group, that at `first` among them, and again every `stride` from
/// there. Every fourth lane is of the same small block. Appends them.
pub(super) fn sample(group: &[f32; GROUP], first: usize, stride: usize, taken: &mut Vec<[f32; LANES]>) {
    let mut shift = first;
    while shift < PER_LANE {
        taken.push(sample_at(group, shift));
        shift += stride;
    }
}

fn sample_at(group: &[f32; GROUP], shift: usize) -> [f32; LANES] {
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    if std::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F, as was just checked.
        return unsafe { x86::sample(group, shift) };
    }
    from_fn(|lane| group[lane % SMALLS * SMALL + lane / SMALLS * PER_LANE + shift % PER_LANE])
}

#[cfg(all(target_arch = "x86_64", feature = "std"))]
mod x86 {
    use core::arch::x86_64::*;

    use bytemuck::cast;

    use super::{BlockExtremes, GROUP, LANES, PER_LANE, SMALLS, Vec, value};

    #[target_feature(enable = "avx512f")]
    pub(super) fn survey(groups: &[[f32; GROUP]], found: &mut Vec<BlockExtremes>) {
        found.reserve(groups.len());
        for group in groups {
            let mut keys = [_mm512_setzero_si512(); SMALLS];
            let (parts, _) = group.as_chunks::<LANES>();
            for (number, part) in parts.iter().enumerate() {
                let keys = &mut keys[number * LANES / (GROUP / SMALLS)];
                *keys = _mm512_max_epu32(*keys, _mm512_rol_epi32::<1>(cast(*part)));
            }
            // The blocks' keys take turns in every four lanes, while their number is halved twice.
            let [a, b, c, d] = keys;
            let ab = _mm512_max_epu32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let cd = _mm512_max_epu32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
            let all = _mm512_max_epu32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
            let half = _mm256_max_epu32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64::<1>(all));
            let extremes = _mm_max_epu32(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half));
            found.push(cast::<_, [u32; SMALLS]>(extremes).map(value));
        }
    }

    /// The lanes that samples from each register of a group go to.
    const LANES_OF: [u16; GROUP / LANES] = [0x0011, 0x1100, 0x0022, 0x2200, 0x0044, 0x4400, 0x0088, 0x8800];

    #[target_feature(enable = "avx512f")]
    pub(super) fn sample(group: &[f32; GROUP], shift: usize) -> [f32; LANES] {
        // A register holds two eights, and there are four to a small block: lanes from the first and from the second
        // take turns by fours.
        let shift = (shift % PER_LANE) as i32;
        let second = _mm512_set1_epi32(shift + PER_LANE as i32);
        let from = _mm512_mask_set1_epi32(second, 0x0f0f, shift);
        let mut samples = _mm512_setzero_ps();
        let (parts, _) = group.as_chunks::<LANES>();
        for (part, lanes) in parts.iter().zip(LANES_OF) {
            samples = _mm512_mask_permutexvar_ps(samples, lanes, from, cast(*part));
        }
        cast(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn survey_of(group: &[f32; GROUP]) -> BlockExtremes {
        let mut found = Vec::new();
        survey(core::slice::from_ref(group), &mut found);
        found[0]
    }

    fn shifts(row: u64, group: u64, stride: usize) -> impl Iterator<Item = usize> {
        (first_shift(row, group, stride)..PER_LANE).step_by(stride)
    }

    #[test]
    fn a_lone_outlier_has_its_group_quantized_in_full() {
        let with = |value: f32| {
            let mut group: [f32; GROUP] = from_fn(|index| if index % 2 == 0 { 1.0 } else { -1.0 });
            group[77] = value;
            Magnitudes::of(&survey_of(&group)).differ_by(3.0)
        };
        assert!(with(-3.1) && !with(2.9));
        let differ = |extremes: BlockExtremes| Magnitudes::of(&extremes).differ_by(3.0);
        assert!(!differ([0.0; SMALLS]) && !differ([1.0, 0.0, -2.0, -0.0]));
    }

    #[test]
    fn every_element_is_sampled_once_at_density_one_and_evenly_at_eight() {
        let group: [f32; GROUP] = from_fn(|index| index as f32);
        let mut seen: Vec<usize> =
            shifts(3, 5, 1).flat_map(|shift| sample_at(&group, shift)).map(|value| value as usize).collect();
        seen.sort_unstable();
        let mut taken = Vec::new();
        sample(&group, 1, 4, &mut taken);
        assert_eq!(taken, [sample_at(&group, 1), sample_at(&group, 5)]);
        assert_eq!(seen, (0..GROUP).collect::<Vec<_>>());
        let mut times = [0u32; PER_LANE];
        for (row, group) in (0..1000).flat_map(|row| (0..8).map(move |group| (row, group))) {
            let taken: Vec<usize> = shifts(row, group, 8).collect();
            assert_eq!(taken.len(), 1);
            times[taken[0]] += 1;
        }
        assert!(times.iter().all(|times| (800..1200).contains(times)), "{times:?}");
        for (stride, expected) in [(16, 1800..2200), (32, 850..1150), (64, 400..600)] {
            let taken: usize = (0..4000).map(|row| shifts(row, 1, stride).count()).sum();
            assert!(expected.contains(&taken), "{taken}");
        }
        // Down a column, too, every shift comes up.
        let down: std::collections::HashSet<usize> = (0..64).flat_map(|row| shifts(row, 2, 8)).collect();
        assert_eq!(down.len(), PER_LANE);
    }

    proptest! {
        #[test]
        fn extremes_are_those_of_a_plain_search(values in prop::collection::vec(-1e3f32..1e3, GROUP)) {
            let group: &[f32; GROUP] = values.as_slice().try_into().expect("a group");
            let found = survey_of(group);
            let mut plain = Vec::new();
            portable(core::slice::from_ref(group), &mut plain);
            prop_assert_eq!(plain[0], found);
            for (extreme, values) in found.iter().zip(group.as_chunks::<SMALL>().0) {
                let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
                prop_assert_eq!(extreme.abs(), largest);
                prop_assert!(values.contains(extreme));
            }
        }
    }
}
