//! The few facts that recognition and layouts take from a model's `config.json`.

use serde_json::Value;

/// `model_type`, the configuration's own name for the architecture.
pub(super) fn model_type(config: Option<&Value>) -> Option<&str> {
    config?.get("model_type")?.as_str()
}

/// Attention heads in a layer, under whichever key the family uses; never 0.
pub(super) fn heads(config: Option<&Value>) -> Option<u64> {
    let config = config?;
    ["n_head", "num_attention_heads", "n_heads"]
        .iter()
        .find_map(|key| config.get(key)?.as_u64())
        .filter(|&heads| heads > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn heads_under_every_key() {
        for key in ["n_head", "num_attention_heads", "n_heads"] {
            assert_eq!(heads(Some(&json!({ key: 16 }))), Some(16), "{key}");
        }
        for config in [json!({}), json!([]), json!({"n_head": 0}), json!({"n_head": "4"}), json!({"n_head": -4})] {
            assert_eq!(heads(Some(&config)), None, "{config}");
        }
        assert_eq!(heads(Some(&json!({"n_head": null, "n_heads": 2}))), Some(2));
        assert_eq!(heads(None), None);
    }
}
