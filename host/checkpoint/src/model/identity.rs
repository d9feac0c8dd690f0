//! What a single tensor is, from its name: component, layer, tower, and whether it is a buffer.

use std::sync::Arc;

use super::component::Component;
use super::family::Family;
use super::path::Path;
use super::pattern::{self, NAMES};
use super::tower::Towers;

/// What a tensor is to its model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its place in the network.
    pub component: Component,
    /// The layer it belongs to, counted from 0 in its tower; `None` outside the layers.
    pub layer: Option<u32>,
    /// The tower it belongs to: `encoder`, `decoder`, `vision`, `audio`, `multi_token_prediction`, … A further stack of layers
    /// that has no such name is called by its path. `None` for the model's main stack, which most models have alone, and for
    /// what is outside all towers.
    pub tower: Option<Arc<str>>,
    /// A constant that was never trained: a mask, position ids, rotary frequencies.
    pub buffer: bool,
}

/// Says what the tensors of one model are.
#[derive(Debug, Clone)]
pub struct Naming {
    family: Family,
    towers: Towers,
}

impl Naming {
    /// Of a model with tensors of these names.
    pub fn of<'a>(family: Family, names: impl Iterator<Item = &'a str>) -> Self {
        Self { family, towers: Towers::of(names) }
    }

    /// What the tensor called `name` is. Prefixes such as `transformer.` or `model.decoder.` may be there or not.
    ///
    /// The names of all families are known in every family, so most transformers of [`Family::Unknown`] get components and
    /// layers too; what no name matches is [`Component::Other`].
    pub fn identify(&self, name: &str, shape: &[u64]) -> Identity {
        let path = Path::new(name);
        let buffer = is_buffer(self.family, &path, shape);
        Identity { component: component(&path, buffer), layer: path.layer, tower: self.towers.find(&path), buffer }
    }
}

/// Whether a tensor's name, or its shape beside it, says that it is a constant, whatever the model's family is.
pub fn is_named_as_buffer(name: &str, shape: &[u64]) -> bool {
    is_buffer(Family::Unknown, &Path::new(name), shape)
}

fn component(path: &Path<'_>, buffer: bool) -> Component {
    if path.module.iter().chain([&path.leaf]).any(|part| NAMES.is_adapter(part)) {
        return Component::Adapter;
    }
    let is_weight = matches!(path.leaf, "weight" | "weights" | "kernel" | "embedding");
    if pattern::is_norm(path.last_word()) && (is_weight || matches!(path.leaf, "scale" | "bias" | "gamma" | "beta")) {
        return Component::Norm;
    }
    match path.leaf {
        _ if buffer && !is_weight => Component::Other,
        "bias" => Component::Bias,
        // A factor of a layer's output, where it is not a normalisation's.
        "weight" | "weights" | "kernel" | "embedding" | "gamma" => {
            pattern::known(path).or_else(|| pattern::known_parameter(path)).unwrap_or(Component::Other)
        }
        leaf if leaf.ends_with("_bias") => Component::Bias,
        leaf => pattern::known_parameter(path)
            .or_else(|| pattern::is_norm(leaf).then_some(Component::Norm))
            .unwrap_or(Component::Other),
    }
}

fn is_buffer(family: Family, path: &Path<'_>, shape: &[u64]) -> bool {
    // Sinusoidal positions of fairseq's models end in `weights`; learned ones in `weight`.
    let sinusoidal = path.last() == "embed_positions" && path.leaf == "weights";
    NAMES.is_buffer(path.last(), path.leaf) || sinusoidal || is_mask(family, path, shape)
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
