//! The places in a network that a tensor can belong to.

use serde::{Deserialize, Serialize};

/// Defines [`Component`] from one line a variant: its documentation, its name in Rust, its name in reports and files.
macro_rules! components {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A tensor's place in the network, under one name for all families.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Component {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Component {
            /// Every component, in the order in which tables list them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in reports and files: `attention_output`, …
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

components! {
    /// Embedding of tokens, of token types, or of one special token.
    Embedding = "embedding",
    /// Learned position embedding, absolute or relative.
    PositionEmbedding = "position_embedding",
    /// Projection of an image's patches into the model's width.
    PatchEmbedding = "patch_embedding",
    /// Projection into the width of a stack of blocks, or out of it.
    EmbeddingProjection = "embedding_projection",
    /// Query projection of an attention; in latent attention its compression and its expansion.
    AttentionQuery = "attention_query",
    /// Key projection of an attention.
    AttentionKey = "attention_key",
    /// Value projection of an attention.
    AttentionValue = "attention_value",
    /// Key and value of an attention in one tensor; in latent attention their common compression and its expansion.
    AttentionKeyValue = "attention_key_value",
    /// Query, key and value projections stored as one tensor.
    AttentionQkv = "attention_qkv",
    /// Output projection of an attention.
    AttentionOutput = "attention_output",
    /// Gate on the output of an attention.
    AttentionGate = "attention_gate",
    /// Small attention that selects which keys the main one looks at (DeepSeek V3.2).
    AttentionIndexer = "attention_indexer",
    /// Gate of a gated feed-forward block, dense or of an expert.
    MlpGate = "mlp_gate",
    /// First (widening) projection of a feed-forward block.
    MlpUp = "mlp_up",
    /// Gate and first projection of a feed-forward block stored as one tensor.
    MlpGateUp = "mlp_gate_up",
    /// Last (narrowing) projection of a feed-forward block.
    MlpDown = "mlp_down",
    /// Selects the experts of a token, or weighs a shared one.
    Router = "router",
    /// Input projection of a state-space or linear-attention layer.
    StateSpaceInput = "state_space_input",
    /// Recurrence of such a layer: `A`, `D`, step sizes, and what projects to them.
    StateSpace = "state_space",
    /// Output projection of such a layer.
    StateSpaceOutput = "state_space_output",
    /// Kernels of a convolution, that of state-space layers included.
    Convolution = "convolution",
    /// Conditions layers on a time step, a class or a text: embeddings of time, and projections to scale and shift.
    Conditioning = "conditioning",
    /// Connects the tower of one modality to another.
    Projector = "projector",
    /// Weight or bias of a normalisation.
    Norm = "norm",
    /// Learned factors of a layer's output, one a channel or one in all.
    Scale = "scale",
    /// Dense layer between the last block and a head: a pooler, the transform of a head over the vocabulary.
    HeadTransform = "head_transform",
    /// Output head: over the vocabulary in language models.
    Head = "head",
    /// Output head over anything else: classes, spans, scores.
    Classifier = "classifier",
    /// Part of an adapter: it changes a weight and is none.
    Adapter = "adapter",
    /// Bias of a projection, of any number of dimensions.
    Bias = "bias",
    /// Not known.
    Other = "other",
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
