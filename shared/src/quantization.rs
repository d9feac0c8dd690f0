//! Schemes of quantization in blocks: which value each of them gives an element. What the differences add up to is a
//! statistic, [`QuantizationErrors`](crate::statistics::QuantizationErrors).
//!
//! Each scheme cuts a row of weights into blocks of consecutive elements, gives every block a scale of its own and every
//! element the nearest of a few levels. A block never crosses the end of a row; where the row's length is no multiple of
//! the block's, the last block of the row is shorter.
//!
//! | key | block | scale `d` | levels | source |
//! |---|---|---|---|---|
//! | `int8_per_row`, `int4_per_row` | the row | largest \|x\| / 127 or / 7 | whole multiples of `d` from -127 or -7 | symmetric, per output channel |
//! | `int8_g32` … `int4_g128` | 32, 64, 128 | the same | the same | symmetric, per group |
//! | `q8_0` | 32 | largest \|x\| / 127, kept as binary16 | `d · -127 ..= 127` | `quantize_row_q8_0_ref` of ggml |
//! | `q4_0` | 32 | the x of largest \|x\|, signed, / -8, kept as binary16 | `d · -8 ..= 7` | `quantize_row_q4_0_ref` of ggml, which of two extremes of both signs takes the first, here the negative one |
//! | `nf4_b64` | 64 | largest \|x\| | 16 quantiles of the normal distribution | Dettmers et al., QLoRA, 2023, appendix E |
//! | `mxfp4` | 32 | `2^(⌊log2 of the largest \|x\|⌋ - 2)` | 0, ½, 1, 1½, 2, 3, 4, 6, with a sign | OCP Microscaling Formats 1.0, section 6.3 |
//!
//! Arithmetic is binary32, as it is on the devices that quantize.

use alloc::vec::Vec;

use half::f16;

/// A scheme of quantization in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Scheme {
    /// 8 bits, symmetric, one scale a row.
    Int8PerRow,
    /// 8 bits, symmetric, one scale for 32 elements.
    Int8G32,
    /// 8 bits, symmetric, one scale for 64 elements.
    Int8G64,
    /// 8 bits, symmetric, one scale for 128 elements.
    Int8G128,
    /// 4 bits, symmetric, one scale a row.
    Int4PerRow,
    /// 4 bits, symmetric, one scale for 32 elements.
    Int4G32,
    /// 4 bits, symmetric, one scale for 64 elements.
    Int4G64,
    /// 4 bits, symmetric, one scale for 128 elements.
    Int4G128,
    /// GGUF's 8-bit blocks.
    Q8_0,
    /// GGUF's 4-bit blocks.
    Q4_0,
    /// The 4-bit normal float, in blocks of 64.
    Nf4B64,
    /// The 4-bit microscaling float, in blocks of 32.
    Mxfp4,
}

impl Scheme {
    /// Every scheme, in the order of [`QuantizationErrors::errors`](crate::statistics::QuantizationErrors::errors).
    pub const ALL: [Self; 12] = [
        Self::Int8PerRow,
        Self::Int8G32,
        Self::Int8G64,
        Self::Int8G128,
        Self::Int4PerRow,
        Self::Int4G32,
        Self::Int4G64,
        Self::Int4G128,
        Self::Q8_0,
        Self::Q4_0,
        Self::Nf4B64,
        Self::Mxfp4,
    ];

    /// The key in `run.json`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Int8PerRow => "int8_per_row",
            Self::Int8G32 => "int8_g32",
            Self::Int8G64 => "int8_g64",
            Self::Int8G128 => "int8_g128",
            Self::Int4PerRow => "int4_per_row",
            Self::Int4G32 => "int4_g32",
            Self::Int4G64 => "int4_g64",
            Self::Int4G128 => "int4_g128",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
            Self::Nf4B64 => "nf4_b64",
            Self::Mxfp4 => "mxfp4",
        }
    }

    /// Elements of a block; `None` where the block is the row.
    pub const fn block(self) -> Option<usize> {
        match self {
            Self::Int8PerRow | Self::Int4PerRow => None,
            Self::Int8G32 | Self::Int4G32 | Self::Q8_0 | Self::Q4_0 | Self::Mxfp4 => Some(32),
            Self::Int8G64 | Self::Int4G64 | Self::Nf4B64 => Some(64),
            Self::Int8G128 | Self::Int4G128 => Some(128),
        }
    }
}

/// The largest block that is not a row: chunks that begin at multiples of it cut no block.
pub const LARGEST_BLOCK: usize = 128;

/// The levels of the 4-bit normal float, ascending, for a block whose largest magnitude is 1.
pub const NF4_LEVELS: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// The value that `scheme` gives each element of one block: what the engines are held against. Elements that are not
/// finite have no defined result.
pub fn dequantized(scheme: Scheme, block: &[f32]) -> Vec<f32> {
    let largest = block.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let negative = block.contains(&-largest);
    let extreme = if negative { -largest } else { largest };
    block.iter().map(|x| nearest(scheme, extreme, *x)).collect()
}

/// The value that `scheme` gives an element `x` of a block whose element of largest magnitude is `extreme`; where both signs
/// have that magnitude, the negative one. Computed by the scheme's definition, one element at a time.
pub fn nearest(scheme: Scheme, extreme: f32, x: f32) -> f32 {
    // Zero is a level of every scheme; a scale without an inverse in binary32 would make it NaN.
    if x == 0.0 {
        return 0.0;
    }
    let largest = extreme.abs();
    let inverse = |scale: f32| if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let uniform = |scale: f32, kept: f32, low: f32, high: f32| libm::rintf(x * inverse(scale)).clamp(low, high) * kept;
    match scheme {
        Scheme::Int8PerRow | Scheme::Int8G32 | Scheme::Int8G64 | Scheme::Int8G128 => {
            uniform(largest / 127.0, largest / 127.0, -127.0, 127.0)
        }
        Scheme::Int4PerRow | Scheme::Int4G32 | Scheme::Int4G64 | Scheme::Int4G128 => {
            uniform(largest / 7.0, largest / 7.0, -7.0, 7.0)
        }
        Scheme::Q8_0 => uniform(largest / 127.0, f16::from_f32(largest / 127.0).to_f32(), -127.0, 127.0),
        Scheme::Q4_0 => {
            let scale = extreme / -8.0;
            let code = libm::floorf(x * inverse(scale) + 8.5).min(15.0) - 8.0;
            code * f16::from_f32(scale).to_f32()
        }
        Scheme::Nf4B64 => {
            let place = x * inverse(largest);
            let distance = |level: &f32| (place - level).abs();
            let level = NF4_LEVELS.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)));
            level.unwrap_or_default() * largest
        }
        Scheme::Mxfp4 => {
            let scale = mxfp4_scale(largest);
            e2m1(x.abs() * inverse(scale)).copysign(x) * scale
        }
    }
}

/// The power of two by which an MXFP4 block whose largest magnitude is `largest` is scaled: the largest element's own,
/// over the format's largest power of two, 4. Limited to what an exponent of 8 bits and binary32 hold; 0 for a block of zeros.
#[inline]
pub fn mxfp4_scale(largest: f32) -> f32 {
    let exponent = (largest.to_bits() >> 23) & 0xff;
    // Blocks below 2^-124 would need a scale that is subnormal: they are quantized with the smallest normal one.
    if largest == 0.0 { 0.0 } else { f32::from_bits(exponent.saturating_sub(2).max(1) << 23) }
}

/// The E2M1 value nearest to a magnitude, ties to the even code; at most 6.
pub fn e2m1(magnitude: f32) -> f32 {
    let step = if magnitude < 2.0 {
        0.5
    } else if magnitude < 4.0 {
        1.0
    } else {
        2.0
    };
    (libm::rintf(magnitude / step) * step).min(6.0)
}

#[cfg(test)]
mod tests;
