//! What a reader of any format finds in one file: the same few facts about every tensor, and a way to its elements.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use kurtoscope_shared::Element;
use serde_json::Value;

use crate::Unmeasured;
use crate::source::MappedFile;

/// What one file holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The tensors that can be measured, in no particular order.
    pub(super) tensors: Vec<Entry>,
    /// The tensors that cannot.
    pub(super) unmeasured: Vec<Unmeasured>,
    /// The file says that its weights are made up.
    pub(super) synthetic: bool,
    /// What the file itself says about the model, under the keys of a `config.json`; used where there is none.
    pub(super) config: Option<Value>,
}

/// One tensor of a file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    /// The type of the elements as they are measured.
    pub(super) element: Element,
    /// How the file stores them, as reports name it: the element's name, or the name of a quantized block.
    pub(super) stored: String,
    pub(super) data: Data,
}

/// Where a tensor's elements come from.
#[derive(Debug, Clone)]
pub(super) enum Data {
    /// They lie in the file as they are measured: these bytes, always inside the file.
    Mapped(Range<usize>),
    /// They are computed from the file when they are asked for.
    Computed {
        /// How.
        elements: Arc<dyn Elements>,
        /// The bytes of the file that they are computed from; all of it where the reader cannot tell.
        from: Range<usize>,
    },
}

/// Elements that have to be unpacked, dequantized or put in order before they can be measured.
pub(super) trait Elements: fmt::Debug + Send + Sync {
    /// The elements at positions `range`, rows outermost, as little-endian bytes of the entry's element type.
    ///
    /// `range` is inside the tensor. Called from several threads at once, mostly with ranges that follow each other; what
    /// is kept between calls is bounded by one tensor.
    ///
    /// # Errors
    /// What is wrong, in words that can follow a tensor's name; the file has changed or is damaged.
    fn read(&self, range: Range<u64>) -> Result<Bytes, String>;

    /// The file that they are computed from, and the bytes there, where it is not the file that lists the tensor.
    fn elsewhere(&self) -> Option<(&MappedFile, Range<usize>)> {
        None
    }
}
