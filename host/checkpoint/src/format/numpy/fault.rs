//! What can be wrong with a NumPy file, with the numbers and what to do about it.

use crate::format::{FormatFault, Shape};

/// What every damaged file calls for.
const ADVICE: &str = "the file is damaged: download or save it again";

/// Why a NumPy file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NumpyFault {
    /// The zip archive cannot be read.
    #[error("the archive cannot be read: {detail}; it is truncated or damaged: download it again")]
    Archive {
        /// The archive reader's message.
        detail: String,
    },
    /// A member of the archive cannot be read.
    #[error(
        "member {member:?} at byte {offset} cannot be read: {detail}; download it again, or save it again with numpy.savez"
    )]
    Member {
        /// The member.
        member: String,
        /// Where in the file it begins.
        offset: u64,
        /// What is wrong.
        detail: String,
    },
    /// The array's header is wrong.
    #[error("array {array:?}: its header is wrong: {detail}; {ADVICE}")]
    Header {
        /// The array.
        array: String,
        /// What is wrong.
        detail: String,
    },
    /// The number of bytes is beyond 64 bits.
    #[error("array {array:?}: {dtype} of shape {shape} overflows 64 bits; {ADVICE}")]
    ShapeOverflow {
        /// The array.
        array: String,
        /// The shape.
        shape: Shape,
        /// The element type.
        dtype: String,
    },
    /// The array's data is not as long as its header says.
    #[error(
        "array {array:?}: its header calls for {needed} bytes of data from byte {offset}, there are {available}; {ADVICE}"
    )]
    Length {
        /// The array.
        array: String,
        /// Where its data begins: in the file, or in the member where that is compressed.
        offset: u64,
        /// Bytes that the header calls for.
        needed: u64,
        /// Bytes that there are.
        available: u64,
    },
    /// A member says that it inflates to more than its compressed bytes can hold.
    #[error(
        "array {array:?}: {compressed} compressed bytes cannot inflate to the {inflated} that the archive claims; \
         do not use this file unless you trust where it is from"
    )]
    Bomb {
        /// The array.
        array: String,
        /// Bytes in the archive.
        compressed: u64,
        /// Bytes that they are said to inflate to.
        inflated: u64,
    },
}

impl FormatFault for NumpyFault {
    fn tensor(&self) -> Option<&str> {
        match self {
            Self::Header { array, .. }
            | Self::ShapeOverflow { array, .. }
            | Self::Length { array, .. }
            | Self::Bomb { array, .. } => Some(array),
            Self::Archive { .. } | Self::Member { .. } => None,
        }
    }

    fn offset(&self) -> Option<u64> {
        match *self {
            Self::Member { offset, .. } => Some(offset),
            _ => None,
        }
    }
}
