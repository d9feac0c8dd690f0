//! What can be wrong with an ONNX model, with the numbers and what to do about it.

use std::path::PathBuf;

use crate::format::{FormatFault, Shape};

/// What every damaged model calls for.
const ADVICE: &str = "the file is truncated or damaged: download it again";

/// What a model that points outside its folder calls for.
const DISTRUST: &str = "do not use this model unless you trust where it is from";

/// Why an ONNX model was refused. Offsets are from the start of the model's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum OnnxFault {
    /// A message is not what protobuf calls for.
    #[error("{what} at byte {offset} cannot be decoded: {detail}; {ADVICE}")]
    Wire {
        /// The message.
        what: String,
        /// Where it begins.
        offset: u64,
        /// The decoder's message.
        detail: String,
    },
    /// The model has no graph.
    #[error("the model has no graph; {ADVICE}")]
    NoGraph,
    /// Graphs are nested too deeply.
    #[error("the graph at byte {offset} is nested in {limit} others; {DISTRUST}")]
    TooDeep {
        /// Where the graph begins.
        offset: u64,
        /// The most that is followed.
        limit: usize,
    },
    /// A dimension is negative.
    #[error("tensor {tensor:?} at byte {offset}: dimension {dimension} is no size; {ADVICE}")]
    Dimension {
        /// The tensor.
        tensor: String,
        /// Where it begins.
        offset: u64,
        /// The dimension.
        dimension: i64,
    },
    /// The number of bytes is beyond 64 bits.
    #[error("tensor {tensor:?} at byte {offset}: {dtype} of shape {shape} overflows 64 bits; {ADVICE}")]
    ShapeOverflow {
        /// The tensor.
        tensor: String,
        /// Where it begins.
        offset: u64,
        /// The shape.
        shape: Shape,
        /// The element type.
        dtype: String,
    },
    /// The data is not as long as type and shape call for.
    #[error(
        "tensor {tensor:?} at byte {offset}: {dtype} of shape {shape} takes {needed} {unit}, its data has {found}; {ADVICE}"
    )]
    Length {
        /// The tensor.
        tensor: String,
        /// Where it begins.
        offset: u64,
        /// The shape.
        shape: Shape,
        /// The element type.
        dtype: String,
        /// `bytes` or `elements`.
        unit: &'static str,
        /// How many are needed.
        needed: u64,
        /// How many there are.
        found: u64,
    },
    /// The entry that locates external data is wrong.
    #[error("tensor {tensor:?} at byte {offset}: its external data has {detail}; {ADVICE}")]
    ExternalEntry {
        /// The tensor.
        tensor: String,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        detail: String,
    },
    /// External data is said to be outside the model's folder.
    #[error(
        "tensor {tensor:?}: its data is said to be in {location:?}, which is not inside the model's folder; {DISTRUST}"
    )]
    ExternalOutside {
        /// The tensor.
        tensor: String,
        /// The file as the model names it.
        location: String,
    },
    /// The file of external data cannot be opened.
    #[error("tensor {tensor:?} has its data in another file: {detail}; download it too, into the model's folder")]
    ExternalFile {
        /// The tensor.
        tensor: String,
        /// Why it cannot be opened, which names the file.
        detail: String,
    },
    /// The file of external data is too short.
    #[error(
        "tensor {tensor:?} has its data in {}, bytes {start}..{end}, which has only {length}; \
         that file is truncated or of another model: download it again",
        file.display()
    )]
    ExternalRange {
        /// The tensor.
        tensor: String,
        /// The file of external data.
        file: PathBuf,
        /// Where the data begins.
        start: u64,
        /// Where it ends.
        end: u64,
        /// Length of the file.
        length: u64,
    },
}

impl FormatFault for OnnxFault {
    fn tensor(&self) -> Option<&str> {
        match self {
            Self::Dimension { tensor, .. }
            | Self::ShapeOverflow { tensor, .. }
            | Self::Length { tensor, .. }
            | Self::ExternalEntry { tensor, .. }
            | Self::ExternalOutside { tensor, .. }
            | Self::ExternalFile { tensor, .. }
            | Self::ExternalRange { tensor, .. } => Some(tensor),
            Self::Wire { .. } | Self::NoGraph | Self::TooDeep { .. } => None,
        }
    }

    fn offset(&self) -> Option<u64> {
        match *self {
            Self::Wire { offset, .. }
            | Self::TooDeep { offset, .. }
            | Self::Dimension { offset, .. }
            | Self::ShapeOverflow { offset, .. }
            | Self::Length { offset, .. }
            | Self::ExternalEntry { offset, .. } => Some(offset),
            _ => None,
        }
    }
}
