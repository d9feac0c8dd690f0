//! What is learnt of a group before anything is quantized, and which of its elements are.
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

/// The ratio of largest magnitudes in blocks above which a group is quantized in full.
const UNEVEN: f32 = 3.0;

/// The element of largest magnitude in each small block of a group; of equal ones a negative one.
pub(super) type Extremes = [f32; SMALLS];

/// Whether an element stands out so far that samples would not stand for the group.
pub(super) fn is_uneven(extremes: &Extremes) -> bool {
    let (mut least, mut largest) = (f32::INFINITY, 0f32);
    for magnitude in extremes.map(f32::abs) {
        // A block of zeros, such as those that fill up a row, says nothing.
        least = if magnitude < least && magnitude > 0.0 { magnitude } else { least };
        largest = if magnitude > largest { magnitude } else { largest };
    }
    largest > UNEVEN * least
}

/// Surveys groups of finite elements, and appends what was found.
pub(super) fn survey(groups: &[[f32; GROUP]], found: &mut Vec<Extremes>) {
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    if std::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F, as was just asked.
        return unsafe { x86::survey(groups, found) };
    }
    portable(groups, found);
}

#[multiversion(targets("x86_64+avx2"))]
fn portable(groups: &[[f32; GROUP]], found: &mut Vec<Extremes>) {
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

/// The element that a key stands for.
#[inline(always)]
fn value(key: u32) -> f32 {
    f32::from_bits(key.rotate_right(1))
}

/// Elements that share a lane: a group has as many shifts.
const PER_LANE: usize = GROUP / LANES;

/// The shifts at which a group is sampled so that one of `density` elements is, for 16 and more at every second
/// group, fourth and so on: which ones varies from group to group and from row to row, so that no column is always taken or never.
pub(super) fn shifts(row: u64, group: u64, density: usize) -> impl Iterator<Item = u32> {
    let mixed = (row.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ group.wrapping_mul(0xc2b2_ae3d_27d4_eb4f)) >> 32;
    let first = ((mixed as u32).wrapping_mul(0x9e37_79b1) >> 26) as usize % density;
    (first..PER_LANE).step_by(density).map(|shift| shift as u32)
}

/// Where samples are: a group, and which one of every eight of its elements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pick {
    pub(super) group: u32,
    pub(super) shift: u32,
}

/// One element of every eight consecutive ones of a group, that at `shift` among them; every fourth lane is of the same
/// small block. Appends those of each of `picks`; the first of `groups` is the one with the number `begin`.
pub(super) fn sample(groups: &[[f32; GROUP]], begin: u32, picks: &[Pick], taken: &mut Vec<[f32; LANES]>) {
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    if std::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F, as was just asked.
        return unsafe { x86::sample(groups, begin, picks, taken) };
    }
    taken.extend(picks.iter().filter_map(|pick| {
        let group = groups.get((pick.group - begin) as usize)?;
        let shift = pick.shift as usize;
        Some(from_fn(|lane| group[lane % SMALLS * SMALL + lane / SMALLS * PER_LANE + shift % PER_LANE]))
    }));
}

#[cfg(all(target_arch = "x86_64", feature = "std"))]
mod x86 {
    use core::arch::x86_64::*;

    use bytemuck::cast;

    use super::{Extremes, GROUP, LANES, PER_LANE, Pick, SMALLS, Vec, value};

    #[target_feature(enable = "avx512f")]
    pub(super) fn survey(groups: &[[f32; GROUP]], found: &mut Vec<Extremes>) {
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
    pub(super) fn sample(groups: &[[f32; GROUP]], begin: u32, picks: &[Pick], taken: &mut Vec<[f32; LANES]>) {
        taken.reserve(picks.len());
        for pick in picks {
            let Some(group) = groups.get((pick.group - begin) as usize) else { continue };
            // A register holds two eights, and there are four to a small block: lanes from the first and from the second
            // take turns by fours.
            let shift = pick.shift as i32 % PER_LANE as i32;
            let second = _mm512_set1_epi32(shift + PER_LANE as i32);
            let from = _mm512_mask_set1_epi32(second, 0x0f0f, shift);
            let mut samples = _mm512_setzero_ps();
            let (parts, _) = group.as_chunks::<LANES>();
            for (part, lanes) in parts.iter().zip(LANES_OF) {
                samples = _mm512_mask_permutexvar_ps(samples, lanes, from, cast(*part));
            }
            taken.push(cast(samples));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn survey_of(group: &[f32; GROUP]) -> Extremes {
        let mut found = Vec::new();
        survey(core::slice::from_ref(group), &mut found);
        found[0]
    }

    fn samples(group: &[f32; GROUP], shift: u32) -> [f32; LANES] {
        let mut taken = Vec::new();
        sample(core::slice::from_ref(group), 3, &[Pick { group: 3, shift }], &mut taken);
        taken[0]
    }

    #[test]
    fn a_lone_outlier_has_its_group_quantized_in_full() {
        let with = |value: f32| {
            let mut group: [f32; GROUP] = from_fn(|index| if index % 2 == 0 { 1.0 } else { -1.0 });
            group[77] = value;
            is_uneven(&survey_of(&group))
        };
        assert!(with(-3.1) && !with(2.9));
        assert!(!is_uneven(&[0.0; SMALLS]) && !is_uneven(&[1.0, 0.0, -2.0, 0.0]));
    }

    #[test]
    fn every_element_is_sampled_once_at_density_one_and_evenly_at_eight() {
        let group: [f32; GROUP] = from_fn(|index| index as f32);
        let mut seen: Vec<usize> =
            shifts(3, 5, 1).flat_map(|shift| samples(&group, shift)).map(|value| value as usize).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..GROUP).collect::<Vec<_>>());
        let mut times = [0u32; PER_LANE];
        for (row, group) in (0..1000).flat_map(|row| (0..8).map(move |group| (row, group))) {
            let taken: Vec<u32> = shifts(row, group, 8).collect();
            assert_eq!(taken.len(), 1);
            times[taken[0] as usize] += 1;
        }
        assert!(times.iter().all(|times| (800..1200).contains(times)), "{times:?}");
        for (density, expected) in [(16, 1800..2200), (32, 850..1150), (64, 400..600)] {
            let taken: usize = (0..4000).map(|row| shifts(row, 1, density).count()).sum();
            assert!(expected.contains(&taken), "{taken}");
        }
        // Down a column, too, every shift comes up.
        let down: std::collections::HashSet<u32> = (0..64).flat_map(|row| shifts(row, 2, 8)).collect();
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
