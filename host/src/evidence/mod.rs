//! Evidence: what runs, built-in facts and the user's own facts state about models, as rows that hypotheses and
//! experiments read. No hypothesis is tested here.
//!
//! `runs` turns `run.json` files into rows, `facts` adds what `config.json`, GGUF metadata, the built-in table and the user's file
//! (`user_facts`) say. `recorded` holds the investigation that the project began with.

mod error;
mod facts;
mod gguf_metadata;
pub(crate) mod known;
mod pattern;
mod recorded;
mod runs;
mod user_facts;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use kurtoscope_checkpoint::model::{Component, Family};

pub use error::{EvidenceError, FactsError};
pub use facts::Facts;
pub use recorded::{Contradiction, Figures, Recorded, RecordedTable, RecordedVerdict};
pub use runs::{Gathered, gather, read};
pub use user_facts::UserFacts;

/// Everything that hypotheses and experiments may rest on.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Evidence {
    /// The models, each once.
    pub models: Vec<ModelEvidence>,
    /// The tensors of all models, in the order of `models`; each model's in its checkpoint's order.
    pub tensors: Vec<TensorEvidence>,
}

/// What is known about one model as a whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelEvidence {
    /// The model's name, as reports show it; made unique where two would be the same.
    pub name: String,
    /// Recognised from its files, or recorded.
    pub family: Family,
    /// Elements of all parameters; `None` where a recorded table does not say.
    pub parameters: Option<u64>,
    /// Number of layers of the main stack; `None` where that is not known.
    pub layers: Option<u32>,
    /// Made up by `kurtoscope demo`.
    pub synthetic: bool,
    /// What is known besides, by the name of the fact: `config.attention_dropout`, `training.precision`, …
    pub facts: BTreeMap<String, Fact>,
}

/// A value with where it was read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fact {
    /// The value.
    pub value: FactValue,
    /// By whom.
    pub provenance: Provenance,
}

/// The value of a fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FactValue {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A word: `fp16`, `english`, …
    Text(String),
}

/// The longest text of a configuration or of metadata that is a fact.
const TEXT_LIMIT: usize = 64;

impl FactValue {
    /// A value that can be a fact; `None` for lists, long texts and the like.
    fn from_json(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::Bool(flag) => Some(Self::Flag(*flag)),
            serde_json::Value::Number(number) => number.as_f64().filter(|number| number.is_finite()).map(Self::Number),
            serde_json::Value::String(text) if text.len() <= TEXT_LIMIT => Some(Self::Text(text.clone())),
            _ => None,
        }
    }
}

impl fmt::Display for FactValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.pad(text),
        }
    }
}

/// Where a fact was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Provenance {
    /// The model's own `config.json`, under this key.
    Config {
        /// The key.
        key: String,
    },
    /// The metadata of the model's GGUF file, under this key.
    Gguf {
        /// The key.
        key: String,
    },
    /// The table that ships with Kurtoscope.
    Table {
        /// Where its value was read, for a reader who checks it.
        source: String,
        /// False for values that were recalled and not read again.
        verified: bool,
    },
    /// The user's own facts file.
    User {
        /// Its path.
        file: String,
    },
    /// The recorded investigation.
    Recorded {
        /// The section that states it.
        section: String,
    },
}

/// One tensor of one model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorEvidence {
    /// Index in [`Evidence::models`].
    pub model: usize,
    /// The checkpoint's name for it.
    pub tensor: String,
    /// Its place in the network.
    pub component: Component,
    /// Its layer, from 0 in its tower.
    pub layer: Option<u32>,
    /// The tower that it belongs to, where that is not the model's main stack of layers: `vision`, `encoder`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tower: Option<String>,
    /// `layer / (layers - 1)`: 0 for the first layer of the main stack, 1 for its last; `None` outside it and where it has one
    /// layer.
    pub depth: Option<f64>,
    /// Dimensions, outermost first; empty where a recorded table does not say.
    pub shape: Vec<u64>,
    /// Finite elements; `None` where a recorded table does not say.
    pub elements: Option<u64>,
    /// Kurtosis (Pearson); `None` where undefined.
    pub kurtosis: Option<f64>,
    /// Kurtosis without the farthest element.
    pub kurtosis_without_1: Option<f64>,
    /// Kurtosis without the 4 farthest.
    pub kurtosis_without_4: Option<f64>,
    /// Kurtosis without the 16 farthest.
    pub kurtosis_without_16: Option<f64>,
}

impl TensorEvidence {
    /// Its layer in the model's main stack; layers of other towers are none of it, whatever their numbers are.
    pub fn main_layer(&self) -> Option<u32> {
        self.layer.filter(|_| self.tower.is_none())
    }

    /// Whether the tensor is one of those that represent the blocks. Embeddings and output heads are left out: their
    /// shape is the vocabulary's, and rare tokens give them tails of their own; so is what leads to them.
    pub fn is_of_blocks(&self) -> bool {
        !matches!(
            self.component,
            Component::Embedding
                | Component::PositionEmbedding
                | Component::PatchEmbedding
                | Component::EmbeddingProjection
                | Component::Projector
                | Component::HeadTransform
                | Component::Head
                | Component::Classifier
        )
    }
}
