//! What can be wrong with a safetensors file, with the numbers and what to do about it.

use crate::format::{FormatFault, Shape};

/// What every damaged entry calls for.
const ADVICE: &str = "the file is damaged or was written by a broken tool: download it again";

/// Why a file was refused. Offsets are from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SafetensorsFault {
    /// The file is too short to hold a header's length.
    #[error("the file is {length} bytes long, too short for any format of weights; download it again")]
    TooShort {
        /// Its length.
        length: u64,
    },
    /// The header is declared longer than the file.
    #[error(
        "bytes 0..8 declare a header of {header} bytes, but only {} follow; \
         the file is truncated, or of no known format: download it again",
        length.saturating_sub(8)
    )]
    HeaderPastEnd {
        /// Declared length of the header.
        header: u64,
        /// Length of the file.
        length: u64,
    },
    /// The header is longer than the format allows.
    #[error(
        "bytes 0..8 declare a header of {header} bytes, safetensors allows at most {limit}; \
         the file is damaged: download it again"
    )]
    HeaderTooLong {
        /// Declared length of the header.
        header: u64,
        /// The most that the format allows.
        limit: u64,
    },
    /// The header is not UTF-8.
    #[error("the header is not UTF-8 at byte {offset}; the file is damaged: download it again")]
    NotUtf8 {
        /// The first bad byte.
        offset: u64,
    },
    /// The header is not JSON.
    #[error("the header is not JSON at byte {offset}: {detail}; the file is damaged: download it again")]
    NotJson {
        /// Where the parser stopped.
        offset: u64,
        /// The parser's message.
        detail: String,
    },
    /// The header is JSON, but not a safetensors header.
    #[error("the header is not a safetensors header: {detail}; it was written by a broken tool: save it again")]
    Structure {
        /// What is wrong.
        detail: String,
    },
    /// A tensor's entry in the header is wrong.
    #[error("tensor {tensor:?}: {fault}")]
    Tensor {
        /// The tensor.
        tensor: String,
        /// What is wrong with it.
        fault: TensorFault,
    },
    /// The file ends before the data of a tensor does.
    #[error(
        "the data of tensor {tensor:?} ends at byte {end}, the file at byte {length}: {missing} bytes are missing; \
         the file is truncated: download it again"
    )]
    Truncated {
        /// The first tensor whose data is not all there.
        tensor: String,
        /// Where its data should end.
        end: u64,
        /// Length of the file.
        length: u64,
        /// Bytes missing at the end of the file, over all tensors.
        missing: u64,
    },
    /// Bytes follow the last tensor's data.
    #[error(
        "the last tensor's data ends at byte {end}, but the file goes on to byte {length}; \
         the file is damaged or was written by a broken tool: download it again"
    )]
    TrailingBytes {
        /// Where the data ends.
        end: u64,
        /// Length of the file.
        length: u64,
    },
}

impl FormatFault for SafetensorsFault {
    fn tensor(&self) -> Option<&str> {
        match self {
            Self::Tensor { tensor, .. } | Self::Truncated { tensor, .. } => Some(tensor),
            _ => None,
        }
    }

    fn offset(&self) -> Option<u64> {
        match *self {
            Self::HeaderPastEnd { .. } | Self::HeaderTooLong { .. } => Some(0),
            Self::NotUtf8 { offset } | Self::NotJson { offset, .. } => Some(offset),
            Self::TooShort { length } | Self::Truncated { length, .. } => Some(length),
            Self::TrailingBytes { end, .. } => Some(end),
            Self::Structure { .. } | Self::Tensor { .. } => None,
        }
    }
}

/// Why a tensor's entry in the header was refused. Offsets are as the header states them: from the start of the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TensorFault {
    /// The entry lacks a field or a field is not what it should be.
    #[error("its header entry is wrong: {detail}; {ADVICE}")]
    TensorEntry {
        /// What is wrong.
        detail: String,
    },
    /// The header lists the tensor twice.
    #[error("the header lists it twice; {ADVICE}")]
    Repeated,
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
