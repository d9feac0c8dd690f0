//! Blocks of 256 elements in groups with scales of their own: Q2_K to Q6_K and Q8_K.
//!
//! Two-bit fields are stored in each half of a block as four planes: the 32 bytes of a half hold elements 0..32 in their lowest
//! two bits, 32..64 in the next two, and so on.

use super::{half_at, nibble_at, u32_at};

/// `[scale and minimum 16 | q 64 | d 2 | dmin 2]`, 16 elements a group: `d * scale * q - dmin * minimum`.
pub(super) fn q2(block: &[u8; 84], out: &mut [f32; 256]) {
    let (d, dmin) = (half_at(block, 80), half_at(block, 82));
    for (group, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let (scale, min) = (d * f32::from(block[group] & 0x0f), dmin * f32::from(block[group] >> 4));
        for (i, out) in out.iter_mut().enumerate() {
            *out = scale * f32::from(plane_at(&block[16..80], group * 16 + i)) - min;
        }
    }
}

/// `[third bits 32 | q 64 | scales 12 | d 2]`, 16 elements a group: `d * (scale - 32) * q`, `q` from -4.
pub(super) fn q3(block: &[u8; 110], out: &mut [f32; 256]) {
    let d = half_at(block, 108);
    let scales = &block[96..108];
    for (group, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        // Six bits: four among the first eight bytes, two among the last four.
        let low = scales[group % 8] >> (group / 8 * 4) & 0x0f;
        let high = scales[8 + group % 4] >> (group / 4 * 2) & 3;
        let scale = d * (f32::from(low | high << 4) - 32.0);
        for (i, out) in out.iter_mut().enumerate() {
            let at = group * 16 + i;
            let third = block[at % 32] >> (at / 32) & 1;
            *out = scale * (f32::from(plane_at(&block[32..96], at) | third << 2) - 4.0);
        }
    }
}

/// `[d 2 | dmin 2 | scales and minima 12 | q 128]`, 32 elements a group: `d * scale * q - dmin * minimum`.
pub(super) fn q4(block: &[u8; 144], out: &mut [f32; 256]) {
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (scale, min) = scale_and_min(&block[..16], group);
        let q = &block[16 + group / 2 * 32..];
        for (out, q) in out.iter_mut().zip(q) {
            *out = scale * f32::from(q >> (group % 2 * 4) & 0x0f) - min;
        }
    }
}

/// `[d 2 | dmin 2 | scales and minima 12 | fifth bits 32 | q 128]`, as [`q4`].
pub(super) fn q5(block: &[u8; 176], out: &mut [f32; 256]) {
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (scale, min) = scale_and_min(&block[..16], group);
        let q = &block[48 + group / 2 * 32..];
        for ((out, q), fifth) in out.iter_mut().zip(q).zip(&block[16..48]) {
            *out = scale * f32::from(q >> (group % 2 * 4) & 0x0f | (fifth >> group & 1) << 4) - min;
        }
    }
}

/// `[low bits 128 | high bits 64 | signed scales 16 | d 2]`, 16 elements a group: `d * scale * (q - 32)`.
pub(super) fn q6(block: &[u8; 210], out: &mut [f32; 256]) {
    let d = half_at(block, 208);
    for (group, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let scale = d * f32::from(block[192 + group] as i8);
        for (i, out) in out.iter_mut().enumerate() {
            let at = group * 16 + i;
            // 64 bytes hold the low bits of 128 elements: first all low halves, then all high ones.
            let low = block[at / 128 * 64 + at % 64] >> (at % 128 / 64 * 4) & 0x0f;
            *out = scale * (f32::from(low | plane_at(&block[128..192], at) << 4) - 32.0);
        }
    }
}

/// `[d 4, a single | q 256 | sums 32]`, `d * q` with signed bytes.
pub(super) fn q8(block: &[u8; 292], out: &mut [f32; 256]) {
    let d = f32::from_bits(u32_at(block, 0));
    for (out, &q) in out.iter_mut().zip(&block[4..260]) {
        *out = d * f32::from(q as i8);
    }
}

/// The two bits of element `at` in planes of 64 bytes.
pub(super) fn plane_at(planes: &[u8], at: usize) -> u8 {
    planes[at / 128 * 32 + at % 32] >> (at % 128 / 32 * 2) & 3
}

/// A group's scale and minimum, from `[d 2 | dmin 2 | 12]`.
///
/// Groups 0..4 have their six bits in one byte each, scales first. Groups 4..8 have four in the last four bytes and two on
/// top of those of the first groups.
fn scale_and_min(start: &[u8], group: usize) -> (f32, f32) {
    let packed = &start[4..16];
    let (scale, min) = if group < 4 {
        (packed[group] & 0x3f, packed[group + 4] & 0x3f)
    } else {
        let at = (group + 4) * 2;
        let high = |byte: u8| byte >> 2 & 0x30;
        (nibble_at(packed, at) | high(packed[group - 4]), nibble_at(packed, at + 1) | high(packed[group]))
    };
    (half_at(start, 0) * f32::from(scale), half_at(start, 2) * f32::from(min))
}
