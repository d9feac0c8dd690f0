//! What can be wrong with one tensor's entry in a safetensors header.

use std::fmt;

/// What every damaged entry calls for.
const ADVICE: &str = "the file is damaged or was written by a broken tool: download it again";

/// Why a tensor's entry in the header was refused. Offsets are as the header states them: from the start of the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorFault {
    /// The entry lacks a field or a field is not what it should be.
    #[error("its header entry is wrong: {detail}; {ADVICE}")]
    Entry {
        /// What is wrong.
        detail: String,
    },
    /// The header lists the tensor twice.
    #[error("the header lists it twice; {ADVICE}")]
    Repeated,
    /// The element type is unknown.
    #[error("unknown element type {dtype:?}; a newer version of kurtoscope may know it, or the file is damaged")]
    UnknownType {
        /// The type as the header names it.
        dtype: String,
    },
    /// The number of elements, or of their bits, is beyond 64 bits.
    #[error("shape {shape} of {dtype} overflows 64 bits; {ADVICE}")]
    ShapeOverflow {
        /// The shape.
        shape: Shape,
        /// The element type.
        dtype: String,
    },
    /// The elements, of less than 8 bits each, do not fill whole bytes.
    #[error("shape {shape} of {dtype} needs {bits} bits, which are not whole bytes; {ADVICE}")]
    PartialByte {
        /// The shape.
        shape: Shape,
        /// The element type.
        dtype: String,
        /// Bits that the elements take.
        bits: u64,
    },
    /// Shape and type need another number of bytes than the offsets hold.
    #[error("shape {shape} of {dtype} needs {needed} bytes, its offsets {start}..{end} hold {}; {ADVICE}", end.saturating_sub(*start))]
    SizeMismatch {
        /// The shape.
        shape: Shape,
        /// The element type.
        dtype: String,
        /// Bytes that the elements take.
        needed: u64,
        /// First offset.
        start: u64,
        /// Second offset.
        end: u64,
    },
    /// The data ends before it begins.
    #[error("its offsets {start}..{end} run backwards; {ADVICE}")]
    Backwards {
        /// First offset.
        start: u64,
        /// Second offset.
        end: u64,
    },
    /// The data overlaps that of another tensor.
    #[error("its offsets {start}..{end} overlap {previous:?}, which ends at {expected}; {ADVICE}")]
    Overlap {
        /// First offset.
        start: u64,
        /// Second offset.
        end: u64,
        /// The tensor before it.
        previous: String,
        /// Where that one ends.
        expected: u64,
    },
    /// Bytes that belong to no tensor come before the data.
    #[error("its offsets {start}..{end} leave a gap: {expected}..{start} belongs to no tensor; {ADVICE}")]
    Gap {
        /// First offset.
        start: u64,
        /// Second offset.
        end: u64,
        /// Where the tensor before it ends.
        expected: u64,
    },
}

/// A shape as messages show it: `[4, 4]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape(pub Vec<u64>);

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A damaged header can claim any number of dimensions; a message needs only the first few.
        const SHOWN: usize = 8;
        f.write_str("[")?;
        for (i, dimension) in self.0.iter().take(SHOWN).enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{dimension}")?;
        }
        if self.0.len() > SHOWN {
            write!(f, ", … {} dimensions", self.0.len())?;
        }
        f.write_str("]")
    }
}
