//! What can be wrong with the header of a GGUF file, with the field, the numbers and what to do about it.

use std::fmt;

use crate::format::{FormatFault, Shape};

/// What every damaged header calls for.
const ADVICE: &str = "the file is damaged or was written by a broken tool: download it again";

/// Why the header of a GGUF file was refused. Offsets are from the start of the file unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum GgufFault {
    /// A version that is not read.
    #[error("GGUF version {version}, this version reads 2 and 3; convert the model again with a current llama.cpp")]
    Version {
        /// The version that the file states.
        version: u32,
    },
    /// The file was written for big-endian machines.
    #[error("GGUF version {version} in big-endian order, only little-endian is read; download the little-endian file")]
    BigEndian {
        /// The version that the file states, read the other way round.
        version: u32,
    },
    /// The file ends inside its header.
    #[error(
        "the file ends inside its header: {field} needs {needed} bytes at byte {offset}, {left} are left; \
         the file is truncated or damaged: download it again"
    )]
    Ends {
        /// What was being read.
        field: HeaderField,
        /// Where in the file.
        offset: u64,
        /// Bytes that it takes, at least.
        needed: u64,
        /// Bytes that the file still has there.
        left: u64,
    },
    /// A name or key is not UTF-8.
    #[error("{field} is not UTF-8 at byte {offset}; {ADVICE}")]
    NotUtf8 {
        /// What was being read.
        field: HeaderField,
        /// Where in the file the first bad byte is.
        offset: u64,
    },
    /// A metadata value of a type that the format does not have.
    #[error("{field} is of the unknown type {kind}, at byte {offset}; {ADVICE}")]
    ValueType {
        /// Which value.
        field: HeaderField,
        /// The type's number.
        kind: u32,
        /// Where in the file that number is.
        offset: u64,
    },
    /// Arrays inside arrays inside arrays.
    #[error("{field} nests arrays more than {limit} deep, at byte {offset}; {ADVICE}")]
    Nesting {
        /// Which value.
        field: HeaderField,
        /// The deepest that is read.
        limit: u32,
        /// Where in the file the array too deep begins.
        offset: u64,
    },
    /// A key is there twice.
    #[error("the metadata has {key:?} twice; {ADVICE}")]
    RepeatedKey {
        /// The key.
        key: String,
    },
    /// A tensor is there twice.
    #[error("the header lists tensor {tensor:?} twice; {ADVICE}")]
    RepeatedTensor {
        /// The tensor.
        tensor: String,
    },
    /// An alignment that is not a power of two.
    #[error("general.alignment is {alignment}, not a power of two up to {limit}; {ADVICE}")]
    Alignment {
        /// The alignment.
        alignment: u64,
        /// The largest that is read.
        limit: u64,
    },
    /// More dimensions than the format allows.
    #[error("tensor {tensor:?} has {dimensions} dimensions, GGUF allows at most {limit}; {ADVICE}")]
    Dimensions {
        /// The tensor.
        tensor: String,
        /// How many it has.
        dimensions: u32,
        /// The most that the format allows.
        limit: u32,
    },
    /// Rows that do not divide into blocks.
    #[error("tensor {tensor:?}: rows of shape {shape} do not divide into {stored} blocks of {block}; {ADVICE}")]
    PartialBlock {
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Shape,
        /// The blocks' type.
        stored: &'static str,
        /// Elements in a block.
        block: u64,
    },
    /// Data that is not aligned as the header says that all data is.
    #[error(
        "tensor {tensor:?}: offset {offset} into the data is not a multiple of the alignment {alignment}; {ADVICE}"
    )]
    Misaligned {
        /// The tensor.
        tensor: String,
        /// The offset, from the start of the data.
        offset: u64,
        /// The alignment.
        alignment: u64,
    },
    /// The number of elements, or of their bytes, is beyond 64 bits.
    #[error("tensor {tensor:?}: shape {shape} of {stored} overflows 64 bits; {ADVICE}")]
    ShapeOverflow {
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Shape,
        /// The element or block type.
        stored: &'static str,
    },
    /// The data overlaps that of another tensor. Offsets are from the start of the data.
    #[error(
        "tensor {tensor:?}: its offsets {start}..{end} overlap {previous:?}, which ends at {previous_end}; {ADVICE}"
    )]
    Overlap {
        /// The tensor.
        tensor: String,
        /// Where its data begins.
        start: u64,
        /// Where its data ends.
        end: u64,
        /// The tensor before it.
        previous: String,
        /// Where that one ends.
        previous_end: u64,
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
    /// The file is one of several, under a name from which the others cannot be found.
    #[error(
        "this is part {number} of {count} of a split model, and its name does not say so; \
         name it MODEL-{number:05}-of-{count:05}.gguf beside the other parts, or join them with llama-gguf-split --merge"
    )]
    Part {
        /// Which part, counted from 1.
        number: u64,
        /// Parts of the model.
        count: u64,
    },
}

impl FormatFault for GgufFault {
    fn tensor(&self) -> Option<&str> {
        match self {
            Self::RepeatedTensor { tensor }
            | Self::Dimensions { tensor, .. }
            | Self::PartialBlock { tensor, .. }
            | Self::Misaligned { tensor, .. }
            | Self::ShapeOverflow { tensor, .. }
            | Self::Overlap { tensor, .. }
            | Self::Truncated { tensor, .. } => Some(tensor),
            _ => None,
        }
    }

    fn offset(&self) -> Option<u64> {
        match *self {
            Self::Ends { offset, .. }
            | Self::NotUtf8 { offset, .. }
            | Self::ValueType { offset, .. }
            | Self::Nesting { offset, .. } => Some(offset),
            Self::Truncated { length, .. } => Some(length),
            _ => None,
        }
    }
}

/// A field of a header, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeaderField {
    /// The version and the counts at the start.
    Start,
    /// All of the metadata, by the number of its entries.
    Metadata(u64),
    /// The key of an entry of the metadata, by its number from 0.
    Key(u64),
    /// The value under a key.
    Value(String),
    /// The list of all tensors, by their number.
    Tensors(u64),
    /// The name of a tensor, by its number from 0.
    Name(u64),
    /// The entry of a tensor.
    Tensor(String),
}

impl fmt::Display for HeaderField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("the start of the header"),
            Self::Metadata(count) => write!(f, "metadata of {count} entries"),
            Self::Key(number) => write!(f, "the key of metadata entry {number}"),
            Self::Value(key) => write!(f, "the value of {key:?}"),
            Self::Tensors(count) => write!(f, "a list of {count} tensors"),
            Self::Name(number) => write!(f, "the name of tensor {number}"),
            Self::Tensor(name) => write!(f, "the entry of tensor {name:?}"),
        }
    }
}
