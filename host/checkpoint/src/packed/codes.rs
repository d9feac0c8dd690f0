//! Codes of 1 to 8 bits: how they lie in bytes, and tables of the numbers that float codes are.

use half::f16;
use kurtoscope_shared::element::f8_e4m3_to_f32;

/// The value of each code; codes of fewer than 8 bits use the first entries.
pub(super) type Table = [f32; 256];

/// Where the first of two codes in a byte lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// A little-endian stream of bits, which little-endian words filled from their lowest bit are too.
    LowFirst,
    /// In the upper half of the byte; for 4 bits.
    HighFirst,
}

/// Unpacks codes of `bits` bits, the first beginning `offset` (under 8) bits into `bytes`.
///
/// `bytes` holds at least the bytes that the codes touch.
pub(super) fn unpack(bytes: &[u8], offset: usize, bits: usize, order: Order, out: &mut [u8]) {
    if bits == 8 && offset == 0 {
        out.copy_from_slice(&bytes[..out.len()]);
        return;
    }
    let mask = ((1u16 << bits) - 1) as u8;
    let flip = usize::from(order == Order::HighFirst) * 4;
    for (position, code) in out.iter_mut().enumerate() {
        let bit = offset + position * bits;
        let next = bytes.get(bit / 8 + 1).copied().unwrap_or(0);
        let pair = u16::from_le_bytes([bytes[bit / 8], next]);
        *code = (pair >> ((bit % 8) ^ flip)) as u8 & mask;
    }
}

/// Integers without a sign, `offset` taken off.
pub(super) fn unsigned(offset: f32) -> Table {
    std::array::from_fn(|code| code as f32 - offset)
}

/// Integers of `bits` bits in two's complement.
pub(super) fn signed(bits: u32) -> Table {
    std::array::from_fn(|code| f32::from(((code as u8) << (8 - bits)) as i8 >> (8 - bits)))
}

/// OCP E4M3.
pub(super) fn e4m3() -> Table {
    std::array::from_fn(|code| f8_e4m3_to_f32(code as u8))
}

/// OCP E5M2, the upper half of a binary16.
pub(super) fn e5m2() -> Table {
    std::array::from_fn(|code| f16::from_bits((code as u16) << 8).to_f32())
}

/// A table of up to 256 values; the rest is zero.
pub(super) fn listed(values: &[f32]) -> Table {
    std::array::from_fn(|code| values.get(code).copied().unwrap_or(0.0))
}

/// E2M1 (OCP Microscaling Formats 1.0, section 5.3.3).
pub(super) fn e2m1() -> Table {
    listed(&[0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0])
}

/// E2M3 (OCP Microscaling Formats 1.0, section 5.3.2).
pub(super) fn e2m3() -> Table {
    std::array::from_fn(|code| {
        let mantissa = (code & 7) as f32 / 8.0;
        let magnitude = match code >> 3 & 3 {
            0 => mantissa,
            exponent => (1.0 + mantissa) * (1 << (exponent - 1)) as f32,
        };
        if code & 0x20 == 0 { magnitude } else { -magnitude }
    })
}
