//! Weights on disk and on the Hugging Face hub, and what their names say about the model.
//!
//! | module | holds |
//! |---|---|
//! | [`checkpoint`] | weights on disk, memory-mapped |
//! | [`hub`] | weights on the Hugging Face hub, brought to disk |
//! | [`model`] | what names and configuration say: family, component, layer, the parts of fused tensors |

pub mod checkpoint;
mod format;
pub mod hub;
pub mod model;
mod select;
mod source;
#[cfg(test)]
mod testing;
mod unmeasured;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use format::{FileKind, FormatFault};
pub use select::{IndexError, SelectError, Selection, Weights, select, select_file};
pub use source::SourceError;
pub use unmeasured::Unmeasured;
