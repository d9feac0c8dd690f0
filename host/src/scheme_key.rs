//! The keys of `quantization` in `run.json`: which scheme an error is of. Printed and parsed from one definition; nothing else
//! spells them.
//!
//! What a device measures has the keys of [`Scheme`]. What is predicted from the histogram has one scale for the tensor and
//! the keys of [`TensorScheme`]. Records of other versions may hold keys that are neither; they are kept and shown as they are.

use std::{fmt, str::FromStr};

use kurtoscope_shared::quantization::Scheme;
use thiserror::Error;

/// Symmetric integers with one scale for the whole tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TensorScheme {
    /// 8 bits; the highest level is the largest magnitude.
    Int8,
    /// 8 bits, with the clipping that has the least error.
    Int8Clipped,
    /// 4 bits; the highest level is the largest magnitude.
    Int4,
    /// 4 bits, with the clipping that has the least error.
    Int4Clipped,
}

impl TensorScheme {
    /// Every scheme, most bits first.
    pub const ALL: [Self; 4] = [Self::Int8, Self::Int8Clipped, Self::Int4, Self::Int4Clipped];
    /// The schemes that clip nothing, most bits first.
    pub const UNCLIPPED: [Self; 2] = [Self::Int8, Self::Int4];

    /// The key in `run.json`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Int8 => "int8_per_tensor",
            Self::Int8Clipped => "int8_per_tensor_clipped",
            Self::Int4 => "int4_per_tensor",
            Self::Int4Clipped => "int4_per_tensor_clipped",
        }
    }

    /// Bits of an element.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Int8 | Self::Int8Clipped => 8,
            Self::Int4 | Self::Int4Clipped => 4,
        }
    }

    /// Whether large magnitudes are clipped.
    pub const fn is_clipped(self) -> bool {
        matches!(self, Self::Int8Clipped | Self::Int4Clipped)
    }
}

/// A scheme that a record has an error of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemeKey {
    /// One scale for the tensor.
    Tensor(TensorScheme),
    /// A scale for each block.
    Blocks(Scheme),
}

impl SchemeKey {
    /// Every scheme: those of one scale a tensor, then those of blocks.
    pub fn all() -> impl Iterator<Item = Self> {
        TensorScheme::ALL.map(Self::Tensor).into_iter().chain(Scheme::ALL.map(Self::Blocks))
    }

    /// As `run.json` has it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tensor(scheme) => scheme.key(),
            Self::Blocks(scheme) => scheme.key(),
        }
    }
}

impl From<TensorScheme> for SchemeKey {
    fn from(scheme: TensorScheme) -> Self {
        Self::Tensor(scheme)
    }
}

impl From<Scheme> for SchemeKey {
    fn from(scheme: Scheme) -> Self {
        Self::Blocks(scheme)
    }
}

impl fmt::Display for SchemeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}

/// No scheme of this version has this key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{key}\" is no quantization scheme of this version")]
pub struct UnknownScheme {
    /// The key.
    pub key: String,
}

impl FromStr for SchemeKey {
    type Err = UnknownScheme;

    fn from_str(key: &str) -> Result<Self, UnknownScheme> {
        Self::all().find(|scheme| scheme.key() == key).ok_or_else(|| UnknownScheme { key: key.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let mut keys: Vec<&str> = SchemeKey::all().map(SchemeKey::key).collect();
        for key in &keys {
            assert_eq!(key.parse::<SchemeKey>().expect("known").to_string(), *key);
        }
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 16);
        let error = "int2_per_tensor".parse::<SchemeKey>().expect_err("unknown").to_string();
        assert!(error.contains("\"int2_per_tensor\""), "{error}");
    }
}
