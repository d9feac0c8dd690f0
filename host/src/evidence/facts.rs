//! Facts about models beyond their weights: from `config.json` or the metadata of a GGUF file, from the built-in table, and
//! from the user's own file. The user's file takes precedence, then the model's own, then the table.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::gguf_metadata;
use super::known::{self, KNOWN};
use super::pattern::fits;
use super::user_facts::UserFacts;
use super::{Fact, FactValue, Provenance};
use kurtoscope_checkpoint::model::Family;

/// The table that ships with Kurtoscope.
const TABLE: &str = include_str!("facts_table.toml");

/// The built-in table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactsTable {
    model: Vec<Published>,
    fact: Vec<SharedFact>,
}

/// A published model's architecture.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The name, in lower case.
    pub name: String,
    /// The family.
    pub family: Family,
    /// Number of layers.
    pub layers: u32,
    /// Width of the hidden state.
    pub width: u64,
}

/// A fact that some published models share.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SharedFact {
    /// Names of models; `*` at the end matches anything.
    models: Vec<String>,
    name: String,
    value: FactValue,
    source: String,
    verified: bool,
}

/// What a model is known by: its names, and its architecture where that is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelIdentity<'a> {
    /// Names that it goes by: where its files are from, what its configuration calls it.
    pub names: Vec<&'a str>,
    /// Number of layers.
    pub layers: Option<u32>,
    /// Width of the hidden state.
    pub width: Option<u64>,
}

/// All sources of facts.
#[derive(Debug, Clone)]
pub struct Facts {
    table: FactsTable,
    user: Option<UserFacts>,
}

impl Facts {
    /// The built-in table and the user's own facts.
    pub fn new(user: Option<UserFacts>) -> Self {
        Self { table: FactsTable::built_in(), user }
    }

    /// The built-in table.
    pub fn table(&self) -> &FactsTable {
        &self.table
    }

    /// The user's own facts.
    pub fn user(&self) -> Option<&UserFacts> {
        self.user.as_ref()
    }

    /// Everything known about a model: `shown` is its name in reports, `config` its `config.json`.
    pub fn of(&self, shown: &str, published: Option<&Published>, config: Option<&Value>) -> BTreeMap<String, Fact> {
        let mut facts = published.map(|model| self.table.facts(&model.name)).unwrap_or_default();
        facts.extend(config.map(from_config).unwrap_or_default());
        facts.extend(self.user.as_ref().map(|user| user.of(shown)).unwrap_or_default());
        facts
    }
}

impl FactsTable {
    /// The table that ships with Kurtoscope.
    ///
    /// # Panics
    /// Never: a test reads the table.
    #[expect(clippy::expect_used, reason = "the text is part of the program")]
    pub fn built_in() -> Self {
        toml::from_str(TABLE).expect("the built-in table of facts is valid")
    }

    /// The published model that `known` is, if it is one: a name must fit and nothing in the architecture may point
    /// against it.
    pub fn recognise(&self, family: Family, known: &ModelIdentity<'_>) -> Option<&Published> {
        let agrees = |model: &&Published| {
            family == model.family
                && known.layers == Some(model.layers)
                && known.width.is_none_or(|width| width == model.width)
        };
        self.model.iter().filter(agrees).find(|model| known.names.iter().any(|name| is_called(name, &model.name)))
    }

    /// The published model of this name, whatever is known of its architecture.
    pub fn named(&self, name: &str) -> Option<&Published> {
        self.model.iter().find(|model| is_called(name, &model.name))
    }

    fn facts(&self, name: &str) -> BTreeMap<String, Fact> {
        let facts = self.fact.iter().filter(|entry| entry.models.iter().any(|pattern| fits(pattern, name)));
        facts
            .map(|entry| {
                let provenance = Provenance::Table { source: entry.source.clone(), verified: entry.verified };
                (entry.name.clone(), Fact { value: entry.value.clone(), provenance })
            })
            .collect()
    }
}

/// Whether one of the parts of a path or of a hub's name is the published name, or begins with it and goes on with a
/// mark such as `.`, `-` or `@`: `hf:facebook/opt-125m@main`, `pythia-70m-deduped`, `gpt2.safetensors`.
fn is_called(name: &str, published: &str) -> bool {
    let lower = name.to_lowercase();
    lower.split(['/', '\\', ':']).any(|part| {
        part.strip_prefix(published).is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
    })
}

/// The facts that a `config.json` states, or the metadata of a GGUF file that stands for one.
fn from_config(config: &Value) -> BTreeMap<String, Fact> {
    if let Some(metadata) = gguf_metadata::of(config) {
        let fits = |(name, fact): &(&str, Fact)| known::find(name).is_some_and(|known| known.kind.fits(&fact.value));
        let facts = gguf_metadata::facts(metadata, config).filter(fits);
        return facts.map(|(name, fact)| (name.to_owned(), fact)).collect();
    }
    let facts = KNOWN.iter().filter_map(|known| {
        let (key, value) = known.keys.iter().find_map(|key| Some((*key, FactValue::from_json(config.get(key)?)?)))?;
        let provenance = Provenance::Config { key: key.to_owned() };
        known.kind.fits(&value).then(|| (known.name.to_owned(), Fact { value, provenance }))
    });
    facts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn known<'a>(name: &'a str, layers: u32, width: u64) -> ModelIdentity<'a> {
        ModelIdentity { names: vec![name], layers: Some(layers), width: Some(width) }
    }

    #[test]
    fn every_entry_of_the_table_is_known_and_used() {
        let table = FactsTable::built_in();
        for entry in &table.fact {
            let known = known::find(&entry.name).unwrap_or_else(|| panic!("{}", entry.name));
            assert!(known.kind.fits(&entry.value), "{}: {:?}", entry.name, entry.value);
            assert!(!entry.source.is_empty(), "{}", entry.name);
            assert_eq!(entry.verified, !entry.source.starts_with("recalled") && !entry.source.starts_with("disputed"));
            for pattern in &entry.models {
                assert!(table.model.iter().any(|model| fits(pattern, &model.name)), "{pattern} fits no model");
            }
        }
    }

    #[test]
    fn no_fact_is_said_twice_of_one_model() {
        let table = FactsTable::built_in();
        for model in &table.model {
            let said: Vec<&str> = table
                .fact
                .iter()
                .filter(|entry| entry.models.iter().any(|pattern| fits(pattern, &model.name)))
                .map(|entry| entry.name.as_str())
                .collect();
            assert_eq!(said.len(), table.facts(&model.name).len(), "{}", model.name);
        }
    }

    #[test]
    fn a_famous_name_on_another_architecture_gives_no_facts() {
        let table = FactsTable::built_in();
        let name = |family, known: ModelIdentity<'_>| table.recognise(family, &known).map(|model| model.name.clone());
        assert_eq!(name(Family::Opt, known("hf:facebook/opt-125m", 12, 768)).as_deref(), Some("opt-125m"));
        assert_eq!(name(Family::Opt, known("models/opt-125m.safetensors", 12, 768)).as_deref(), Some("opt-125m"));
        assert_eq!(name(Family::Opt, known("hf:facebook/opt-125m", 4, 96)), None);
        assert_eq!(name(Family::Gpt2, known("hf:facebook/opt-125m", 12, 768)), None);
        assert_eq!(name(Family::Gpt2, known("openai-community/gpt2-medium", 24, 1024)).as_deref(), Some("gpt2-medium"));
        assert_eq!(name(Family::Gpt2, known("gpt2x", 12, 768)), None);
        assert_eq!(name(Family::Opt, ModelIdentity { names: vec!["opt-125m"], layers: None, width: None }), None);
    }

    #[test]
    fn config_and_training_disagree_about_dropout_for_opt_and_bloom() {
        let table = FactsTable::built_in();
        let value = |model: &str, fact: &str| match table.facts(model).get(fact).map(|fact| fact.value.clone()) {
            Some(FactValue::Number(value)) => Some(value),
            _ => None,
        };
        for (model, config, training) in [
            ("opt-125m", Some(0.0), Some(0.1)),
            ("bloom-560m", Some(0.0), Some(0.1)),
            ("gpt2", Some(0.1), None),
            ("pythia-410m", Some(0.0), Some(0.0)),
            ("xglm-564m", Some(0.1), None),
        ] {
            assert_eq!(value(model, "config.attention_dropout"), config, "{model}");
            assert_eq!(value(model, "training.attention_dropout"), training, "{model}");
        }
    }

    #[test]
    fn config_is_read_under_every_familys_keys_and_before_the_table() {
        let facts = Facts::new(None);
        let config =
            json!({ "attn_pdrop": 0.25, "n_layer": 12, "n_embd": 768, "torch_dtype": "float32", "n_head": "x" });
        let published = facts.table().named("gpt2");
        let found = facts.of("gpt2", published, Some(&config));
        assert_eq!(found["config.attention_dropout"].value, FactValue::Number(0.25));
        assert_eq!(found["config.attention_dropout"].provenance, Provenance::Config { key: "attn_pdrop".into() });
        assert_eq!(found["config.stored_type"].value, FactValue::Text("float32".into()));
        assert!(!found.contains_key("config.heads"), "a text is no number of heads");
        assert!(matches!(found["model.language"].provenance, Provenance::Table { verified: false, .. }));
        assert!(facts.of("other", None, Some(&json!([1]))).is_empty());
    }
}
