//! Blocks of 32 elements with one scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
//!
//! Element `j` is in the low half of byte `j`, element `j + 16` in the high half of the same byte.

use super::{half_at, nibbles, u32_at};

/// `[d 2 | q 16]`, `d * (q - 8)`.
pub(super) fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for j in 0..16 {
        let [low, high] = nibbles(block[2 + j]);
        out[j] = d * (f32::from(low) - 8.0);
        out[j + 16] = d * (f32::from(high) - 8.0);
    }
}

/// `[d 2 | m 2 | q 16]`, `d * q + m`.
pub(super) fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for j in 0..16 {
        let [low, high] = nibbles(block[4 + j]);
        out[j] = d * f32::from(low) + m;
        out[j + 16] = d * f32::from(high) + m;
    }
}

/// `[d 2 | fifth bits 4 | q 16]`, `d * (q - 16)`.
pub(super) fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let (d, fifth) = (half_at(block, 0), u32_at(block, 2));
    for j in 0..16 {
        let [low, high] = fives(block[6 + j], fifth, j);
        out[j] = d * (low - 16.0);
        out[j + 16] = d * (high - 16.0);
    }
}

/// `[d 2 | m 2 | fifth bits 4 | q 16]`, `d * q + m`.
pub(super) fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m, fifth) = (half_at(block, 0), half_at(block, 2), u32_at(block, 4));
    for j in 0..16 {
        let [low, high] = fives(block[8 + j], fifth, j);
        out[j] = d * low + m;
        out[j + 16] = d * high + m;
    }
}

/// The numbers of five bits at positions `j` and `j + 16`.
fn fives(byte: u8, fifth: u32, j: usize) -> [f32; 2] {
    let [low, high] = nibbles(byte);
    let bit = |at: usize| ((fifth >> at) as u8 & 1) << 4;
    [f32::from(low | bit(j)), f32::from(high | bit(j + 16))]
}

/// `[d 2 | q 32]`, `d * q` with signed bytes.
pub(super) fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for (out, &q) in out.iter_mut().zip(&block[2..]) {
        *out = f32::from(q as i8) * d;
    }
}
