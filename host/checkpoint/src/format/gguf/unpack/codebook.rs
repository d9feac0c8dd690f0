//! Blocks of 256 elements whose parts are points of a codebook: IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S.
//!
//! IQ2 and IQ3 look up magnitudes and store the signs beside them; IQ1 looks up -1, 0 and 1 and shifts all by an eighth.

use half::f16;

use super::grids::{IQ1, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS, S_THREE_BITS, TWO_BITS, XXS_THREE_BITS};
use super::{half_at, nibble_at, u16_at, u32_at};

/// `[d 2 | 8 × (points 4, signs and scale 4)]`: 32 elements share a scale of four bits, on top of four times seven signs.
pub(super) fn iq2_xxs(block: &[u8; 66], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let at = 2 + group * 8;
        let packed = u32_at(block, at + 4);
        let scale = quarter(d, packed >> 28);
        for (i, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            eight(scale, IQ2_XXS[usize::from(block[at + i])], seven_signs(packed >> (7 * i)), out);
        }
    }
}

/// `[d 2 | (point 9 bits, signs 7 bits) 64 | scales 8]`: 16 elements share a scale of four bits.
pub(super) fn iq2_xs(block: &[u8; 74], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (i, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
        let packed = u16_at(block, 2 + i * 2);
        let scale = quarter(d, u32::from(nibble_at(&block[66..74], i / 2)));
        eight(scale, IQ2_XS[usize::from(packed & 511)], seven_signs(u32::from(packed >> 9)), out);
    }
}

/// `[d 2 | points 32 | signs 32 | high bits of points 8 | scales 8]`: 16 elements share a scale of four bits.
pub(super) fn iq2_s(block: &[u8; 82], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (i, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
        let high = usize::from(block[66 + i / 4] >> (i % 4 * 2) & 3) << 8;
        let scale = quarter(d, u32::from(nibble_at(&block[74..82], i / 2)));
        eight(scale, IQ2_S[usize::from(block[2 + i]) | high], block[34 + i], out);
    }
}

/// `[d 2 | points 64 | signs and scales 32]`: 32 elements share a scale of four bits, on top of four times seven signs.
pub(super) fn iq3_xxs(block: &[u8; 98], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (i, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
        let packed = u32_at(block, 66 + i / 4 * 4);
        let scale = d * (0.5 + (packed >> 28) as f32) * 0.5;
        let points = [block[2 + i * 2], block[3 + i * 2]].map(|point| IQ3_XXS[usize::from(point)]);
        fours(scale, points, &XXS_THREE_BITS, seven_signs(packed >> (i % 4 * 7)), out);
    }
}

/// `[d 2 | points 64 | ninth bits of points 8 | signs 32 | scales 4]`: 32 elements share a scale of four bits.
pub(super) fn iq3_s(block: &[u8; 110], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (i, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
        let scale = d * f32::from(1 + 2 * nibble_at(&block[106..110], i / 4));
        let points = [i * 2, i * 2 + 1].map(|at| {
            let ninth = usize::from(block[66 + at / 8] >> (at % 8) & 1) << 8;
            IQ3_S[usize::from(block[2 + at]) | ninth]
        });
        fours(scale, points, &S_THREE_BITS, block[74 + i], out);
    }
}

/// `[d 2 | points 32 | (high bits of points 4 × 3, scale 3, shift 1) 16]`: 32 elements share scale and shift.
pub(super) fn iq1_s(block: &[u8; 50], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (i, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
        let packed = u16_at(block, 34 + i / 4 * 2);
        let high = usize::from(packed >> (i % 4 * 3) & 7) << 8;
        let scale = d * f32::from(2 * (packed >> 12 & 7) + 1);
        shifted(scale, IQ1[usize::from(block[2 + i]) | high], packed & 0x8000 != 0, out);
    }
}

/// `[points 32 | (high bits of points 3, shift 1) 16 | scales 8]`: 16 elements share a scale of three bits.
///
/// The four words of scales hold four each, and in their top four bits a quarter of the half-precision scale of all.
pub(super) fn iq1_m(block: &[u8; 56], out: &mut [f32; 256]) {
    let word = |i: usize| u16_at(block, 48 + i * 2);
    let d = f16::from_bits(word(0) >> 12 | word(1) >> 12 << 4 | word(2) >> 12 << 8 | word(3) >> 12 << 12).to_f32();
    for (i, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
        let packed = nibble_at(&block[32..48], i);
        let scale = d * f32::from(2 * (word(i / 8) >> (i / 2 % 4 * 3) & 7) + 1);
        shifted(scale, IQ1[usize::from(block[i]) | usize::from(packed & 7) << 8], packed & 8 != 0, out);
    }
}

/// The scale of a group in the types of two bits.
fn quarter(d: f32, scale: u32) -> f32 {
    d * (0.5 + scale as f32) * 0.25
}

/// Eight signs of which seven are stored: the number of minus signs is even.
fn seven_signs(stored: u32) -> u8 {
    let seven = (stored & 0x7f) as u8;
    seven | ((seven.count_ones() & 1) << 7) as u8
}

/// `value`, or `-value` where bit `at` of `signs` is set.
fn signed(value: f32, signs: u8, at: usize) -> f32 {
    if signs >> at & 1 == 1 { -value } else { value }
}

/// One point of eight magnitudes.
fn eight(scale: f32, point: u16, signs: u8, out: &mut [f32; 8]) {
    for (i, out) in out.iter_mut().enumerate() {
        *out = signed(scale * TWO_BITS[usize::from(point >> (2 * i) & 3)], signs, i);
    }
}

/// Two points of four magnitudes.
fn fours(scale: f32, points: [u16; 2], magnitudes: &[f32; 8], signs: u8, out: &mut [f32; 8]) {
    for (i, out) in out.iter_mut().enumerate() {
        let code = points[i / 4] >> (i % 4 * 4) & 7;
        *out = signed(scale * magnitudes[usize::from(code)], signs, i);
    }
}

/// One point of eight values -1, 0 or 1, all shifted up or down by an eighth.
fn shifted(scale: f32, point: u16, down: bool, out: &mut [f32; 8]) {
    let shift = if down { -0.125 } else { 0.125 };
    for (i, out) in out.iter_mut().enumerate() {
        *out = scale * (f32::from(point >> (2 * i) & 3) - 1.0 + shift);
    }
}
