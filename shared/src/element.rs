//! What one stored number looks like: the element types that checkpoints hold, their sizes and their exact values.
//!
//! Decoding here is the plain reference; engines have faster paths and are tested against this one.

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// The type of one stored element. All are little-endian, as every supported checkpoint format stores them.
///
/// The order of the variants is part of the wire format: add new ones at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Element {
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: the upper half of a binary32.
    Bf16,
    /// OCP 8-bit float with 4 exponent and 3 mantissa bits; no infinities, one NaN pattern per sign.
    F8E4m3,
    /// OCP 8-bit float with 5 exponent and 2 mantissa bits: the upper half of a binary16.
    F8E5m2,
    /// Signed 64-bit integer; values beyond 2^53 are rounded to the nearest f64.
    I64,
    /// Signed 32-bit integer.
    I32,
    /// Signed 16-bit integer.
    I16,
    /// Signed 8-bit integer.
    I8,
    /// Unsigned 64-bit integer; values beyond 2^53 are rounded to the nearest f64.
    U64,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 16-bit integer.
    U16,
    /// Unsigned 8-bit integer.
    U8,
    /// One byte a value: zero is false, anything else is true and counts as 1.
    Bool,
}

impl Element {
    /// Every element type, in wire order.
    pub const ALL: [Self; 15] = [
        Self::F64,
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::F8E4m3,
        Self::F8E5m2,
        Self::I64,
        Self::I32,
        Self::I16,
        Self::I8,
        Self::U64,
        Self::U32,
        Self::U16,
        Self::U8,
        Self::Bool,
    ];

    /// Bytes that one element takes: 1, 2, 4 or 8.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F8E4m3 | Self::F8E5m2 | Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The name used in reports and in `run.json`: `f32`, `bf16`, `f8_e4m3`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F8E4m3 => "f8_e4m3",
            Self::F8E5m2 => "f8_e5m2",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U64 => "u64",
            Self::U32 => "u32",
            Self::U16 => "u16",
            Self::U8 => "u8",
            Self::Bool => "bool",
        }
    }

    /// The value of the element at the start of `bytes`, or `None` when fewer than [`size`](Self::size) bytes are left.
    ///
    /// Exact for every type except 64-bit integers beyond 2^53.
    pub fn decode(self, bytes: &[u8]) -> Option<f64> {
        Some(match self {
            Self::F64 => f64::from_le_bytes(*bytes.first_chunk()?),
            Self::F32 => f64::from(f32::from_le_bytes(*bytes.first_chunk()?)),
            Self::F16 => f16::from_le_bytes(*bytes.first_chunk()?).to_f64(),
            Self::Bf16 => bf16::from_le_bytes(*bytes.first_chunk()?).to_f64(),
            Self::F8E4m3 => f64::from(f8_e4m3_to_f32(*bytes.first()?)),
            Self::F8E5m2 => f16::from_bits(u16::from(*bytes.first()?) << 8).to_f64(),
            Self::I64 => i64::from_le_bytes(*bytes.first_chunk()?) as f64,
            Self::I32 => f64::from(i32::from_le_bytes(*bytes.first_chunk()?)),
            Self::I16 => f64::from(i16::from_le_bytes(*bytes.first_chunk()?)),
            Self::I8 => f64::from(i8::from_le_bytes(*bytes.first_chunk()?)),
            Self::U64 => u64::from_le_bytes(*bytes.first_chunk()?) as f64,
            Self::U32 => f64::from(u32::from_le_bytes(*bytes.first_chunk()?)),
            Self::U16 => f64::from(u16::from_le_bytes(*bytes.first_chunk()?)),
            Self::U8 => f64::from(*bytes.first()?),
            Self::Bool => f64::from(u8::from(*bytes.first()? != 0)),
        })
    }
}

impl core::fmt::Display for Element {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

/// The value of an OCP `E4M3` byte: bias 7, subnormals in steps of 2^-9, largest 448, `S.1111.111` is NaN.
///
/// Source: OCP 8-bit Floating Point Specification (OFP8), revision 1.0, section 5.
pub const fn f8_e4m3_to_f32(byte: u8) -> f32 {
    let sign = (byte as u32 & 0x80) << 24;
    let exponent = (byte as u32 >> 3) & 0x0f;
    let mantissa = byte as u32 & 0x07;
    if exponent == 0x0f && mantissa == 0x07 {
        return f32::from_bits(sign | 0x7fc0_0000);
    }
    if exponent == 0 {
        // mantissa * 2^-9, exact.
        let magnitude = mantissa as f32 * (1.0 / 512.0);
        return f32::from_bits(sign | magnitude.to_bits());
    }
    f32::from_bits(sign | ((exponent + 120) << 23) | (mantissa << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_e4m3_values() {
        // The extremes in table 2 of the OFP8 specification.
        assert_eq!(Element::F8E4m3.decode(&[0b0111_1110]), Some(448.0));
        assert_eq!(Element::F8E4m3.decode(&[0b0000_1000]), Some(2f64.powi(-6)));
        assert_eq!(Element::F8E4m3.decode(&[0b0000_0111]), Some(0.875 * 2f64.powi(-6)));
        assert_eq!(Element::F8E4m3.decode(&[0b1000_0001]), Some(-(2f64.powi(-9))));
        assert!(Element::F8E4m3.decode(&[0xff]).is_some_and(f64::is_nan));
    }

    #[test]
    fn published_e5m2_values() {
        assert_eq!(Element::F8E5m2.decode(&[0b0111_1011]), Some(57344.0));
        assert_eq!(Element::F8E5m2.decode(&[0b0000_0100]), Some(2f64.powi(-14)));
        assert_eq!(Element::F8E5m2.decode(&[0b0000_0001]), Some(2f64.powi(-16)));
        assert_eq!(Element::F8E5m2.decode(&[0b0111_1100]), Some(f64::INFINITY));
    }

    #[test]
    fn short_input_is_none_for_every_type() {
        for element in Element::ALL {
            assert_eq!(element.decode(&[0; 8][..element.size() - 1]), None, "{element}");
            assert_eq!(element.decode(&[0; 8][..element.size()]), Some(0.0), "{element}");
        }
    }

    #[test]
    fn integers_and_bool() {
        assert_eq!(Element::I8.decode(&[0x80]), Some(-128.0));
        assert_eq!(Element::I16.decode(&[0x00, 0x80]), Some(-32768.0));
        assert_eq!(Element::U32.decode(&[0xff; 4]), Some(4294967295.0));
        assert_eq!(Element::Bool.decode(&[7]), Some(1.0));
    }
}
