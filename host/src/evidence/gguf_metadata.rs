//! Facts that the metadata of a GGUF file states about its model: where it comes from, its languages, its size, how it was
//! quantized. How the metadata is read from the file is the checkpoint's.

use serde_json::{Map, Value};

use super::{Fact, FactValue, Provenance};

/// How a fact is made of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// As it is.
    Plain,
    /// How many entries a list has.
    Count,
    /// `english`, or `multilingual` for several; a list of one other language says neither.
    Language,
    /// The name of a `general.file_type`.
    FileType,
}

use Reading::{Count, FileType, Language, Plain};

/// The facts, the keys that state them, and how; `*` is the architecture. Source: `docs/gguf.md` in ggml-org/ggml and
/// `gguf-py/gguf/constants.py` in ggml-org/llama.cpp.
const FACTS: &[(&str, &str, Reading)] = &[
    ("config.hidden_size", "*.embedding_length", Plain),
    ("config.layers", "*.block_count", Plain),
    ("config.heads", "*.attention.head_count", Plain),
    ("config.vocabulary", "*.vocab_size", Plain),
    ("config.context_length", "*.context_length", Plain),
    ("model.architecture", "general.architecture", Plain),
    ("model.name", "general.name", Plain),
    ("model.author", "general.author", Plain),
    ("model.organization", "general.organization", Plain),
    ("model.version", "general.version", Plain),
    ("model.finetune", "general.finetune", Plain),
    ("model.size_label", "general.size_label", Plain),
    ("model.license", "general.license", Plain),
    ("model.base_model", "general.base_model.0.name", Plain),
    ("model.quantized_by", "general.quantized_by", Plain),
    ("model.quantization_version", "general.quantization_version", Plain),
    ("model.file_type", "general.file_type", FileType),
    ("model.language", "general.languages", Language),
    ("model.languages", "general.languages", Count),
];

/// The tokens, whose number stands for a missing `vocab_size`.
const TOKENS: &str = "tokenizer.ggml.tokens";

/// Names of `general.file_type`: what most matrices of the file are stored in. Source: `enum llama_ftype` in `include/llama.h`
/// of ggml-org/llama.cpp.
const FILE_TYPES: &[(u64, &str)] = &[
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (7, "Q8_0"),
    (8, "Q5_0"),
    (9, "Q5_1"),
    (10, "Q2_K"),
    (11, "Q3_K_S"),
    (12, "Q3_K_M"),
    (13, "Q3_K_L"),
    (14, "Q4_K_S"),
    (15, "Q4_K_M"),
    (16, "Q5_K_S"),
    (17, "Q5_K_M"),
    (18, "Q6_K"),
    (19, "IQ2_XXS"),
    (20, "IQ2_XS"),
    (21, "Q2_K_S"),
    (22, "IQ3_XS"),
    (23, "IQ3_XXS"),
    (24, "IQ1_S"),
    (25, "IQ4_NL"),
    (26, "IQ3_S"),
    (27, "IQ3_M"),
    (28, "IQ2_S"),
    (29, "IQ2_M"),
    (30, "IQ4_XS"),
    (31, "IQ1_M"),
    (32, "BF16"),
    (36, "TQ1_0"),
    (37, "TQ2_0"),
    (38, "MXFP4"),
    (39, "NVFP4"),
    (40, "Q1_0"),
    (41, "Q2_0"),
];

/// The metadata of a model whose configuration was made of a GGUF file.
pub(super) fn of(config: &Value) -> Option<&Map<String, Value>> {
    config.get("gguf")?.as_object()
}

/// The facts that it states; `config` is what was made of it.
pub(super) fn facts<'a>(
    metadata: &'a Map<String, Value>,
    config: &'a Value,
) -> impl Iterator<Item = (&'static str, Fact)> + 'a {
    let architecture = metadata.get("general.architecture").and_then(Value::as_str).unwrap_or_default();
    let stated = FACTS.iter().filter_map(move |&(name, key, reading)| {
        let key = key.replacen('*', architecture, 1);
        let value = read(metadata.get(&key)?, reading)?;
        Some((name, Fact { value, provenance: Provenance::Gguf { key } }))
    });
    let tokens = config.get("vocab_size").filter(|_| !metadata.contains_key(&format!("{architecture}.vocab_size")));
    let tokens = tokens
        .and_then(FactValue::from_json)
        .map(|value| ("config.vocabulary", Fact { value, provenance: Provenance::Gguf { key: TOKENS.to_owned() } }));
    stated.chain(tokens)
}

fn read(value: &Value, reading: Reading) -> Option<FactValue> {
    match reading {
        Plain => FactValue::from_json(value),
        Count => Some(FactValue::Number(value.as_array()?.len() as f64)),
        Language => match value.as_array()?.as_slice() {
            [] => None,
            [only] => matches!(only.as_str(), Some("en" | "eng" | "english")).then(|| "english".to_owned()),
            _ => Some("multilingual".to_owned()),
        }
        .map(FactValue::Text),
        FileType => {
            let number = value.as_u64()?;
            let known = FILE_TYPES.iter().find(|(file_type, _)| *file_type == number);
            Some(FactValue::Text(known.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::known;
    use super::*;
    use serde_json::json;

    #[test]
    fn every_fact_is_known() {
        for (name, key, _) in FACTS {
            assert!(known::find(name).is_some(), "{name}");
            assert!(key.contains('.'), "{key}");
        }
    }

    #[test]
    fn values_are_read_as_facts() {
        let text = |text: &str| Some(FactValue::Text(text.to_owned()));
        assert_eq!(read(&json!(15), FileType), text("Q4_K_M"));
        assert_eq!(read(&json!(999), FileType), text("999"));
        assert_eq!(read(&json!(["en"]), Language), text("english"));
        assert_eq!(read(&json!(["de"]), Language), None);
        assert_eq!(read(&json!(["en", "de"]), Language), text("multilingual"));
        assert_eq!(read(&json!(["en", "de"]), Count), Some(FactValue::Number(2.0)));
        assert_eq!(read(&json!("en"), Count), None);
    }

    #[test]
    fn the_architecture_is_part_of_keys() {
        let config = json!({ "vocab_size": 32000, "gguf": {
            "general.architecture": "phi3", "phi3.context_length": 4096, "general.name": "Phi", "llama.block_count": 3,
        } });
        let found: Vec<_> = facts(of(&config).expect("metadata"), &config).collect();
        let key = |name: &str| {
            let fact = found.iter().find(|(fact, _)| *fact == name).map(|(_, fact)| fact);
            fact.map(|fact| (fact.value.to_string(), fact.provenance.clone()))
        };
        let gguf = |key: &str| Provenance::Gguf { key: key.to_owned() };
        assert_eq!(key("config.context_length"), Some(("4096".to_owned(), gguf("phi3.context_length"))));
        assert_eq!(key("model.name"), Some(("Phi".to_owned(), gguf("general.name"))));
        assert_eq!(key("config.vocabulary"), Some(("32000".to_owned(), gguf(TOKENS))));
        assert_eq!(key("config.layers"), None, "of another architecture");
    }
}
