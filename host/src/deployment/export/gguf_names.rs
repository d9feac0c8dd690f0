//! The names that llama.cpp's converter gives to the tensors of a checkpoint, for the families that both know.

use kurtoscope_checkpoint::model::Family;

/// Names inside a layer: how the checkpoint's module ends, and GGUF's name for it.
type Names = &'static [(&'static str, &'static str)];

const LLAMA: Names = &[
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];
const GPT2: Names =
    &[("attn.c_attn", "attn_qkv"), ("attn.c_proj", "attn_output"), ("mlp.c_fc", "ffn_up"), ("mlp.c_proj", "ffn_down")];
const BLOOM: Names = &[
    ("self_attention.query_key_value", "attn_qkv"),
    ("self_attention.dense", "attn_output"),
    ("mlp.dense_h_to_4h", "ffn_up"),
    ("mlp.dense_4h_to_h", "ffn_down"),
];
const NEOX: Names = &[
    ("attention.query_key_value", "attn_qkv"),
    ("attention.dense", "attn_output"),
    ("mlp.dense_h_to_4h", "ffn_up"),
    ("mlp.dense_4h_to_h", "ffn_down"),
];
const BERT: Names = &[
    ("attention.self.query", "attn_q"),
    ("attention.self.key", "attn_k"),
    ("attention.self.value", "attn_v"),
    ("attention.output.dense", "attn_output"),
    ("intermediate.dense", "ffn_up"),
    ("output.dense", "ffn_down"),
];

/// Names outside the layers: the last part of the checkpoint's module, and GGUF's name.
const OUTSIDE: Names = &[
    ("embed_tokens", "token_embd"),
    ("embed_in", "token_embd"),
    ("wte", "token_embd"),
    ("word_embeddings", "token_embd"),
    ("lm_head", "output"),
    ("embed_out", "output"),
];

/// A tensor's name in the GGUF file of its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GgufName {
    /// Inside a layer: the layer, and the name behind `blk.N.`, `.weight` included.
    Layer(u32, String),
    /// Outside the layers.
    Outside(String),
}

/// The name of the tensor `name` in GGUF.
///
/// # Errors
/// In a sentence, why it has none.
pub fn gguf_name(family: Family, name: &str) -> Result<GgufName, String> {
    if let Some(found) = already_gguf(name) {
        return Ok(found);
    }
    let names = match family {
        Family::Llama => LLAMA,
        Family::Gpt2 => GPT2,
        Family::Bloom => BLOOM,
        Family::GptNeox => NEOX,
        Family::Bert => BERT,
        Family::Opt | Family::Xglm => {
            return Err(format!("llama.cpp has no architecture for the family {family}"));
        }
        Family::Unknown => return Err("the family of the model is not known".to_owned()),
    };
    let module = name.strip_suffix(".weight").ok_or("only weights have a name in GGUF")?;
    let parts: Vec<&str> = module.split('.').collect();
    let layer =
        parts.windows(2).position(|pair| matches!(pair[0], "layers" | "layer" | "h") && pair[1].parse::<u32>().is_ok());
    match layer {
        Some(at) => {
            let inside = parts[at + 2..].join(".");
            let layer = parts[at + 1].parse().map_err(|_| "its layer is no number".to_owned())?;
            let found = names.iter().find(|(module, _)| *module == inside);
            found
                .map(|(_, gguf)| GgufName::Layer(layer, format!("{gguf}.weight")))
                .ok_or_else(|| format!("{inside} is no module that llama.cpp's converter renames one by one"))
        }
        None => {
            let last = parts.last().copied().unwrap_or_default();
            let found = OUTSIDE.iter().find(|(module, _)| *module == last);
            found
                .map(|(_, gguf)| GgufName::Outside(format!("{gguf}.weight")))
                .ok_or_else(|| format!("{last} is no module that llama.cpp's converter renames one by one"))
        }
    }
}

/// The parts of a name that is GGUF's already.
fn already_gguf(name: &str) -> Option<GgufName> {
    if matches!(name, "token_embd.weight" | "output.weight") {
        return Some(GgufName::Outside(name.to_owned()));
    }
    let (layer, inside) = name.strip_prefix("blk.")?.split_once('.')?;
    Some(GgufName::Layer(layer.parse().ok()?, inside.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_family() {
        for (family, name, expected) in [
            (Family::Llama, "model.layers.11.self_attn.q_proj.weight", "blk.11.attn_q.weight"),
            (Family::Llama, "model.embed_tokens.weight", "token_embd.weight"),
            (Family::Llama, "lm_head.weight", "output.weight"),
            (Family::Gpt2, "transformer.h.0.attn.c_attn.weight", "blk.0.attn_qkv.weight"),
            (Family::Gpt2, "h.3.mlp.c_proj.weight", "blk.3.ffn_down.weight"),
            (Family::Gpt2, "h.3.attn.c_proj.weight", "blk.3.attn_output.weight"),
            (Family::Bloom, "transformer.h.2.mlp.dense_h_to_4h.weight", "blk.2.ffn_up.weight"),
            (Family::GptNeox, "gpt_neox.layers.5.attention.dense.weight", "blk.5.attn_output.weight"),
            (Family::GptNeox, "embed_out.weight", "output.weight"),
            (Family::Bert, "bert.encoder.layer.1.attention.output.dense.weight", "blk.1.attn_output.weight"),
            (Family::Bert, "encoder.layer.1.output.dense.weight", "blk.1.ffn_down.weight"),
            (Family::Unknown, "blk.7.ffn_down_exps.weight", "blk.7.ffn_down_exps.weight"),
        ] {
            let found = match gguf_name(family, name).expect("known") {
                GgufName::Layer(layer, inside) => format!("blk.{layer}.{inside}"),
                GgufName::Outside(name) => name,
            };
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn what_has_no_name_says_why() {
        for (family, name, reason) in [
            (Family::Opt, "model.decoder.layers.0.fc1.weight", "no architecture for the family opt"),
            (Family::Unknown, "layers.0.fc1.weight", "family of the model is not known"),
            (Family::Llama, "model.layers.0.block_sparse_moe.experts.3.w1.weight", "experts.3.w1 is no module"),
            (Family::Llama, "model.layers.0.self_attn.q_proj", "only weights"),
        ] {
            let found = gguf_name(family, name).expect_err("unknown");
            assert!(found.contains(reason), "{name}: {found}");
        }
    }
}
