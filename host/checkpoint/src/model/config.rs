//! The few facts that recognition and layouts take from a model's `config.json`, of the section that describes a tensor.

use serde_json::Value;

use super::pattern::NAMES;

/// `model_type`, the configuration's own name for the architecture.
pub(super) fn model_type(config: Option<&Value>) -> Option<&str> {
    config?.get("model_type")?.as_str()
}

/// Towers, as [`NAMES`] calls them, and the keys of the sections that describe them.
const TOWERS: &[(&str, &[&str])] = &[
    ("vision", &["vision_config", "vit_config", "vision", "visual"]),
    ("audio", &["audio_config", "speech_config", "audio_encoder_config"]),
];

/// Keys of the section that describes the text model.
const TEXT: &[&str] = &["text_config", "llm_config", "language_config"];

/// Models inside a model, by the first part of their tensors' names, with the key that describes them.
const INNER: &[(&str, &str)] =
    &[("thinker", "thinker_config"), ("talker", "talker_config"), ("encoder", "encoder"), ("decoder", "decoder")];

/// The section of a configuration that describes a tensor, or all of it where there are no sections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Configuration<'a> {
    section: &'a Value,
    /// The section's `model_type`, or that of the whole where it has none.
    pub(super) model_type: Option<&'a str>,
    /// Whether the tensor belongs to a vision tower.
    pub(super) is_vision: bool,
}

impl<'a> Configuration<'a> {
    /// What `config` says about the part of the model that the tensor called `name` belongs to.
    pub(super) fn of(config: Option<&'a Value>, name: &str) -> Self {
        let root = config.unwrap_or(&Value::Null);
        let parts: Vec<&str> = name.split('.').filter(|part| !NAMES.is_wrapper(part)).collect();
        let first = parts.first().copied();
        let inner = INNER.iter().find(|(part, _)| Some(*part) == first).and_then(|(_, key)| section(root, &[key]));
        let whole = inner.unwrap_or(root);
        let of_part = |(place, part): (usize, &&str)| {
            let found = NAMES.tower(part, place == 0)?;
            TOWERS.iter().find(|(tower, _)| *tower == found)
        };
        let tower = parts.iter().enumerate().find_map(of_part);
        let own = section(whole, tower.map_or(TEXT, |(_, keys)| keys));
        // A configuration with a section for the text alone says nothing about the other towers.
        let is_silent = own.is_none() && tower.is_some() && section(whole, TEXT).is_some();
        let section = own.unwrap_or(if is_silent { &Value::Null } else { whole });
        let is_vision = tower.is_some_and(|(tower, _)| *tower == "vision");
        let model_type = model_type(Some(section)).or_else(|| model_type(Some(whole))).or_else(|| model_type(config));
        Self { section, model_type, is_vision }
    }

    /// Whether there is anything to go by.
    pub(super) fn is_known(&self) -> bool {
        self.section.as_object().is_some_and(|section| !section.is_empty())
    }

    /// Whether the architecture is one of these.
    pub(super) fn is_one_of(&self, model_types: &[&str]) -> bool {
        self.model_type.is_some_and(|found| model_types.contains(&found))
    }

    /// Attention heads in a layer.
    pub(super) fn heads(&self) -> Option<u64> {
        self.number(&["num_attention_heads", "n_head", "n_heads", "num_heads"])
    }

    /// Heads that keys and values have, where the configuration states them.
    pub(super) fn key_value_heads(&self) -> Option<u64> {
        self.number(&["num_key_value_heads", "num_kv_heads", "n_head_kv"])
    }

    /// Channels of a head, where the configuration states them.
    pub(super) fn head_dim(&self) -> Option<u64> {
        self.number(&["head_dim", "kv_channels"])
    }

    /// Width of the model's hidden states. (Qwen2-VL's vision tower calls its own `embed_dim`, and `hidden_size` that of the text.)
    pub(super) fn hidden(&self) -> Option<u64> {
        self.number(&["embed_dim", "hidden_size", "n_embd", "d_model"])
    }

    /// Every width that the configuration states for the inside of a feed-forward block, of any layer.
    pub(super) fn intermediates(&self) -> Vec<u64> {
        const KEYS: &[&str] = &["ffn_hidden_size", "n_inner", "d_ff", "ffn_dim"];
        let is_width = |key: &str| key.contains("intermediate_size") || KEYS.contains(&key);
        let found = self.section.as_object().into_iter().flatten().filter(|(key, _)| is_width(key));
        let each = found.flat_map(|(_, value)| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
        each.filter_map(Value::as_u64).filter(|&width| width > 0).collect()
    }

    /// Every number of experts that the configuration states.
    pub(super) fn experts(&self) -> Vec<u64> {
        const KEYS: &[&str] = &["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"];
        KEYS.iter().filter_map(|key| self.number(&[key])).collect()
    }

    /// Whether `key` is true; `None` where it is not stated.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.section.get(key)?.as_bool()
    }

    /// The number under the first of `keys` that holds one; never 0.
    pub(super) fn number(&self, keys: &[&str]) -> Option<u64> {
        number(self.section, keys)
    }

    /// The text under `key` of the object under `group`.
    pub(super) fn inner_text(&self, group: &str, key: &str) -> Option<&'a str> {
        self.section.get(group)?.get(key)?.as_str()
    }

    /// The number under `key` of the object under `group`; never 0.
    pub(super) fn inner_number(&self, group: &str, key: &str) -> Option<u64> {
        number(self.section.get(group)?, &[key])
    }
}

/// The first of `keys` that holds an object.
fn section<'a>(config: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().find_map(|key| config.get(key).filter(|section| section.is_object()))
}

fn number(config: &Value, keys: &[&str]) -> Option<u64> {
    keys.iter().find_map(|key| config.get(key)?.as_u64()).filter(|&number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn heads(config: &Value, name: &str) -> Option<u64> {
        Configuration::of(Some(config), name).heads()
    }

    #[test]
    fn heads_under_every_key() {
        for key in ["n_head", "num_attention_heads", "n_heads", "num_heads"] {
            assert_eq!(heads(&json!({ key: 16 }), "a"), Some(16), "{key}");
        }
        for config in [json!({}), json!([]), json!({"n_head": 0}), json!({"n_head": "4"}), json!({"n_head": -4})] {
            assert_eq!(heads(&config, "a"), None, "{config}");
        }
        assert_eq!(heads(&json!({"n_head": null, "n_heads": 2}), "a"), Some(2));
        assert!(!Configuration::of(None, "a").is_known());
    }

    #[test]
    fn each_tower_has_its_own_section() {
        let config = json!({
            "model_type": "llava", "num_attention_heads": 1,
            "text_config": {"model_type": "phi3", "num_attention_heads": 32},
            "vision_config": {"num_heads": 16},
        });
        for (name, expected, model_type) in [
            ("language_model.model.layers.0.self_attn.qkv_proj.weight", Some(32), "phi3"),
            ("model.layers.0.self_attn.qkv_proj.weight", Some(32), "phi3"),
            ("vision_tower.blocks.0.attn.qkv.weight", Some(16), "llava"),
            ("audio_tower.layers.0.attn.qkv.weight", None, "llava"),
        ] {
            let found = Configuration::of(Some(&config), name);
            assert_eq!((found.heads(), found.model_type), (expected, Some(model_type)), "{name}");
        }
        // Qwen2-VL's files of early days: the text at the top, the vision tower in a section.
        let flat = json!({"num_attention_heads": 28, "vision_config": {"num_heads": 16}});
        assert_eq!(heads(&flat, "model.layers.0.mlp.down_proj.weight"), Some(28));
        assert_eq!(heads(&flat, "visual.blocks.0.attn.qkv.weight"), Some(16));
        // A vision tower by itself.
        assert_eq!(heads(&json!({"num_attention_heads": 12}), "vision_model.layers.0.attn.qkv.weight"), Some(12));
        let omni = json!({"thinker_config": {"text_config": {"num_attention_heads": 8}}});
        assert_eq!(heads(&omni, "thinker.model.layers.0.mlp.gate_proj.weight"), Some(8));
    }
}
