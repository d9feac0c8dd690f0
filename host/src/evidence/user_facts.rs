//! The user's own facts file: TOML with a table a model.
//!
//! ```toml
//! [models."opt-125m"]                  # the name that the report shows; `*` at the end matches anything
//! training.attention_dropout = 0.1
//! model.language = "english"
//! user.laboratory = "north"            # names of one's own, for hypotheses of one's own
//! ```

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::error::FactsError;
use super::known::{self, KNOWN};
use super::pattern::fits;
use super::{Fact, FactValue, Provenance};

/// What the user says about models.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserFacts {
    file: String,
    models: Vec<(String, BTreeMap<String, FactValue>)>,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    models: BTreeMap<String, toml::Table>,
}

impl UserFacts {
    /// Reads a facts file.
    ///
    /// # Errors
    /// Where the file cannot be read, is not TOML, or holds keys that nothing reads: a misspelt fact that was silently left
    /// out would change a verdict.
    pub fn read(path: &Path) -> Result<Self, FactsError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| FactsError::File { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Reads the text of the facts file at `path`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(path: &Path, text: &str) -> Result<Self, FactsError> {
        let file: File = toml::from_str(text).map_err(|error| FactsError::Content {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let models = file.models.into_iter().map(|(model, table)| {
            let mut stated = BTreeMap::new();
            collect(path, &model, "", &table, &mut stated)?;
            Ok((model, stated))
        });
        Ok(Self { file: path.display().to_string(), models: models.collect::<Result<_, FactsError>>()? })
    }

    /// The facts stated about the model of this name. Where several patterns fit, the longest takes precedence.
    pub fn of(&self, name: &str) -> BTreeMap<String, Fact> {
        let mut fitting: Vec<_> = self.models.iter().filter(|(pattern, _)| fits(pattern, name)).collect();
        fitting.sort_by_key(|(pattern, _)| pattern.len());
        let stated = fitting.into_iter().flat_map(|(_, stated)| stated);
        stated
            .map(|(key, value)| {
                let provenance = Provenance::User { file: self.file.clone() };
                (key.clone(), Fact { value: value.clone(), provenance })
            })
            .collect()
    }

    /// The names and patterns that fit none of `models`.
    pub fn unused<'a>(&'a self, models: &[String]) -> Vec<&'a str> {
        let fits_any = |pattern: &str| models.iter().any(|name| fits(pattern, name));
        self.models.iter().map(|(pattern, _)| pattern.as_str()).filter(|pattern| !fits_any(pattern)).collect()
    }
}

/// Collects the facts of a table and of the tables in it, under their dotted names.
fn collect(
    path: &Path,
    model: &str,
    before: &str,
    table: &toml::Table,
    stated: &mut BTreeMap<String, FactValue>,
) -> Result<(), FactsError> {
    for (key, value) in table {
        let name = if before.is_empty() { key.clone() } else { format!("{before}.{key}") };
        let value = match value {
            // Deeper than a namespace there are no names, so the recursion ends.
            toml::Value::Table(inner) if before.is_empty() && !key.contains('.') => {
                collect(path, model, &name, inner, stated)?;
                continue;
            }
            value => value,
        };
        let value = fact_value(value).map_err(|found| FactsError::Value {
            path: path.to_owned(),
            model: model.to_owned(),
            key: name.clone(),
            found,
        })?;
        check(path, model, &name, &value)?;
        stated.insert(name, value);
    }
    Ok(())
}

fn fact_value(value: &toml::Value) -> Result<FactValue, &'static str> {
    match value {
        toml::Value::Boolean(flag) => Ok(FactValue::Flag(*flag)),
        toml::Value::Integer(number) => Ok(FactValue::Number(*number as f64)),
        toml::Value::Float(number) if number.is_finite() => Ok(FactValue::Number(*number)),
        toml::Value::Float(_) => Err("not a finite number"),
        toml::Value::String(text) => Ok(FactValue::Text(text.clone())),
        toml::Value::Datetime(_) => Err("a date"),
        toml::Value::Array(_) => Err("a list"),
        toml::Value::Table(_) => Err("a table"),
    }
}

fn check(path: &Path, model: &str, name: &str, value: &FactValue) -> Result<(), FactsError> {
    if name.strip_prefix(known::OWN).is_some_and(|own| !own.is_empty()) {
        return Ok(());
    }
    let Some(known) = known::find(name) else {
        let advice = known::nearest(name).map_or_else(
            || {
                let names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
                format!("known are {}, and names of your own that begin with {}", names.join(", "), known::OWN)
            },
            |nearest| format!("did you mean \"{nearest}\"?"),
        );
        return Err(FactsError::UnknownKey {
            path: path.to_owned(),
            model: model.to_owned(),
            key: name.to_owned(),
            advice,
        });
    };
    if known.kind.fits(value) {
        return Ok(());
    }
    Err(FactsError::Kind {
        path: path.to_owned(),
        model: model.to_owned(),
        key: known.name,
        expected: known.kind.name(),
        found: value.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_facts_or_an_error(text in "[\\[\\]{}a-z.=\"0-9\n ]{0,200}", name in ".*") {
            let _ = parse(&format!("[models.m]\n{text}"));
            if let Ok(facts) = parse(&text) {
                prop_assert!(facts.of(&name).len() <= text.len());
            }
        }
    }

    fn parse(text: &str) -> Result<UserFacts, String> {
        UserFacts::parse(Path::new("facts.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn facts_in_every_spelling() {
        let facts = parse(
            "[models.\"opt-*\"]\ntraining.precision = \"fp16\"\n\"training.attention_dropout\" = 0\n\
             [models.opt-125m.training]\nattention_dropout = 0.1\n\
             [models.opt-125m.user]\nlaboratory = \"north\"\n[models.other]\nconfig.softmax_in_fp32 = true\n",
        )
        .expect("valid");
        let stated = facts.of("opt-125m");
        assert_eq!(stated["training.attention_dropout"].value, FactValue::Number(0.1), "the longer pattern wins");
        assert_eq!(stated["training.precision"].value, FactValue::Text("fp16".into()));
        assert_eq!(stated["user.laboratory"].provenance, Provenance::User { file: "facts.toml".into() });
        assert_eq!(facts.of("opt-1.3b")["training.attention_dropout"].value, FactValue::Number(0.0));
        assert_eq!(facts.unused(&["opt-125m".into()]), ["other"]);
        assert!(facts.of("gpt2").is_empty());
    }

    #[test]
    fn what_nothing_reads_is_refused_by_name() {
        for (text, says) in [
            (
                "[models.a]\ntraining.precison = \"fp16\"",
                "\"a\" has the unknown fact \"training.precison\"; did you mean \"training.precision\"?",
            ),
            (
                "[models.a]\ntokenizer = \"bpe\"",
                "\"a\" has the unknown fact \"tokenizer\"; known are config.attention_dropout, ",
            ),
            ("[models.a]\nuser. = 1", "facts.toml: not a facts file: TOML parse error at line 2"),
            ("[modles.a]\n", "unknown field `modles`"),
            ("model = 3", "unknown field `model`"),
            ("", "missing field `models`"),
            (
                "[models.a]\ntraining.attention_dropout = \"none\"",
                "training.attention_dropout takes a number, not none",
            ),
            ("[models.a]\nmodel.language = false", "model.language takes a text, not false"),
            ("[models.a]\ntraining.attention_dropout = nan", "is not a finite number"),
            ("[models.a]\nmodel.language = [\"english\"]", "model.language is a list"),
            ("[models.a]\nuser.x.y = 1", "user.x is a table"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with("facts.toml: ") && error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = UserFacts::read(Path::new("/nonexistent/facts.toml")).expect_err("missing").to_string();
        assert!(error.ends_with("cannot read the facts in /nonexistent/facts.toml"), "{error}");
    }
}
