//! What a reader of any format finds in one file: the same few facts about every tensor, and how its elements are read.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use kurtoscope_shared::Element;
use serde_json::Value;

use crate::packed::matmul_nbits::Attributes;
use crate::packed::{Role, Stored, StoredType};
use crate::source::MappedFile;
use crate::unmeasured::Unmeasured;

/// What one file holds.
#[derive(Debug, Default)]
pub(crate) struct FileContents {
    /// The tensors that can be measured, in no particular order.
    pub(crate) tensors: Vec<TensorEntry>,
    /// The tensors that cannot.
    pub(crate) unmeasured: Vec<Unmeasured>,
    /// The tensors that can be measured only as part of a quantized weight.
    pub(crate) components: Vec<ComponentEntry>,
    /// The quantized weights that a graph's nodes describe.
    pub(crate) nodes: Vec<PackedNode>,
    /// Scales and zero points that a graph's nodes read.
    pub(crate) descriptions: Vec<TensorEntry>,
    /// What a graph's nodes tell about tensors, by their names, and how those are quantized that nodes dequantize.
    pub(crate) graph: HashMap<String, (GraphUse, Option<Stored>)>,
    /// The file states that its weights are synthetic.
    pub(crate) synthetic: bool,
    /// What the file itself states about the model, under the keys of a `config.json`; used where there is none.
    pub(crate) config: Option<Value>,
}

impl FileContents {
    /// Drops the tensors whose names `keeps` does not accept.
    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&str) -> bool) {
        self.tensors.retain(|tensor| keeps(&tensor.name));
        self.unmeasured.retain(|tensor| keeps(&tensor.name));
        self.components.retain(|entry| keeps(&entry.otherwise.name));
        self.descriptions.retain(|tensor| keeps(&tensor.name));
    }
}

/// What the nodes of a graph tell about a tensor that they read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphUse {
    /// The parameter's name in the model that was exported, as far as nodes and the tensor's name give it:
    /// `model.layers.0.self_attn.q_proj.weight`. `None` where that is the tensor's own name, or is not known.
    pub path: Option<String>,
    /// The dimension along which outputs run; `None` for what is not multiplied with, and where it is not known.
    pub output_axis: Option<usize>,
    /// Rows are looked up by their numbers, as those of embeddings are.
    pub is_lookup: bool,
    /// A table that was computed, not trained: the sines and cosines of rotary positions.
    pub is_table: bool,
}

/// One tensor of a file.
#[derive(Debug)]
pub(crate) struct TensorEntry {
    pub(crate) name: String,
    pub(crate) shape: Vec<u64>,
    /// The type of the elements as they are measured.
    pub(crate) element: Element,
    /// How the file stores them, as reports name it: the element's name, or the name of a quantized block.
    pub(crate) stored: String,
    pub(crate) data: TensorData,
}

/// A tensor of a type that means nothing on its own: packed codes, scales.
#[derive(Debug)]
pub(crate) struct ComponentEntry {
    /// How it is listed if no quantized weight has it.
    pub(crate) otherwise: Unmeasured,
    pub(crate) stored: StoredType,
    /// Its bytes, always inside the file.
    pub(crate) range: Range<usize>,
}

/// A node that reads a quantized weight and says how it is stored.
#[derive(Debug)]
pub(crate) struct PackedNode {
    /// Its tensors by name; the codes come first.
    pub(crate) members: Vec<(Role, String)>,
    pub(crate) attributes: Attributes,
}

/// Where a tensor's elements come from.
#[derive(Debug, Clone)]
pub(crate) enum TensorData {
    /// The file stores them as they are measured: these bytes, always inside the file.
    Mapped(Range<usize>),
    /// They are computed from the file when they are asked for.
    Computed {
        /// How.
        elements: Arc<dyn ElementSource>,
        /// The bytes of the file that they are computed from; all of it where the reader does not know.
        from: Range<usize>,
    },
}

impl TensorData {
    /// The bytes of the file that hold the tensor.
    pub(crate) fn range(&self) -> Range<usize> {
        match self {
            Self::Mapped(range) | Self::Computed { from: range, .. } => range.clone(),
        }
    }

    /// The other file that holds the tensor, and the bytes there, where it is not in the file that lists it.
    pub(crate) fn elsewhere(&self) -> Option<(&MappedFile, Range<usize>)> {
        match self {
            Self::Mapped(_) => None,
            Self::Computed { elements, .. } => elements.elsewhere(),
        }
    }
}

/// Computes elements that have to be unpacked, dequantized or reordered before they can be measured.
pub(crate) trait ElementSource: fmt::Debug + Send + Sync {
    /// The elements at positions `range`, rows outermost, as little-endian bytes of the entry's element type.
    ///
    /// `range` is inside the tensor. Called from several threads at once, mostly with ranges that follow each other; what
    /// is kept between calls is bounded by one tensor.
    ///
    /// # Errors
    /// What is wrong, as text that follows a tensor's name; the file has changed or is damaged.
    fn read(&self, range: Range<u64>) -> Result<Bytes, String>;

    /// The file that they are computed from, and the bytes there, where it is not the file that lists the tensor.
    fn elsewhere(&self) -> Option<(&MappedFile, Range<usize>)> {
        None
    }
}
