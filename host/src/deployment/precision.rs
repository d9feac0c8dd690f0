//! The forms in which a matrix of weights can be stored: their names, their bits with scales counted in, and the blocks
//! that a row must divide into. What error they make is in [`error_estimate`](super::error_estimate).

use std::fmt;

/// How many elements share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scale {
    /// All of the tensor.
    Tensor,
    /// The inputs of one output channel.
    Channel,
    /// So many inputs of one output channel.
    Group(GroupSize),
}

/// How many inputs of an output channel share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupSize {
    /// 32 inputs.
    G32,
    /// 64 inputs.
    G64,
    /// 128 inputs.
    G128,
}

impl GroupSize {
    /// The number of inputs.
    pub const fn inputs(self) -> u16 {
        match self {
            Self::G32 => 32,
            Self::G64 => 64,
            Self::G128 => 128,
        }
    }
}

/// A form in which a matrix can be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Precision {
    /// Symmetric whole numbers of 3 to 8 bits, whose scales have 16 bits.
    Integer {
        /// Bits of an element.
        bits: u8,
        /// How many elements share a scale.
        scale: Scale,
    },
    /// GGUF's Q3_K.
    Q3K,
    /// GGUF's Q4_0.
    Q4_0,
    /// GGUF's IQ4_NL.
    Iq4Nl,
    /// GGUF's Q4_K.
    Q4K,
    /// GGUF's Q5_0.
    Q5_0,
    /// GGUF's Q5_1.
    Q5_1,
    /// GGUF's Q5_K.
    Q5K,
    /// GGUF's Q6_K.
    Q6K,
    /// GGUF's Q8_0.
    Q8_0,
    /// The 4-bit normal float in blocks of 64, each with a 32-bit scale.
    Nf4,
    /// The 4-bit microscaling float in blocks of 32, each with an 8-bit exponent.
    Mxfp4,
    /// Not quantized: f16 or bf16.
    Unquantized,
}

/// Bits of a group's or a channel's scale.
const SCALE_BITS: f64 = 16.0;

impl Precision {
    /// Whole numbers.
    pub const fn integer(bits: u8, scale: Scale) -> Self {
        Self::Integer { bits, scale }
    }

    /// Bits of an element without scales: what the name says.
    pub const fn nominal_bits(self) -> u8 {
        match self {
            Self::Integer { bits, .. } => bits,
            Self::Q3K => 3,
            Self::Q4_0 | Self::Iq4Nl | Self::Q4K | Self::Nf4 | Self::Mxfp4 => 4,
            Self::Q5_0 | Self::Q5_1 | Self::Q5K => 5,
            Self::Q6K => 6,
            Self::Q8_0 => 8,
            Self::Unquantized => 16,
        }
    }

    /// Bits an element takes, scales included, in a matrix whose output channels have `inputs` elements.
    ///
    /// GGUF's come from its block sizes: Q4_K is 144 bytes for 256 elements. NF4's scales take 0.5 bits; with the double
    /// quantization of QLoRA they take 0.127.
    pub fn bits_per_weight(self, inputs: u64) -> f64 {
        let blocks = |bytes: f64, elements: f64| 8.0 * bytes / elements;
        match self {
            Self::Integer { bits, scale } => {
                let shared = match scale {
                    Scale::Tensor => f64::INFINITY,
                    Scale::Channel => inputs.max(1) as f64,
                    Scale::Group(size) => f64::from(size.inputs()),
                };
                f64::from(bits) + SCALE_BITS / shared
            }
            Self::Q3K => blocks(110.0, 256.0),
            Self::Q4_0 | Self::Iq4Nl => blocks(18.0, 32.0),
            Self::Q4K => blocks(144.0, 256.0),
            Self::Q5_0 => blocks(22.0, 32.0),
            Self::Q5_1 => blocks(24.0, 32.0),
            Self::Q5K => blocks(176.0, 256.0),
            Self::Q6K => blocks(210.0, 256.0),
            Self::Q8_0 => blocks(34.0, 32.0),
            Self::Nf4 => 4.0 + 32.0 / 64.0,
            Self::Mxfp4 => 4.0 + 8.0 / 32.0,
            Self::Unquantized => 16.0,
        }
    }

    /// The number of elements by which a channel's length must be divisible.
    pub const fn block(self) -> u64 {
        match self {
            Self::Integer { scale: Scale::Group(size), .. } => size.inputs() as u64,
            Self::Integer { .. } | Self::Unquantized => 1,
            Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => 256,
            Self::Q4_0 | Self::Iq4Nl | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 | Self::Mxfp4 => 32,
            Self::Nf4 => 64,
        }
    }

    /// What a tool stores instead where a channel of `inputs` elements does not divide into blocks: `llama-quantize` has
    /// a block of 32 for each of 256, and everything ends in 16 bits.
    pub const fn fitted(self, inputs: u64) -> Self {
        if inputs.is_multiple_of(self.block()) {
            return self;
        }
        let smaller = match self {
            Self::Q3K => Self::Iq4Nl,
            Self::Q4K => Self::Q5_0,
            Self::Q5K => Self::Q5_1,
            Self::Q6K => Self::Q8_0,
            _ => Self::Unquantized,
        };
        if inputs.is_multiple_of(smaller.block()) { smaller } else { Self::Unquantized }
    }

    /// Whether weights are rounded at all.
    pub const fn is_quantized(self) -> bool {
        !matches!(self, Self::Unquantized)
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer { bits, scale: Scale::Tensor } => write!(f, "int{bits}-per-tensor"),
            Self::Integer { bits, scale: Scale::Channel } => write!(f, "int{bits}-per-channel"),
            Self::Integer { bits, scale: Scale::Group(size) } => write!(f, "int{bits}-g{}", size.inputs()),
            Self::Q3K => f.write_str("q3_k"),
            Self::Q4_0 => f.write_str("q4_0"),
            Self::Iq4Nl => f.write_str("iq4_nl"),
            Self::Q4K => f.write_str("q4_k"),
            Self::Q5_0 => f.write_str("q5_0"),
            Self::Q5_1 => f.write_str("q5_1"),
            Self::Q5K => f.write_str("q5_k"),
            Self::Q6K => f.write_str("q6_k"),
            Self::Q8_0 => f.write_str("q8_0"),
            Self::Nf4 => f.write_str("nf4"),
            Self::Mxfp4 => f.write_str("mxfp4"),
            Self::Unquantized => f.write_str("16-bit"),
        }
    }
}

impl serde::Serialize for Precision {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_count_the_scales() {
        let bits = [
            (Precision::Q8_0, 8.5),
            (Precision::Q4_0, 4.5),
            (Precision::Q4K, 4.5),
            (Precision::Q6K, 6.5625),
            (Precision::Q3K, 3.4375),
            (Precision::Mxfp4, 4.25),
            (Precision::Nf4, 4.5),
            (Precision::integer(4, Scale::Group(GroupSize::G128)), 4.125),
            (Precision::integer(8, Scale::Channel), 8.0 + 16.0 / 768.0),
            (Precision::integer(8, Scale::Tensor), 8.0),
            (Precision::Unquantized, 16.0),
        ];
        for (precision, expected) in bits {
            assert_eq!(precision.bits_per_weight(768), expected, "{precision}");
        }
    }

    #[test]
    fn channels_that_do_not_divide_are_stored_otherwise() {
        assert_eq!(Precision::Q4K.fitted(768), Precision::Q4K);
        assert_eq!(Precision::Q4K.fitted(96), Precision::Q5_0);
        assert_eq!(Precision::Q6K.fitted(96), Precision::Q8_0);
        assert_eq!(Precision::Q4K.fitted(100), Precision::Unquantized);
        assert_eq!(Precision::integer(4, Scale::Group(GroupSize::G128)).fitted(192), Precision::Unquantized);
        assert_eq!(Precision::integer(4, Scale::Channel).fitted(7), Precision::integer(4, Scale::Channel));
    }
}
