//! The scales of every small block of some groups, scheme by scheme, before the kernel goes over the samples.

use kurtoscope_shared::quantization::mxfp4_scale;
use multiversion::multiversion;

use super::{GROUPS, SAFE, SMALLS as SMALLS_IN_GROUP, survey::BlockExtremes};

/// Small blocks in the groups whose scales are found together.
const SMALLS: usize = GROUPS * SMALLS_IN_GROUP;

/// Small blocks whose neighbours are among them.
const NEIGHBOURS: usize = 8;

/// One number for every small block.
pub(super) type BySmall = [f32; SMALLS];

/// The scales of a scheme's levels, for every small block.
pub(super) struct Levels {
    /// One over the scale; 0 for a block of zeros.
    pub(super) inverse: BySmall,
    /// The scale as it is stored.
    pub(super) kept: BySmall,
}

impl Levels {
    const ZERO: Self = Self { inverse: [0.0; SMALLS], kept: [0.0; SMALLS] };
}

/// The scales of some groups.
pub(super) struct Scales {
    /// 8 bits for 32, 64 and 128 elements, and for a row.
    pub(super) int8: [Levels; 4],
    /// 4 bits for 32, 64 and 128 elements, and for a row.
    pub(super) int4: [Levels; 4],
    /// The scale of Q8_0, whose codes are those of 8 bits for 32 elements.
    pub(super) q8_0: BySmall,
    pub(super) q4_0: Levels,
    pub(super) nf4: Levels,
    pub(super) mxfp4: Levels,
}

impl Scales {
    pub(super) const ZERO: Self = Self {
        int8: [Levels::ZERO; 4],
        int4: [Levels::ZERO; 4],
        q8_0: [0.0; SMALLS],
        q4_0: Levels::ZERO,
        nf4: Levels::ZERO,
        mxfp4: Levels::ZERO,
    };
}

/// Finds the scales of at most [`GROUPS`] groups from the extremes of their blocks and the largest magnitudes in their rows,
/// and returns whether all of them are in the range where binary32 holds errors well.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2"))]
pub(super) fn find(scales: &mut Scales, surveys: &[BlockExtremes], row_largest: &[BlockExtremes]) -> bool {
    let mut extremes = [0f32; SMALLS];
    let (mut largest, mut inverse) = ([[0f32; SMALLS]; 4], [[0f32; SMALLS]; 4]);
    let count = surveys.len().min(GROUPS) * SMALLS_IN_GROUP;
    extremes[..count].copy_from_slice(&surveys.as_flattened()[..count]);
    largest[3][..count].copy_from_slice(&row_largest.as_flattened()[..count]);
    let mut are_safe = true;
    for small in 0..SMALLS {
        largest[0][small] = extremes[small].abs();
        are_safe &= is_safe(largest[0][small]) & is_safe(largest[3][small]);
    }
    for small in 0..SMALLS {
        inverse[0][small] = 1.0 / largest[0][small];
        inverse[3][small] = 1.0 / largest[3][small];
    }
    // The inverse of the larger one is the smaller of both inverses, so that no more has to be divided.
    let [largest_32, largest_64, largest_128, _] = &mut largest;
    let [inverse_32, inverse_64, inverse_128, _] = &mut inverse;
    of_both::<1>(largest_32, largest_64, larger);
    of_both::<2>(largest_64, largest_128, larger);
    of_both::<1>(inverse_32, inverse_64, smaller);
    of_both::<2>(inverse_64, inverse_128, smaller);
    // Loops over whole arrays, one a line of them, are what compilers put into registers.
    for (((int8, int4), largest), inverse) in
        scales.int8.iter_mut().zip(&mut scales.int4).zip(&largest).zip(&mut inverse)
    {
        for small in 0..SMALLS {
            inverse[small] = if largest[small] < f32::MIN_POSITIVE { 0.0 } else { inverse[small] };
            int8.inverse[small] = inverse[small] * 127.0;
            int8.kept[small] = largest[small] * (1.0 / 127.0);
            int4.inverse[small] = inverse[small] * 7.0;
            int4.kept[small] = largest[small] * (1.0 / 7.0);
        }
    }
    for small in 0..SMALLS {
        // Divided, as where it is defined: a product may be rounded to the other side of the middle of two halves.
        scales.q8_0[small] = nearest_half(largest[0][small] / 127.0);
        scales.q4_0.kept[small] = nearest_half(extremes[small] * -0.125);
        scales.q4_0.inverse[small] = (inverse[0][small] * 8.0).copysign(-extremes[small]);
        scales.mxfp4.kept[small] = mxfp4_scale(largest[0][small]);
        scales.mxfp4.inverse[small] = inverse_power(scales.mxfp4.kept[small]);
    }
    (scales.nf4.kept, scales.nf4.inverse) = (largest[1], inverse[1]);
    are_safe
}

#[inline(always)]
fn is_safe(largest: f32) -> bool {
    (largest == 0.0) | SAFE.contains(&largest)
}

/// What `pick` makes of each number and its neighbour, the one whose place differs in the bit `NEIGHBOUR`.
#[inline(always)]
fn of_both<const NEIGHBOUR: usize>(from: &BySmall, to: &mut BySmall, pick: impl Fn(f32, f32) -> f32) {
    for (from, to) in from.as_chunks::<NEIGHBOURS>().0.iter().zip(to.as_chunks_mut::<NEIGHBOURS>().0) {
        for place in 0..NEIGHBOURS {
            to[place] = pick(from[place], from[place ^ NEIGHBOUR]);
        }
    }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

/// One over a power of two, or 0 over 0.
#[inline(always)]
fn inverse_power(power: f32) -> f32 {
    /// The bits of one, twice: exponents of a number and its inverse add up to this.
    const TWICE_ONE: u32 = 2 * 1f32.to_bits();
    if power == 0.0 { 0.0 } else { f32::from_bits(TWICE_ONE.wrapping_sub(power.to_bits())) }
}

/// The binary16 nearest to `x`, ties to even; infinite from 65520.
#[inline(always)]
fn nearest_half(x: f32) -> f32 {
    /// Whose last place is the distance of subnormal halves, 2^-24.
    const SUBNORMAL_SHIFT: f32 = 0.5;
    const SMALLEST_NORMAL: f32 = 1.0 / 16_384.0;
    const SIGN: u32 = 0x8000_0000;
    let bits = x.to_bits();
    // 13 bits of the 23 go: half of the last place that stays is added, less one where that place is even.
    let normal = f32::from_bits((bits + 0x0fff + ((bits >> 13) & 1)) & !0x1fff);
    let magnitude = x.abs();
    let subnormal = f32::from_bits(((magnitude + SUBNORMAL_SHIFT) - SUBNORMAL_SHIFT).to_bits() | (bits & SIGN));
    let infinite = f32::from_bits(f32::INFINITY.to_bits() | (bits & SIGN));
    let finite = if magnitude < SMALLEST_NORMAL { subnormal } else { normal };
    if magnitude < 65_520.0 { finite } else { infinite }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::nearest_half;

    proptest! {
        #[test]
        fn halves_are_those_of_the_crate(bits in 0u32..0x7f80_0000, negative: bool) {
            let x = f32::from_bits(bits);
            let x = if negative { -x } else { x };
            prop_assert_eq!(nearest_half(x).to_bits(), f16::from_f32(x).to_f32().to_bits());
        }

        #[test]
        fn halves_of_usual_scales_are_those_of_the_crate(x in -1e-3f32..1e-3) {
            prop_assert_eq!(nearest_half(x), f16::from_f32(x).to_f32());
        }
    }
}
