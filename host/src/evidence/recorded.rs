//! The investigation that the project began with, as recorded evidence: its figures as rows, its tables cell by cell,
//! its contradictions, and its verdicts with why a computed one can differ.
//!
//! The document gives most figures twice, and differently: [`Figures`] chooses. Where it says only that a tensor is early
//! or late, the row's depth is the middle of that quarter of the layers, and its layer stays unknown.

use serde::{Deserialize, Serialize};

use super::facts::{Facts, Published};
use super::runs::{Gathered, depth};
use super::{Evidence, Fact, FactValue, ModelEvidence, Provenance, TensorEvidence};
use crate::model::{Component, Family};

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
    models: Vec<Model>,
    #[serde(rename = "fact")]
    facts: Vec<Said>,
    #[serde(rename = "tensor")]
    tensors: Vec<Tensor>,
    /// Its tables.
    #[serde(rename = "table")]
    pub tables: Vec<Table>,
    /// Numbers that it gives twice, and differently.
    #[serde(rename = "contradiction")]
    pub contradictions: Vec<Contradiction>,
    /// What it concluded.
    #[serde(rename = "verdict")]
    pub verdicts: Vec<Verdict>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    name: String,
    family: Family,
    /// Its name in the table of facts, where it is another.
    published: Option<String>,
    layers: u32,
    parameters: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    model: String,
    name: String,
    value: FactValue,
    section: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tensor {
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
pub struct Table {
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
pub struct Verdict {
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
        toml::from_str(DOCUMENT).expect("the recorded investigation is sound")
    }

    /// One of its sets of figures as rows, with the facts that it states; what it does not state comes from the table of
    /// facts and from the user.
    pub fn evidence(&self, figures: Figures, facts: &Facts) -> Gathered {
        let mut evidence = Evidence::default();
        for model in &self.models {
            let tensors: Vec<&Tensor> = self.tensors.iter().filter(|row| row.figures == figures).collect();
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

    fn model(&self, model: &Model, facts: &Facts) -> ModelEvidence {
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
    pub fn reproduces(&self, table: &Table) -> Option<bool> {
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

    fn highest(&self, model: &Model, figures: Figures) -> Option<&Tensor> {
        let rows = self.tensors.iter().filter(|row| row.figures == figures && row.model == model.name);
        rows.max_by(|a, b| a.kurtosis.total_cmp(&b.kurtosis))
    }

    fn worst(&self, model: &Model, figures: Figures) -> Option<Vec<String>> {
        let row = self.highest(model, figures)?;
        Some(vec![row.tensor.clone(), row.kurtosis.to_string()])
    }

    fn quarters(&self, model: &Model) -> Option<Vec<String>> {
        let highest = |quarter: Quarter| {
            let rows = self.tensors.iter().filter(|row| row.figures == Figures::Results && row.model == model.name);
            rows.filter(|row| row.quarter == Some(quarter)).map(|row| row.kurtosis).max_by(f64::total_cmp)
        };
        let (early, late) = (highest(Quarter::Early), highest(Quarter::Late));
        let cell = |value: Option<f64>| value.map_or_else(|| "—".to_owned(), |value| value.to_string());
        let pattern = if early > late { "EARLY" } else { "LATE" };
        Some(vec![cell(early), cell(late), pattern.to_owned()])
    }

    fn said(&self, model: &Model, name: &str) -> Option<&FactValue> {
        self.facts.iter().find(|said| said.model == model.name && said.name == name).map(|said| &said.value)
    }

    fn dropout(&self, model: &Model) -> Option<Vec<String>> {
        let dropout = match self.said(model, "config.attention_dropout") {
            Some(FactValue::Number(value)) => format!("{value:.1}"),
            _ => "—".to_owned(),
        };
        Some(vec![dropout, self.highest(model, Figures::Results)?.kurtosis.to_string()])
    }

    fn language(&self, model: &Model) -> Option<Vec<String>> {
        let language = match self.said(model, "model.language")? {
            FactValue::Text(word) if word == "english" => "English".to_owned(),
            other => other.to_string(),
        };
        Some(vec![language, self.highest(model, Figures::Hypotheses)?.kurtosis.to_string()])
    }
}

impl Tensor {
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
mod tests {
    use super::*;

    fn highest(gathered: &Gathered) -> Vec<(String, f64)> {
        let evidence = &gathered.evidence;
        let of = |index: usize| evidence.tensors.iter().filter(move |row| row.model == index);
        let highest = |index| of(index).filter_map(|row| row.kurtosis).fold(f64::MIN, f64::max);
        evidence.models.iter().enumerate().map(|(index, model)| (model.name.clone(), highest(index))).collect()
    }

    fn owned(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn both_sets_of_figures_are_kept_apart() {
        let (recorded, facts) = (Recorded::built_in(), Facts::new(None));
        assert_eq!(
            highest(&recorded.evidence(Figures::Hypotheses, &facts)),
            owned(&[("OPT-125M", 271.0), ("BLOOM-560M", 164.0), ("GPT-2", 92.0), ("XGLM-564M", 2.0)])
        );
        assert_eq!(
            highest(&recorded.evidence(Figures::Results, &facts)),
            owned(&[
                ("OPT-125M", 562.0),
                ("BLOOM-560M", 504.0),
                ("GPT-2", 201.0),
                ("Pythia-410M", 73.0),
                ("XGLM-564M", 2.0)
            ])
        );
    }

    #[test]
    fn tables_follow_from_the_rows_where_the_document_kept_them() {
        let recorded = Recorded::built_in();
        let reproduced: Vec<Option<bool>> = recorded.tables.iter().map(|table| recorded.reproduces(table)).collect();
        assert_eq!(reproduced, [None, Some(true), Some(true), None, Some(true), Some(true)]);
        for table in &recorded.tables {
            assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{}", table.section);
        }
        let mut altered = recorded.tables[2].clone();
        altered.rows[0][1] = "271".into();
        assert_eq!(recorded.reproduces(&altered), Some(false));
    }

    #[test]
    fn dropout_is_told_from_config_and_from_training() {
        let recorded = Recorded::built_in();
        let gathered = recorded.evidence(Figures::Results, &Facts::new(None));
        let value = |model: &str, fact: &str| {
            let model = gathered.evidence.models.iter().find(|row| row.name == model).expect("recorded");
            model.facts.get(fact).map(|fact| fact.value.to_string())
        };
        for (model, config, training) in [
            ("OPT-125M", Some("0"), Some("0.1")),
            ("BLOOM-560M", Some("0"), Some("0.1")),
            ("GPT-2", Some("0.1"), None),
            ("Pythia-410M", None, Some("0")),
            ("XGLM-564M", Some("0.1"), None),
        ] {
            assert_eq!(value(model, "config.attention_dropout").as_deref(), config, "{model}");
            assert_eq!(value(model, "training.attention_dropout").as_deref(), training, "{model}");
        }
    }

    #[test]
    fn both_contradicting_values_are_there() {
        let recorded = Recorded::built_in();
        let values = |subject: &str| {
            let found = recorded.contradictions.iter().find(|entry| entry.subject.contains(subject)).expect(subject);
            assert_eq!(found.values.len(), found.sections.len(), "{subject}");
            found.values.join(" ")
        };
        assert_eq!(values("OPT-125M"), "271 562");
        assert_eq!(values("H1"), "INCONCLUSIVE REJECTED");
        let ids: Vec<&str> = recorded.verdicts.iter().map(|verdict| verdict.id.as_str()).collect();
        assert_eq!(ids, ["H1", "H2", "H3", "H4", "H5", "H6", "H7"]);
        assert_eq!(recorded.verdicts[0].says, ["INCONCLUSIVE", "REJECTED"]);
    }

    #[test]
    fn every_row_says_where_it_stands_and_what_depth_it_has() {
        let recorded = Recorded::built_in();
        for figures in [Figures::Hypotheses, Figures::Results] {
            let evidence = recorded.evidence(figures, &Facts::new(None)).evidence;
            for row in &evidence.tensors {
                let model = &evidence.models[row.model].name;
                assert!(recorded.section(figures, model, &row.tensor).is_some(), "{model} {}", row.tensor);
            }
        }
        let early = recorded.evidence(Figures::Hypotheses, &Facts::new(None)).evidence;
        assert_eq!(early.tensors[0].depth, Some(1.0 / 11.0));
        let late = recorded.evidence(Figures::Results, &Facts::new(None)).evidence;
        let depths: Vec<Option<f64>> = late.tensors.iter().map(|row| row.depth).collect();
        assert_eq!(depths, [Some(0.125), Some(0.875), Some(0.875), Some(0.875), None, None]);
    }
}
