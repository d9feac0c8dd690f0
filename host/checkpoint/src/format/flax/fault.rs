//! What can be wrong with a Flax checkpoint, with the numbers and what to do about it.

use crate::format::{FormatFault, Shape};

/// What every damaged file calls for.
const ADVICE: &str = "the file is damaged: download or save it again";

/// Why a Flax checkpoint was refused. `tensor` is its name as far as it had been read, empty at the top.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FlaxFault {
    /// Something else is there than Flax writes.
    #[error("tensor {tensor:?}: {expected} should be at byte {offset}; {ADVICE}")]
    Unexpected { tensor: String, offset: u64, expected: &'static str },
    /// A value goes on behind the end of the file, or of the array that it is in.
    #[error("tensor {tensor:?}: a value calls for {needed} bytes from byte {offset}, there are {available}; {ADVICE}")]
    Truncated { tensor: String, offset: u64, needed: u64, available: u64 },
    /// Maps are nested deeper than any model's.
    #[error("tensor {tensor:?}: more than {limit} maps are nested at byte {offset}; {ADVICE}")]
    Depth { tensor: String, offset: u64, limit: usize },
    /// A name is longer than any model's.
    #[error("tensor {tensor:?}: its name at byte {offset} is longer than {limit} bytes; {ADVICE}")]
    Name { tensor: String, offset: u64, limit: usize },
    /// The number of bytes is beyond 64 bits.
    #[error("tensor {tensor:?} at byte {offset}: {dtype} of shape {shape} overflows 64 bits; {ADVICE}")]
    ShapeOverflow { tensor: String, offset: u64, shape: Shape, dtype: String },
    /// The elements are not as many as the shape says.
    #[error("tensor {tensor:?}: its shape calls for {needed} bytes at byte {offset}, there are {available}; {ADVICE}")]
    Length { tensor: String, offset: u64, needed: u64, available: u64 },
    /// An array in chunks is not whole.
    #[error("tensor {tensor:?}, an array in chunks at byte {offset}: {detail}; {ADVICE}")]
    Chunks { tensor: String, offset: u64, detail: &'static str },
    /// Something follows the outermost map.
    #[error("{remaining} bytes follow the end of the model at byte {offset}; {ADVICE}")]
    Trailing { offset: u64, remaining: u64 },
}

impl FormatFault for FlaxFault {
    fn tensor(&self) -> Option<&str> {
        match self {
            Self::Unexpected { tensor, .. }
            | Self::Truncated { tensor, .. }
            | Self::Depth { tensor, .. }
            | Self::Name { tensor, .. }
            | Self::ShapeOverflow { tensor, .. }
            | Self::Length { tensor, .. }
            | Self::Chunks { tensor, .. } => Some(tensor).filter(|name| !name.is_empty()).map(String::as_str),
            Self::Trailing { .. } => None,
        }
    }

    fn offset(&self) -> Option<u64> {
        match *self {
            Self::Unexpected { offset, .. }
            | Self::Truncated { offset, .. }
            | Self::Depth { offset, .. }
            | Self::Name { offset, .. }
            | Self::ShapeOverflow { offset, .. }
            | Self::Length { offset, .. }
            | Self::Chunks { offset, .. }
            | Self::Trailing { offset, .. } => Some(offset),
        }
    }
}
