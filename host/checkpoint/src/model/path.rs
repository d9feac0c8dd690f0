//! Splits a tensor's dotted name: prefix, layer, module and leaf, without the parts that training tools add.

use super::pattern::{NAMES, is_number};

/// A name such as `model.layers.3.self_attn.q_proj.weight`, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path<'a> {
    /// What is before the list of layers: `["model"]`. Empty outside the layers.
    pub(super) prefix: Vec<&'a str>,
    /// The list of layers: `layers`. Empty outside the layers.
    pub(super) list: &'a str,
    /// The layer: 3.
    pub(super) layer: Option<u32>,
    /// The module inside the layer, or from the top of the model: `["self_attn", "q_proj"]`.
    pub(super) module: Vec<&'a str>,
    /// The last part: `weight`.
    pub(super) leaf: &'a str,
}

impl<'a> Path<'a> {
    /// Takes `name` apart. Where lists are nested, the outermost counts.
    pub(super) fn new(name: &'a str) -> Self {
        let mut parts = name.split('.');
        // `rsplit` and `split` yield at least one part.
        let leaf = parts.next_back().unwrap_or(name);
        let mut module: Vec<&str> = parts.filter(|part| !NAMES.is_wrapper(part)).collect();
        let numbered = module.windows(2).enumerate().find_map(|(at, pair)| match *pair {
            [list, number] if NAMES.is_list(list) => Some((at, list, number.parse::<u32>().ok()?)),
            _ => None,
        });
        match numbered {
            Some((at, list, layer)) => {
                let inner = module.split_off(at + 2);
                module.truncate(at);
                Self { prefix: module, list, layer: Some(layer), module: inner, leaf }
            }
            None => Self { prefix: Vec::new(), list: "", layer: None, module, leaf },
        }
    }

    /// Whether this is the weight of exactly this module inside a layer: `mlp.c_fc`. Flax calls it `kernel`.
    pub(super) fn is_layer_weight(&self, module: &str) -> bool {
        self.layer.is_some()
            && matches!(self.leaf, "weight" | "kernel")
            && self.module.iter().copied().eq(module.split('.'))
    }

    /// The last part of the module's path.
    pub(super) fn last(&self) -> &'a str {
        self.module.last().copied().unwrap_or_default()
    }

    /// The last part of the module's path that is no number: `input_layernorm` of `input_layernorm.0`.
    pub(super) fn last_word(&self) -> &'a str {
        self.module.iter().rev().find(|part| !is_number(part)).copied().unwrap_or_default()
    }

    /// The list of layers with what is before it, `model.layers`: the same for all layers of one stack. Empty outside the layers.
    pub(super) fn stack(&self) -> String {
        let mut stack = String::new();
        for part in &self.prefix {
            stack.push_str(part);
            stack.push('.');
        }
        stack + self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_apart() {
        let path = Path::new("model.decoder.layers.12.self_attn.q_proj.weight");
        assert_eq!(path.prefix, ["model", "decoder"]);
        assert_eq!((path.layer, path.leaf), (Some(12), "weight"));
        assert_eq!(path.module, ["self_attn", "q_proj"]);
        assert_eq!(path.stack(), "model.decoder.layers");
        assert!(path.is_layer_weight("self_attn.q_proj"));
        assert!(!path.is_layer_weight("q_proj"));
    }

    #[test]
    fn layers_of_every_style() {
        for (name, layer) in [
            ("h.0.ln_1.weight", Some(0)),
            ("0.auto_model.encoder.layer.5.output.dense.weight", Some(5)),
            ("encoder.block.3.layer.1.DenseReluDense.wo.weight", Some(3)),
            ("blk.7.attn_q.weight", Some(7)),
            ("layers.99999999999.q.weight", None),
            ("h.x.weight", None),
            ("lm_head.weight", None),
            ("h.1", None),
            ("", None),
            ("...", None),
        ] {
            assert_eq!(Path::new(name).layer, layer, "{name}");
        }
    }

    #[test]
    fn what_training_tools_add_is_dropped_anywhere() {
        let plain = Path::new("model.layers.3.self_attn.q_proj.weight");
        for name in [
            "module.model.layers.3.self_attn.q_proj.weight",
            "_orig_mod.model.layers.3.self_attn.q_proj.weight",
            "module._orig_mod.model.layers.3.self_attn.q_proj.weight",
            "_fsdp_wrapped_module.model.layers.3._fsdp_wrapped_module.self_attn.q_proj.weight",
            "_fsdp_wrapped_module.model.layers.3._checkpoint_wrapped_module.self_attn.q_proj.weight",
            "base_model.model.layers.3.self_attn.q_proj.base_layer.weight",
        ] {
            assert_eq!(Path::new(name), plain, "{name}");
        }
    }
}
