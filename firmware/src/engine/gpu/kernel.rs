//! The kernel: one pass over a chunk, from raw words to one partial result a unit and one histogram.
//!
//! Written for the smallest adapters that are worth it: 256 units a cube, 8 KiB of shared memory, three storage buffers,
//! 32-bit arithmetic, no subgroup operations. Elements are classified by their bits: shader compilers may assume
//! that NaN and infinities do not exist, and adapters may flush subnormal numbers to zero.
//!
//! Sums are taken of `y = (x - pivot) * 2^scale` and its powers. They run in three levels of at most 16 terms, so that
//! what one unit loses by rounding stays near the last bit of a binary32.

use cubecl::prelude::*;
use kurtoscope_shared::statistics::histogram::{BIN_SHIFT, BINS};

use super::layout::{Format, GROUP_TILES, TILE_WORDS, UNITS};

/// Words of a unit's partial result, each kept in a row of its own.
pub(super) const ROWS: usize = 9;
/// Row: finite elements in the lower half, others in the upper half.
pub(super) const COUNTS: usize = 0;
/// Row: elements equal to zero.
pub(super) const ZEROS: usize = 1;
/// Row: the unit's number combined with the submission's, which shows that the unit ran in this submission.
pub(super) const ECHO: usize = 2;
/// Row: sum of `y`; those of its second to fourth powers follow.
pub(super) const SUMS: usize = 3;
/// Row: the smallest finite element's [`key`](fn@key).
pub(super) const LEAST: usize = 7;
/// Row: the largest finite element's [`key`](fn@key).
pub(super) const GREATEST: usize = 8;

/// Exponent and mantissa of binary32 infinity.
const INFINITY_BITS: u32 = 0x7f80_0000;
/// Everything but the sign.
const MAGNITUDE_BITS: u32 = 0x7fff_ffff;
/// The sign.
const SIGN_BIT: u32 = 0x8000_0000;
/// The mantissa.
const MANTISSA: u32 = 0x007f_ffff;

/// Measures `elements` elements that are in `input`, `groups` groups of tiles a unit.
///
/// `partials` has [`ROWS`] rows with a column a unit. `histogram` has [`BINS`] counters, zero at first, which are raised
/// where `with_histogram` asks for them. With `scaled`, `pivot` is already multiplied by `2^scale`; otherwise `scale` is 0.
#[cube(launch_unchecked)]
// What clippy would write instead is Rust that CubeCL does not translate, or translates to less.
#[allow(clippy::too_many_arguments, clippy::manual_div_ceil, clippy::collapsible_if, clippy::unnecessary_cast)]
pub(super) fn measure(
    input: &[u32],
    partials: &mut [u32],
    histogram: &[Atomic<u32>],
    elements: u32,
    groups: u32,
    pivot: f32,
    scale: i32,
    nonce: u32,
    #[comptime] format: Format,
    #[comptime] scaled: bool,
    #[comptime] with_histogram: bool,
) {
    let per_word = comptime!(format.elements_per_word());
    let bins = Shared::<[Atomic<u32>]>::new_slice(comptime!(if with_histogram { BINS } else { 1 }));
    if with_histogram {
        let mut bin = UNIT_POS;
        while bin < comptime!(BINS as u32) {
            bins[bin as usize].store(0u32);
            bin += UNITS;
        }
        sync_cube();
    }
    let words = (elements + per_word - 1u32) / per_word;
    let tiles = groups * GROUP_TILES;
    let first = CUBE_POS as u32 * tiles * TILE_WORDS * UNITS + UNIT_POS;

    let mut finite = 0u32;
    let mut other = 0u32;
    let mut zeros = 0u32;
    let mut least = 0xffff_ffffu32;
    let mut greatest = 0u32;
    let mut sum1 = 0f32;
    let mut sum2 = 0f32;
    let mut sum3 = 0f32;
    let mut sum4 = 0f32;
    for group in 0..groups {
        let mut group1 = 0f32;
        let mut group2 = 0f32;
        let mut group3 = 0f32;
        let mut group4 = 0f32;
        for tile in 0..GROUP_TILES {
            let mut tile1 = 0f32;
            let mut tile2 = 0f32;
            let mut tile3 = 0f32;
            let mut tile4 = 0f32;
            #[unroll]
            for step in 0..TILE_WORDS {
                let word = first + ((group * GROUP_TILES + tile) * TILE_WORDS + step) * UNITS;
                // A unit beyond the end reads the last word, and counts none of it.
                let content = input[min(word, words - 1u32) as usize];
                #[unroll]
                for lane in 0..per_word {
                    let bits = decode(content, lane, format);
                    let magnitude = bits & MAGNITUDE_BITS;
                    let inside = word * per_word + lane < elements && word < words;
                    let counts = inside && magnitude < INFINITY_BITS;
                    finite += select(counts, 1u32, 0u32);
                    other += select(inside && magnitude >= INFINITY_BITS, 1u32, 0u32);
                    zeros += select(counts && magnitude == 0u32, 1u32, 0u32);
                    let key = key(bits);
                    least = min(least, select(counts, key, 0xffff_ffffu32));
                    greatest = max(greatest, select(counts, key, 0u32));
                    if with_histogram {
                        if counts && magnitude != 0u32 {
                            bins[(magnitude >> comptime!(BIN_SHIFT)) as usize].fetch_add(1u32);
                        }
                    }
                    let usable = select(counts, bits, 0u32);
                    let x = if scaled { shifted(usable, scale) } else { f32::reinterpret(usable) };
                    let y = select(counts, x - pivot, 0f32);
                    let square = y * y;
                    tile1 += y;
                    tile2 += square;
                    tile3 += square * y;
                    tile4 += square * square;
                }
            }
            group1 += tile1;
            group2 += tile2;
            group3 += tile3;
            group4 += tile4;
        }
        sum1 += group1;
        sum2 += group2;
        sum3 += group3;
        sum4 += group4;
    }

    let units = CUBE_COUNT as usize * UNITS as usize;
    let unit = CUBE_POS as usize * UNITS as usize + UNIT_POS as usize;
    partials[comptime!(COUNTS) * units + unit] = finite | (other << 16u32);
    partials[comptime!(ZEROS) * units + unit] = zeros;
    partials[comptime!(ECHO) * units + unit] = unit as u32 ^ nonce;
    partials[comptime!(SUMS) * units + unit] = u32::reinterpret(sum1);
    partials[comptime!(SUMS + 1) * units + unit] = u32::reinterpret(sum2);
    partials[comptime!(SUMS + 2) * units + unit] = u32::reinterpret(sum3);
    partials[comptime!(SUMS + 3) * units + unit] = u32::reinterpret(sum4);
    partials[comptime!(LEAST) * units + unit] = least;
    partials[comptime!(GREATEST) * units + unit] = greatest;

    if with_histogram {
        sync_cube();
        let mut bin = UNIT_POS;
        while bin < comptime!(BINS as u32) {
            let count = bins[bin as usize].load();
            if count > 0u32 {
                histogram[bin as usize].fetch_add(count);
            }
            bin += UNITS;
        }
    }
}

/// A number that orders binary32 codes as their values are ordered, negative zero just below zero.
#[cube]
fn key(bits: u32) -> u32 {
    select(bits & SIGN_BIT != 0u32, bits ^ 0xffff_ffffu32, bits ^ SIGN_BIT)
}

/// The binary32 code of the element at place `lane` of a word; exact for every format.
#[cube]
fn decode(word: u32, #[comptime] lane: u32, #[comptime] format: Format) -> u32 {
    match comptime!(format) {
        Format::F32 => word,
        Format::Bf16 => (word >> comptime!(16 * lane)) << 16u32,
        Format::F16 => f16_bits((word >> comptime!(16 * lane)) & 0xffffu32),
        // The byte moved to the top and back down takes its sign along.
        Format::I8 => u32::reinterpret(f32::cast_from(i32::reinterpret(word << comptime!(24 - 8 * lane)) >> 24i32)),
    }
}

/// The binary32 code of a binary16 code.
#[cube]
fn f16_bits(half: u32) -> u32 {
    let magnitude = half & 0x7fffu32;
    // The exponent's bias is 15 in binary16 and 127 in binary32.
    let normal = (magnitude << 13u32) + 0x3800_0000u32;
    // Subnormal codes are multiples of 2^-24; as integers they become normal numbers, whatever the adapter flushes.
    let subnormal = u32::reinterpret(f32::cast_from(magnitude) * 5.960_464_5e-8f32);
    let special = INFINITY_BITS | (magnitude << 13u32);
    let bits = select(magnitude < 0x0400u32, subnormal, select(magnitude >= 0x7c00u32, special, normal));
    bits | ((half & 0x8000u32) << 16u32)
}

/// A finite element times `2^scale`, by its exponent: subnormal elements count, results below the normal range are zero,
/// results beyond it stop at the largest exponent.
#[cube]
fn shifted(bits: u32, scale: i32) -> f32 {
    let exponent = (bits >> 23u32) & 0xffu32;
    let mantissa = bits & MANTISSA;
    // A subnormal element is its mantissa times 2^-149.
    let small = u32::reinterpret(f32::cast_from(mantissa));
    let subnormal = exponent == 0u32;
    let from = select(subnormal, small, bits);
    let raised = i32::cast_from((from >> 23u32) & 0xffu32) + select(subnormal, scale - 149i32, scale);
    let clamped = u32::cast_from(min(max(raised, 0i32), 254i32));
    let code = (bits & SIGN_BIT) | (clamped << 23u32) | (from & MANTISSA);
    let vanishes = clamped == 0u32 || (subnormal && mantissa == 0u32);
    f32::reinterpret(select(vanishes, 0u32, code))
}
