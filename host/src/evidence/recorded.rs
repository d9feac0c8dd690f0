//! The investigation that the project began with, as recorded evidence: its figures as rows, its tables cell by cell,
//! its contradictions, and its verdicts with why a computed one can differ.
//!
//! The document gives most figures twice, and differently: [`Figures`] chooses. Where it says only that a tensor is early
//! or late, the row's depth is the middle of that quarter of the layers, and its layer stays unknown.

use serde::{Deserialize, Serialize};

use super::facts::{Facts, Published};
use super::runs::{Gathered, depth};
use super::{Evidence, Fact, FactValue, ModelEvidence, Provenance, TensorEvidence};
use kurtoscope_checkpoint::model::{Component, Family};

/// The document as data.
const DOCUMENT: &str = include_str!("recorded.toml");

/// The depth of a tensor of which only the quarter is known.
const EARLY: f64 = 0.125;
const LATE: f64 = 0.875;

/// Which of the document's two sets of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figures {
    /// Those that the hypotheses were drawn up from: 271, 164, 92, 2.
    Hypotheses,
    /// Those of the results that were added later: 562, 504, 201, 73, 41, 2.
    Results,
}

/// The recorded investigation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// The document's title.
    pub title: String,
    /// Its date.
    pub date: String,
    /// What it asked.
    pub question: String,
    #[serde(rename = "model")]
    models: Vec<RecordedModel>,
    #[serde(rename = "fact")]
    facts: Vec<RecordedFact>,
    #[serde(rename = "tensor")]
    tensors: Vec<RecordedTensor>,
    /// Its tables.
    #[serde(rename = "table")]
    pub tables: Vec<RecordedTable>,
    /// Numbers that it gives twice, and differently.
    #[serde(rename = "contradiction")]
    pub contradictions: Vec<Contradiction>,
    /// What it concluded.
    #[serde(rename = "verdict")]
    pub verdicts: Vec<RecordedVerdict>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedModel {
    name: String,
    family: Family,
    /// Its name in the table of facts, where it is another.
    published: Option<String>,
    layers: u32,
    parameters: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedFact {
    model: String,
    name: String,
    value: FactValue,
    section: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedTensor {
    figures: Figures,
    model: String,
    tensor: String,
    component: Component,
    layer: Option<u32>,
    quarter: Option<Quarter>,
    kurtosis: f64,
    section: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Quarter {
    Early,
    Late,
}

/// A table of the document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedTable {
    /// Where it stands.
    pub section: String,
    /// Its header.
    pub columns: Vec<String>,
    /// Its cells.
    pub rows: Vec<Vec<String>>,
    /// How it can be computed again.
    check: Check,
    /// What a reader should know about it.
    pub remark: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Check {
    Worst,
    Quarters,
    Dropout,
    Language,
    Cannot,
}

/// Two values for one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contradiction {
    /// What the values are of.
    pub subject: String,
    /// The values.
    pub values: Vec<String>,
    /// Where each stands.
    pub sections: Vec<String>,
}

/// What the document concluded about a hypothesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedVerdict {
    /// `H1`, …
    pub id: String,
    /// The verdict; several where it gives several.
    pub says: Vec<String>,
    /// What it rests the verdict on.
    pub evidence: String,
    /// Where each stands.
    pub sections: Vec<String>,
    /// Why a computed verdict differs, in a sentence.
    pub differs: String,
}

impl Recorded {
    /// The document that ships with Kurtoscope.
    ///
    /// # Panics
    /// Never: a test reads the document.
    #[expect(clippy::expect_used, reason = "the text is part of the program")]
    pub fn built_in() -> Self {
        toml::from_str(DOCUMENT).expect("the recorded investigation is valid")
    }

    /// One of its sets of figures as rows, with the facts that it states; what it does not state comes from the table of
    /// facts and from the user.
    pub fn evidence(&self, figures: Figures, facts: &Facts) -> Gathered {
        let mut evidence = Evidence::default();
        for model in &self.models {
            let tensors: Vec<&RecordedTensor> = self.tensors.iter().filter(|row| row.figures == figures).collect();
            let of_model = tensors.iter().filter(|row| row.model == model.name);
            let index = evidence.models.len();
            let before = evidence.tensors.len();
            evidence.tensors.extend(of_model.map(|row| row.evidence(index, model.layers)));
            if evidence.tensors.len() > before {
                evidence.models.push(self.model(model, facts));
            }
        }
        let which = match figures {
            Figures::Hypotheses => "the earlier figures, from which the hypotheses were drawn up",
            Figures::Results => "the later figures, updated with the results",
        };
        let remarks = vec![
            format!("These are {which}, recorded on {}. They were not measured by Kurtoscope.", self.date),
            "The recorded figures have no published source, and do not say whether they are Pearson's kurtosis or the \
             excess. They are taken as Pearson's."
                .to_owned(),
            "Of each model only one or two tensors were recorded, without shapes and without the kurtosis that remains when \
             single weights are left out."
                .to_owned(),
            "Where only early or late was recorded, the depth is the middle of that quarter of the layers.".to_owned(),
        ];
        Gathered { evidence, remarks }
    }

    fn model(&self, model: &RecordedModel, facts: &Facts) -> ModelEvidence {
        let name = model.published.as_deref().unwrap_or(&model.name);
        let published: Option<&Published> = facts.table().named(name);
        let mut known = facts.of(&model.name, published, None);
        for said in self.facts.iter().filter(|said| said.model == model.name) {
            let provenance = Provenance::Recorded { section: said.section.clone() };
            let is_users = |fact: &Fact| matches!(fact.provenance, Provenance::User { .. });
            // The document's word counts before the table's, the user's before the document's.
            if !known.get(&said.name).is_some_and(is_users) {
                known.insert(said.name.clone(), Fact { value: said.value.clone(), provenance });
            }
        }
        // It has a dash for Pythia's dropout; the table must not fill in what it did not know.
        let is_stated = |name: &str| self.facts.iter().any(|said| said.model == model.name && said.name == name);
        known.retain(|name, fact| {
            !name.starts_with("config.") || is_stated(name) || matches!(fact.provenance, Provenance::User { .. })
        });
        ModelEvidence {
            name: model.name.clone(),
            family: model.family,
            parameters: model.parameters,
            layers: Some(model.layers),
            synthetic: false,
            facts: known,
        }
    }

    /// Where in the document a row of [`evidence`](Self::evidence) stands.
    pub fn section(&self, figures: Figures, model: &str, tensor: &str) -> Option<&str> {
        let row = self.tensors.iter().find(|row| row.figures == figures && row.model == model && row.tensor == tensor);
        row.map(|row| row.section.as_str())
    }

    /// Whether the table follows from the recorded rows; `None` where the document did not keep what it takes.
    pub fn reproduces(&self, table: &RecordedTable) -> Option<bool> {
        let cells = |row: &Vec<String>| -> Option<Vec<String>> {
            let name = row.first()?;
            let model = self.models.iter().find(|model| model.name.starts_with(name.as_str()))?;
            let mut computed = vec![name.clone()];
            computed.extend(match table.check {
                Check::Worst => self.worst(model, Figures::Results),
                Check::Quarters => self.quarters(model),
                Check::Dropout => self.dropout(model),
                Check::Language => self.language(model),
                Check::Cannot => None,
            }?);
            Some(computed)
        };
        if table.check == Check::Cannot {
            return None;
        }
        Some(table.rows.iter().all(|row| cells(row).as_ref() == Some(row)))
    }

    fn highest(&self, model: &RecordedModel, figures: Figures) -> Option<&RecordedTensor> {
        let rows = self.tensors.iter().filter(|row| row.figures == figures && row.model == model.name);
        rows.max_by(|a, b| a.kurtosis.total_cmp(&b.kurtosis))
    }

    fn worst(&self, model: &RecordedModel, figures: Figures) -> Option<Vec<String>> {
        let row = self.highest(model, figures)?;
        Some(vec![row.tensor.clone(), row.kurtosis.to_string()])
    }

    fn quarters(&self, model: &RecordedModel) -> Option<Vec<String>> {
        let highest = |quarter: Quarter| {
            let rows = self.tensors.iter().filter(|row| row.figures == Figures::Results && row.model == model.name);
            rows.filter(|row| row.quarter == Some(quarter)).map(|row| row.kurtosis).max_by(f64::total_cmp)
        };
        let (early, late) = (highest(Quarter::Early), highest(Quarter::Late));
        let cell = |value: Option<f64>| value.map_or_else(|| "—".to_owned(), |value| value.to_string());
        let pattern = if early > late { "EARLY" } else { "LATE" };
        Some(vec![cell(early), cell(late), pattern.to_owned()])
    }

    fn said(&self, model: &RecordedModel, name: &str) -> Option<&FactValue> {
        self.facts.iter().find(|said| said.model == model.name && said.name == name).map(|said| &said.value)
    }

    fn dropout(&self, model: &RecordedModel) -> Option<Vec<String>> {
        let dropout = match self.said(model, "config.attention_dropout") {
            Some(FactValue::Number(value)) => format!("{value:.1}"),
            _ => "—".to_owned(),
        };
        Some(vec![dropout, self.highest(model, Figures::Results)?.kurtosis.to_string()])
    }

    fn language(&self, model: &RecordedModel) -> Option<Vec<String>> {
        let language = match self.said(model, "model.language")? {
            FactValue::Text(word) if word == "english" => "English".to_owned(),
            other => other.to_string(),
        };
        Some(vec![language, self.highest(model, Figures::Hypotheses)?.kurtosis.to_string()])
    }
}

impl RecordedTensor {
    fn evidence(&self, model: usize, layers: u32) -> TensorEvidence {
        let quarter = self.quarter.map(|quarter| match quarter {
            Quarter::Early => EARLY,
            Quarter::Late => LATE,
        });
        TensorEvidence {
            model,
            tensor: self.tensor.clone(),
            component: self.component,
            layer: self.layer,
            tower: None,
            depth: depth(self.layer, Some(layers)).or(quarter),
            shape: Vec::new(),
            elements: None,
            kurtosis: Some(self.kurtosis),
            kurtosis_without_1: None,
            kurtosis_without_4: None,
            kurtosis_without_16: None,
        }
    }
}

#[cfg(test)]
#[path = "recorded_tests.rs"]
mod tests;
