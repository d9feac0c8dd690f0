//! Blocks of four-bit codes for 16 fixed values: MXFP4, NVFP4, IQ4_NL, IQ4_XS.

use super::{half_at, nibble_at, nibbles, u16_at};

/// The values of E2M1 (OCP Microscaling Formats 1.0), doubled so that they are whole; scales are halved instead.
const E2M1: [f32; 16] = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -12.0];

/// The values of the non-linear types, denser near zero.
const NON_LINEAR: [f32; 16] =
    [-127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0];

/// Low halves of the bytes first, then high halves.
fn halves(codes: &[u8], scale: f32, values: &[f32; 16], out: &mut [f32]) {
    let (first, second) = out.split_at_mut(codes.len());
    for ((first, second), &byte) in first.iter_mut().zip(second).zip(codes) {
        let [low, high] = nibbles(byte);
        *first = scale * values[usize::from(low)];
        *second = scale * values[usize::from(high)];
    }
}

/// `[exponent 1 | codes 16]`, the scale being 2^(exponent - 127).
pub(super) fn mxfp4(block: &[u8; 17], out: &mut [f32; 32]) {
    // Half of the scale; for the two smallest exponents it is subnormal.
    let bits = match u32::from(block[0]) {
        exponent @ 0..2 => 0x0020_0000 << exponent,
        exponent => (exponent - 1) << 23,
    };
    halves(&block[1..], f32::from_bits(bits), &E2M1, out);
}

/// `[scales 4 | codes 32]`, 16 elements a group, the scales E4M3 without a sign.
///
/// Files may hold one more scale for the whole tensor, as a tensor of its own, which the checkpoint applies.
pub(super) fn nvfp4(block: &[u8; 36], out: &mut [f32; 64]) {
    for (group, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        halves(&block[4 + group * 8..12 + group * 8], half_of_ue4m3(block[group]), &E2M1, out);
    }
}

/// Half of an E4M3 number without a sign; the pattern of NaN counts as zero.
fn half_of_ue4m3(byte: u8) -> f32 {
    if byte == 0x7f {
        return 0.0;
    }
    let mantissa = f32::from(byte & 7);
    match u32::from(byte >> 3 & 0x0f) {
        0 => mantissa * (1.0 / 1024.0),
        // 2^(exponent - 8), exact.
        exponent => (1.0 + mantissa / 8.0) * f32::from_bits((exponent + 119) << 23),
    }
}

/// `[d 2 | codes 16]`, `d * value`.
pub(super) fn iq4_nl(block: &[u8; 18], out: &mut [f32; 32]) {
    halves(&block[2..], half_at(block, 0), &NON_LINEAR, out);
}

/// `[d 2 | high bits of scales 2 | low bits of scales 4 | codes 128]`, 32 elements a group, `d * (scale - 32) * value`.
pub(super) fn iq4_xs(block: &[u8; 136], out: &mut [f32; 256]) {
    let (d, high) = (half_at(block, 0), u16_at(block, 2));
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let scale = nibble_at(&block[4..8], group) | ((high >> (2 * group)) as u8 & 3) << 4;
        halves(&block[8 + group * 16..24 + group * 16], d * (f32::from(scale) - 32.0), &NON_LINEAR, out);
    }
}
