//! The places in a transformer that a tensor can belong to.

use serde::{Deserialize, Serialize};

/// A tensor's place in the network, under one name for all families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Token embedding.
    Embedding,
    /// Learned position embedding.
    PositionEmbedding,
    /// Query projection of an attention.
    AttentionQuery,
    /// Key projection of an attention.
    AttentionKey,
    /// Value projection of an attention.
    AttentionValue,
    /// Query, key and value projections stored as one tensor.
    AttentionQkv,
    /// Output projection of an attention.
    AttentionOutput,
    /// Gate of a gated feed-forward block.
    MlpGate,
    /// First (widening) projection of a feed-forward block.
    MlpUp,
    /// Last (narrowing) projection of a feed-forward block.
    MlpDown,
    /// Weight or bias of a normalisation.
    Norm,
    /// Output head over the vocabulary.
    Head,
    /// Bias of a projection.
    Bias,
    /// Anything else.
    Other,
}

impl Component {
    /// Every component, in the order in which tables list them.
    pub const ALL: [Self; 14] = [
        Self::Embedding,
        Self::PositionEmbedding,
        Self::AttentionQuery,
        Self::AttentionKey,
        Self::AttentionValue,
        Self::AttentionQkv,
        Self::AttentionOutput,
        Self::MlpGate,
        Self::MlpUp,
        Self::MlpDown,
        Self::Norm,
        Self::Head,
        Self::Bias,
        Self::Other,
    ];

    /// The name in reports and files: `attention_output`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::PositionEmbedding => "position_embedding",
            Self::AttentionQuery => "attention_query",
            Self::AttentionKey => "attention_key",
            Self::AttentionValue => "attention_value",
            Self::AttentionQkv => "attention_qkv",
            Self::AttentionOutput => "attention_output",
            Self::MlpGate => "mlp_gate",
            Self::MlpUp => "mlp_up",
            Self::MlpDown => "mlp_down",
            Self::Norm => "norm",
            Self::Head => "head",
            Self::Bias => "bias",
            Self::Other => "other",
        }
    }
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
