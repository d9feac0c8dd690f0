//! Blocks of signs: Q1_0 holds one scale's two signs, TQ1_0 and TQ2_0 -1, 0 and 1, Q2_0 also 2.

use super::half_at;
use super::k::plane_at;

/// `[d 2 | bits 16]`, `d` where the bit is set and `-d` where not.
pub(super) fn q1_0(block: &[u8; 18], out: &mut [f32; 128]) {
    let d = half_at(block, 0);
    for (i, out) in out.iter_mut().enumerate() {
        *out = if block[2 + i / 8] >> (i % 8) & 1 == 1 { d } else { -d };
    }
}

/// `[five digits each 48 | four digits each 4 | d 2]`, `d * (digit - 1)`.
///
/// A byte is a fraction of 256 in base 3. Its first digits are those of 32, 16 and 4 neighbouring elements, its second
/// digits those of the next as many.
pub(super) fn tq1_0(block: &[u8; 54], out: &mut [f32; 256]) {
    let d = half_at(block, 52);
    let mut rest = &mut out[..];
    for (bytes, digits) in [(&block[..32], 5), (&block[32..48], 5), (&block[48..52], 4)] {
        let mut power = 1u8;
        for _ in 0..digits {
            let (now, later) = rest.split_at_mut(bytes.len());
            for (out, &byte) in now.iter_mut().zip(bytes) {
                let digit = (u16::from(byte.wrapping_mul(power)) * 3) >> 8;
                *out = d * (f32::from(digit) - 1.0);
            }
            rest = later;
            power = power.wrapping_mul(3);
        }
    }
}

/// `[q 64 | d 2]`, two bits in planes, `d * (q - 1)`.
pub(super) fn tq2_0(block: &[u8; 66], out: &mut [f32; 256]) {
    let d = half_at(block, 64);
    for (i, out) in out.iter_mut().enumerate() {
        *out = d * (f32::from(plane_at(&block[..64], i)) - 1.0);
    }
}

/// `[d 2 | q 16]`, four codes a byte from its lowest bits, `d * (q - 1)`. Source: `dequantize_row_q2_0` in ggml's
/// `ggml-quants.c`.
pub(super) fn q2_0(block: &[u8; 18], out: &mut [f32; 64]) {
    let d = half_at(block, 0);
    for (i, out) in out.iter_mut().enumerate() {
        *out = d * (f32::from(block[2 + i / 4] >> (i % 4 * 2) & 3) - 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q2_0_has_four_values() {
        // The scale 0.5 in binary16, and the codes 0 1 2 3 in the first byte, 3 2 1 0 in the last.
        let mut block = [0b01_01_01_01; 18];
        block[..2].copy_from_slice(&0x3800u16.to_le_bytes());
        (block[2], block[17]) = (0b11_10_01_00, 0b00_01_10_11);
        let mut out = [f32::NAN; 64];
        q2_0(&block, &mut out);
        assert_eq!(out[..4], [-0.5, 0.0, 0.5, 1.0]);
        assert_eq!(out[4..60], [0.0; 56]);
        assert_eq!(out[60..], [1.0, 0.5, 0.0, -0.5]);
    }
}
