//! Turns a GGUF file's metadata into the facts that a `config.json` would state.

use serde_json::{Map, Value, json};

use super::header::Header;
use super::value::Scalar;

/// Keys of the metadata, behind the architecture's name, and those of a `config.json`.
const KEYS: &[(&str, &str)] = &[
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("feed_forward_length", "intermediate_size"),
    ("context_length", "max_position_embeddings"),
    ("vocab_size", "vocab_size"),
];

/// Longer texts are templates and licences, not facts about the weights.
const TEXT_LIMIT: usize = 256;

/// Longer lists are vocabularies; languages, tags and data sets are fewer.
const LIST_LIMIT: u64 = 128;

/// More entries than any writer makes; a damaged file may hold millions.
const ENTRY_LIMIT: usize = 1024;

/// The facts under the keys of a `config.json`, and all scalars and short lists of texts as they are under `gguf`.
///
/// `None` without `general.architecture`, which the later parts of split models lack.
pub(super) fn config(header: &Header<'_>) -> Option<Value> {
    let architecture = header.metadata.get("general.architecture")?.as_str()?;
    let mut config = Map::new();
    config.insert("model_type".into(), model_type(architecture).into());
    for (key, name) in KEYS {
        if let Some(number) = header.number(&format!("{architecture}.{key}")) {
            config.insert((*name).into(), number.into());
        }
    }
    if let Some(Scalar::Array(tokens)) = header.metadata.get("tokenizer.ggml.tokens") {
        config.entry("vocab_size").or_insert(tokens.count.into());
    }
    let stated = header.metadata.iter().filter_map(|(key, value)| Some(((*key).to_owned(), stated_value(key, value)?)));
    config.insert("gguf".into(), Value::Object(stated.take(ENTRY_LIMIT).collect()));
    Some(Value::Object(config))
}

/// The `model_type` of an architecture that llama.cpp calls by another name.
fn model_type(architecture: &str) -> &str {
    match architecture {
        "gptneox" => "gpt_neox",
        "starcoder" => "gpt_bigcode",
        other => other,
    }
}

fn stated_value(key: &str, value: &Scalar<'_>) -> Option<Value> {
    match *value {
        Scalar::Unsigned(value) => Some(value.into()),
        Scalar::Signed(value) => Some(value.into()),
        Scalar::Float(value) => value.is_finite().then(|| json!(value)),
        Scalar::Bool(value) => Some(value.into()),
        Scalar::Text(text) if text.len() <= TEXT_LIMIT => value.as_str().map(Value::from),
        Scalar::Array(array) if key.starts_with("general.") && array.count <= LIST_LIMIT => {
            let texts = array.texts()?;
            texts.iter().all(|text| text.len() <= TEXT_LIMIT).then(|| texts.into())
        }
        Scalar::Text(_) | Scalar::Array(_) => None,
    }
}
