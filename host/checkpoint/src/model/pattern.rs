//! The table of module names and the component that each is, over all families.
//!
//! One table serves every family because their names do not collide: where one ends like another (`dense`), the longer
//! pattern decides.

use super::component::Component::{self, *};

/// How a module's path ends, `*` standing for any one part, and what it then is.
const MODULES: &[(&str, Component)] = &[
    // Embeddings
    ("embed_tokens", Embedding),
    ("embed_in", Embedding),
    ("wte", Embedding),
    ("word_embeddings", Embedding),
    ("token_type_embeddings", Embedding),
    ("tok_embeddings", Embedding),
    ("tokens_embed", Embedding),
    ("token_embd", Embedding),
    ("token_types", Embedding),
    ("shared", Embedding),
    ("wpe", PositionEmbedding),
    ("embed_positions", PositionEmbedding),
    ("position_embeddings", PositionEmbedding),
    ("positions_embed", PositionEmbedding),
    ("position_embd", PositionEmbedding),
    ("relative_attention_bias", PositionEmbedding),
    ("attn_rel_b", PositionEmbedding),
    // Attention
    ("q_proj", AttentionQuery),
    ("query", AttentionQuery),
    ("query_proj", AttentionQuery),
    ("q_lin", AttentionQuery),
    ("attn_q", AttentionQuery),
    ("cross_attn_q", AttentionQuery),
    ("attention.wq", AttentionQuery),
    ("attn.q", AttentionQuery),
    ("SelfAttention.q", AttentionQuery),
    ("EncDecAttention.q", AttentionQuery),
    ("k_proj", AttentionKey),
    ("key", AttentionKey),
    ("key_proj", AttentionKey),
    ("k_lin", AttentionKey),
    ("attn_k", AttentionKey),
    ("cross_attn_k", AttentionKey),
    ("attention.wk", AttentionKey),
    ("attn.k", AttentionKey),
    ("SelfAttention.k", AttentionKey),
    ("EncDecAttention.k", AttentionKey),
    ("v_proj", AttentionValue),
    ("value", AttentionValue),
    ("value_proj", AttentionValue),
    ("v_lin", AttentionValue),
    ("attn_v", AttentionValue),
    ("cross_attn_v", AttentionValue),
    ("attention.wv", AttentionValue),
    ("attn.v", AttentionValue),
    ("SelfAttention.v", AttentionValue),
    ("EncDecAttention.v", AttentionValue),
    ("attn.c_attn", AttentionQkv),
    ("query_key_value", AttentionQkv),
    ("qkv_proj", AttentionQkv),
    ("Wqkv", AttentionQkv),
    ("attn_qkv", AttentionQkv),
    ("attn.qkv", AttentionQkv),
    ("attn.c_proj", AttentionOutput),
    ("self_attention.dense", AttentionOutput),
    ("attention.dense", AttentionOutput),
    ("attention.output.dense", AttentionOutput),
    ("self_attn.dense", AttentionOutput),
    ("self_attn.out_proj", AttentionOutput),
    ("encoder_attn.out_proj", AttentionOutput),
    ("attn.out_proj", AttentionOutput),
    ("attention.out_proj", AttentionOutput),
    ("o_proj", AttentionOutput),
    ("attention.out_lin", AttentionOutput),
    ("attn_output", AttentionOutput),
    ("attn_out", AttentionOutput),
    ("cross_attn_output", AttentionOutput),
    ("attention.wo", AttentionOutput),
    ("attn.o", AttentionOutput),
    ("attn.proj", AttentionOutput),
    ("SelfAttention.o", AttentionOutput),
    ("EncDecAttention.o", AttentionOutput),
    // Feed-forward
    ("gate_proj", MlpGate),
    ("ffn_gate", MlpGate),
    ("ffn_gate.*", MlpGate),
    ("ffn_gate_exps", MlpGate),
    ("ffn_gate_shexp", MlpGate),
    ("feed_forward.w1", MlpGate),
    ("experts.*.w1", MlpGate),
    ("DenseReluDense.wi_0", MlpGate),
    ("fc1", MlpUp),
    ("fc_in", MlpUp),
    ("dense_h_to_4h", MlpUp),
    ("mlp.c_fc", MlpUp),
    ("up_proj", MlpUp),
    ("gate_up_proj", MlpUp),
    ("ffn_up", MlpUp),
    ("ffn_up.*", MlpUp),
    ("ffn_up_exps", MlpUp),
    ("ffn_up_shexp", MlpUp),
    ("ffn_gate_up_exps", MlpUp),
    ("intermediate.dense", MlpUp),
    ("feed_forward.w3", MlpUp),
    ("experts.*.w3", MlpUp),
    ("DenseReluDense.wi", MlpUp),
    ("DenseReluDense.wi_1", MlpUp),
    ("ffn.lin1", MlpUp),
    ("fc2", MlpDown),
    ("fc_out", MlpDown),
    ("dense_4h_to_h", MlpDown),
    ("mlp.c_proj", MlpDown),
    ("down_proj", MlpDown),
    ("ffn_down", MlpDown),
    ("ffn_down.*", MlpDown),
    ("ffn_down_exps", MlpDown),
    ("ffn_down_shexp", MlpDown),
    ("output.dense", MlpDown),
    ("feed_forward.w2", MlpDown),
    ("experts.*.w2", MlpDown),
    ("DenseReluDense.wo", MlpDown),
    ("ffn.lin2", MlpDown),
    // Heads over the vocabulary
    ("lm_head", Head),
    ("lm_head.decoder", Head),
    ("embed_out", Head),
    ("predictions.decoder", Head),
    ("generator_lm_head", Head),
    ("vocab_projector", Head),
    ("output_layer", Head),
];

/// Parameters outside any module, by their whole name inside the layer or the model.
const BARE: &[(&str, Component)] = &[
    ("in_proj_weight", AttentionQkv),
    ("in_proj_bias", Bias),
    ("q_bias", Bias),
    ("v_bias", Bias),
    ("pos_embed", PositionEmbedding),
];

/// The component that a module's weights belong to.
pub(super) fn component(module: &[&str]) -> Component {
    // GGUF calls its head `output`; inside layers and other modules the word means something else.
    if module == ["output"] {
        return Head;
    }
    let ends_with = |pattern: &str| {
        let mut path = module.iter().rev();
        pattern.rsplit('.').all(|part| path.next().is_some_and(|&name| part == "*" || part == name))
    };
    MODULES
        .iter()
        .filter(|(pattern, _)| ends_with(pattern))
        .max_by_key(|(pattern, _)| pattern.matches('.').count())
        .map_or(Other, |&(_, component)| component)
}

/// The component of a parameter that is not called weight or bias.
pub(super) fn bare(leaf: &str) -> Component {
    BARE.iter().find(|(name, _)| *name == leaf).map_or(Other, |&(_, component)| component)
}

/// Whether a module of this name is a normalisation: `ln_1`, `LayerNorm`, `q_norm`, …
pub(super) fn is_norm(module: &str) -> bool {
    let ln = module.strip_prefix("ln").or_else(|| module.strip_prefix("LN"));
    ln.is_some_and(|rest| rest.is_empty() || rest.starts_with(|next: char| next == '_' || next.is_ascii_digit()))
        || module.to_ascii_lowercase().contains("norm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pattern_decides() {
        assert_eq!(component(&["attention", "output", "dense"]), AttentionOutput);
        assert_eq!(component(&["output", "dense"]), MlpDown);
        assert_eq!(component(&["pooler", "dense"]), Other);
        assert_eq!(component(&["mlp", "c_proj"]), MlpDown);
        assert_eq!(component(&["attn", "c_proj"]), AttentionOutput);
        assert_eq!(component(&["block_sparse_moe", "experts", "7", "w1"]), MlpGate);
        assert_eq!(component(&["q_proj", "lora_A"]), Other);
        assert_eq!(component(&[]), Other);
    }

    #[test]
    fn no_pattern_is_listed_twice() {
        for (i, (pattern, _)) in MODULES.iter().enumerate() {
            assert!(MODULES[..i].iter().all(|(earlier, _)| earlier != pattern), "{pattern}");
        }
    }

    #[test]
    fn norms() {
        for norm in
            ["ln_1", "ln_f", "ln1", "ln", "LayerNorm", "final_layer_norm", "input_layernorm", "attn_norm", "norm"]
        {
            assert!(is_norm(norm), "{norm}");
        }
        for other in ["lnear", "line", "", "fc1", "dense"] {
            assert!(!is_norm(other), "{other}");
        }
    }
}
