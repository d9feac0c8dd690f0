//! What a hypothesis declares: words for readers, and one test over evidence columns. Built-in and user's own
//! hypotheses are the same TOML.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::column;
use super::selection::{Matcher, Rows};

/// A hypothesis as declared.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// `H1`, …
    pub id: String,
    /// A few words.
    pub title: String,
    /// What is claimed.
    pub claim: String,
    /// What should be seen if the claim holds.
    pub prediction: String,
    /// How it is tested, for readers.
    pub test: String,
    /// When it counts as supported, rejected, mixed, for readers.
    pub decision_rule: String,
    /// What would refute it.
    pub falsification: String,
    /// What else could explain it.
    #[serde(default)]
    pub confounds: Vec<String>,
    /// What an observation is.
    pub rows: Rows,
    /// Which tensors count; every entry must hold. A column with the values it may have.
    #[serde(default)]
    pub filter: std::collections::BTreeMap<String, Vec<Matcher>>,
    /// The column that is predicted.
    #[serde(default = "kurtosis")]
    pub value: String,
    /// A second value column on which the same test must point the same way.
    pub robust: Option<String>,
    /// The columns that predict it; several are tested side by side.
    pub by: Vec<String>,
    /// What is predicted.
    pub predict: Prediction,
    /// How many families at least.
    #[serde(default = "three")]
    pub minimum_families: usize,
}

fn kurtosis() -> String {
    "kurtosis".to_owned()
}

const fn three() -> usize {
    3
}

/// What is predicted about the value column.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Prediction {
    /// Rises with the other column.
    Rises,
    /// Falls with the other column.
    Falls,
    /// Higher in one group than in the other.
    Higher {
        /// The group with higher values.
        group: Vec<Matcher>,
        /// The group with lower values.
        than: Vec<Matcher>,
    },
    /// Rises from group to group in this order.
    Order(Vec<Vec<Matcher>>),
}

/// Why a hypothesis file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The file cannot be read.
    #[error("cannot read the hypothesis file {file}", file = file.display())]
    Read {
        /// Its path.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no TOML, or not that of a hypothesis.
    #[error("{file}, line {line}: {message}. Correct this line; the README shows a complete hypothesis file", file = file.display())]
    Parse {
        /// Its path.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, with the key where there is one.
        message: String,
    },
    /// A column differs between the tensors that are one observation.
    #[error(
        "{file}, line {line}: `{column}` differs between the tensors of one observation, of which rows = \"{rows}\" takes the \
         largest value; use rows = \"tensors\", or another column",
        file = file.display()
    )]
    Varies {
        /// Its path.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column's name.
        column: String,
        /// What one observation is.
        rows: &'static str,
    },
    /// A key names a column that evidence does not have.
    #[error(
        "{file}, line {line}: `{key}` names the column `{column}`, which evidence does not have. Use model, family, size, tensor, \
         component, layer, depth, rows, columns, elements, smallest_dimension, kurtosis, kurtosis_without_1, _4 or _16, or a \
         known fact (config.…, training.…, model.…), or one of your own, user.…",
        file = file.display()
    )]
    Column {
        /// Its path.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: &'static str,
        /// The column's name.
        column: String,
    },
    /// A key has no value where it needs one.
    #[error("{file}, line {line}: `{key}` is empty. Name at least one column or value", file = file.display())]
    Empty {
        /// Its path.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: &'static str,
    },
}

impl Definition {
    /// Reads a hypothesis file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no TOML, has unknown or missing keys, or names columns that do not exist.
    pub fn read(file: &Path) -> Result<Self, DefinitionError> {
        let text =
            std::fs::read_to_string(file).map_err(|source| DefinitionError::Read { file: file.to_owned(), source })?;
        Self::parse(&text, file)
    }

    /// Parses a hypothesis; `file` is named in errors.
    ///
    /// # Errors
    ///
    /// As [`Definition::read`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, DefinitionError> {
        let definition: Self = toml::from_str(text).map_err(|error| DefinitionError::Parse {
            file: file.to_owned(),
            line: error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |before| before.matches('\n').count() + 1),
            message: error.message().trim_end_matches('.').to_owned(),
        })?;
        definition.check(text, file)?;
        Ok(definition)
    }

    fn check(&self, text: &str, file: &Path) -> Result<(), DefinitionError> {
        let line = |key: &str| text.lines().position(|line| line.trim_start().starts_with(key)).map_or(1, |at| at + 1);
        let named = [("value", &self.value)].into_iter().chain(self.by.iter().map(|by| ("by", by)));
        let named = named.chain(self.robust.iter().map(|robust| ("robust", robust)));
        for (key, column) in named.chain(self.filter.keys().map(|column| ("filter", column))) {
            if !column::exists(column) {
                return Err(DefinitionError::Column {
                    file: file.to_owned(),
                    line: line(key),
                    key,
                    column: column.clone(),
                });
            }
        }
        if let Some(column) = self.by.iter().find(|column| column::varies(column, self.rows)) {
            let rows = self.rows.name();
            return Err(DefinitionError::Varies {
                file: file.to_owned(),
                line: line("by"),
                column: column.clone(),
                rows,
            });
        }
        let empty_group = match &self.predict {
            Prediction::Rises | Prediction::Falls => false,
            Prediction::Higher { group, than } => group.is_empty() || than.is_empty(),
            Prediction::Order(groups) => groups.len() < 2,
        };
        for (key, empty) in [("by", self.by.is_empty()), ("predict", empty_group)] {
            if empty {
                return Err(DefinitionError::Empty { file: file.to_owned(), line: line(key), key });
            }
        }
        Ok(())
    }
}
