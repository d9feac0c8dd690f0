//! What a single tensor is, from its name: component, layer, and whether it is a buffer.

use super::component::Component;
use super::family::Family;
use super::path::Path;
use super::pattern;

/// Constants that files hold besides parameters, by the last part of their names.
const BUFFERS: &[&str] = &[
    "masked_bias",
    "causal_mask",
    "attn_mask",
    "inv_freq",
    "cos_cached",
    "sin_cached",
    "_cos_cached",
    "_sin_cached",
    "position_ids",
    "token_type_ids",
    "final_logits_bias",
    "running_mean",
    "running_var",
    "num_batches_tracked",
    "_float_tensor",
    "version",
];

/// Modules of constants, by the last part of their path: rotary frequencies as GGUF files hold them.
const CONSTANTS: &[&str] = &["rope_freqs", "rope_factors_long", "rope_factors_short"];

/// What a tensor is to its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its place in the network.
    pub component: Component,
    /// The layer it belongs to, counted from 0; `None` outside the layers.
    pub layer: Option<u32>,
    /// A constant that was never trained: a mask, position ids, rotary frequencies.
    pub buffer: bool,
}

/// What the tensor called `name` is. Prefixes such as `transformer.` or `model.decoder.` may be there or not.
///
/// The names of all families are known in every family, so most transformers of [`Family::Unknown`] get components and
/// layers too; what no name matches is [`Component::Other`].
pub fn identify(family: Family, name: &str, shape: &[u64]) -> Identity {
    let path = Path::new(name);
    let buffer = is_buffer(family, &path, shape);
    Identity { component: component(&path, buffer), layer: path.layer, buffer }
}

fn component(path: &Path<'_>, buffer: bool) -> Component {
    if pattern::is_norm(path.last()) {
        return match path.leaf {
            "weight" | "scale" | "bias" | "gamma" | "beta" => Component::Norm,
            _ => Component::Other,
        };
    }
    match path.leaf {
        // The last two are Flax's names, of projections and of embeddings.
        "weight" | "weights" | "kernel" | "embedding" => pattern::component(&path.module),
        "bias" if buffer => Component::Other,
        "bias" => Component::Bias,
        leaf => pattern::bare(leaf),
    }
}

fn is_buffer(family: Family, path: &Path<'_>, shape: &[u64]) -> bool {
    // Sinusoidal positions of fairseq's models end in `weights`; learned ones in `weight`.
    let sinusoidal = path.last() == "embed_positions" && path.leaf == "weights";
    BUFFERS.contains(&path.leaf) || CONSTANTS.contains(&path.last()) || sinusoidal || is_mask(family, path, shape)
}

/// Distinguishes the causal mask `attn.bias` or `attention.bias` from the bias of a projection, which has a module of its own
/// (`attn.c_attn.bias`, `attention.dense.bias`).
fn is_mask(family: Family, path: &Path<'_>, shape: &[u64]) -> bool {
    let masks = matches!(family, Family::Gpt2 | Family::GptNeox);
    path.leaf == "bias" && matches!(path.last(), "attn" | "attention" | "self_attn") && (masks || shape.len() > 1)
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
