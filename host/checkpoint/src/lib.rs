#![doc = include_str!("../README.md")]
//!
//! # Where a change belongs
//!
//! Imports run from the top of this table to the bottom.
//!
//! | module | holds |
//! |---|---|
//! | [`hub`] | models on the Hugging Face hub, brought to disk |
//! | `checkpoint` | a model opened: its files, its tensors, their elements |
//! | `format` | one module a file format, behind one trait |
//! | `select` | which files of a folder or a repository are the model |
//! | `source` | files: mapped, or small JSON |
//! | [`packed`] | quantized weights as the numbers that the model multiplies with |
//! | [`model`] | what names and configuration say: family, component, layer, the parts of fused tensors |

mod checkpoint;
mod format;
pub mod hub;
pub mod model;
pub mod packed;
mod select;
mod source;
#[cfg(test)]
mod testing;
mod unmeasured;

pub use checkpoint::{Checkpoint, CheckpointError, QuantizationTensor, StoredTensor};
pub use format::{FileKind, FormatFault, GraphUse};
pub use select::{FORMATS, IndexError, SelectError, Selection, Weights, select, select_file};
pub use source::SourceError;
pub use unmeasured::Unmeasured;
