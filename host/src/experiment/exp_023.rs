//! EXP-023, training configuration: what is known of how each model was trained, from where, beside its highest kurtosis.

use serde_json::Value;

use super::rows::{self, columns, fact, highest, highest_without_16, models, number};
use super::{Experiment, ExperimentTable, Plot, Series};
use crate::evidence::{Evidence, FactValue, ModelEvidence, Provenance};
use crate::statistics::median;

/// The facts in the table, under their columns' names.
const FACTS: [(&str, &str); 8] = [
    ("config.attention_dropout", "attention dropout (config.json)"),
    ("training.attention_dropout", "attention dropout (training)"),
    ("config.hidden_dropout", "hidden dropout (config.json)"),
    ("training.hidden_dropout", "hidden dropout (training)"),
    ("training.precision", "precision (training)"),
    ("config.softmax_in_fp32", "softmax in 32 bits (config.json)"),
    ("config.stored_type", "stored type (config.json)"),
    ("training.batch_size", "batch in tokens (training)"),
];

/// Builds the tables and the plot.
pub fn build(evidence: &Evidence) -> Experiment {
    let mut names = vec!["model", "family"];
    names.extend(FACTS.map(|(_, column)| column));
    names.extend(["highest kurtosis", "highest kurtosis without 16"]);
    Experiment {
        id: "EXP-023".into(),
        title: "Training configuration".into(),
        question: "How was each model trained, and do its configuration and its training agree?".into(),
        columns: columns(&names),
        rows: highs(evidence).into_iter().map(|(model, high, without)| cells(model, high, without)).collect(),
        further: vec![sources(evidence)],
        notes: notes(evidence),
        plot: plot(evidence),
    }
}

/// Each model with the highest kurtosis of its blocks, and that without the 16 farthest weights.
fn highs(evidence: &Evidence) -> Vec<(&ModelEvidence, Option<f64>, Option<f64>)> {
    let of = |(model, tensors): (_, Vec<&crate::evidence::TensorEvidence>)| {
        let blocks = || tensors.iter().copied().filter(|row| row.is_of_blocks());
        (model, highest(blocks()).map(|found| found.1), highest_without_16(blocks()).map(|found| found.1))
    };
    models(evidence).into_iter().map(of).collect()
}

fn cells(model: &ModelEvidence, high: Option<f64>, without: Option<f64>) -> Vec<Value> {
    let mut row = vec![model.name.clone().into(), model.family.name().into()];
    row.extend(FACTS.map(|(name, _)| fact(model, name)));
    row.extend([number(high), number(without)]);
    row
}

fn sources(evidence: &Evidence) -> ExperimentTable {
    let shown = |model: &ModelEvidence| -> Vec<Vec<Value>> {
        let known = FACTS.iter().filter_map(|(name, _)| Some((*name, model.facts.get(*name)?)));
        known
            .map(|(name, known)| {
                let (place, standing) = match &known.provenance {
                    Provenance::Config { key } => (format!("config.json, {key}"), "read"),
                    Provenance::Gguf { key } => (format!("GGUF metadata, {key}"), "read"),
                    Provenance::Table { source, verified: true } => (source.clone(), "read"),
                    Provenance::Table { source, verified: false } => (source.clone(), "not verified"),
                    Provenance::User { file } => (file.clone(), "yours"),
                    Provenance::Recorded { section } => (format!("the investigation, {section}"), "recorded"),
                };
                vec![model.name.clone().into(), name.into(), fact(model, name), place.into(), standing.into()]
            })
            .collect()
    };
    ExperimentTable {
        title: "Where this was read".into(),
        columns: columns(&["model", "fact", "value", "source", "standing"]),
        rows: evidence.models.iter().flat_map(shown).collect(),
    }
}

fn dropout(model: &ModelEvidence, name: &str) -> Option<f64> {
    match model.facts.get(name)?.value {
        FactValue::Number(value) => Some(value),
        _ => None,
    }
}

fn notes(evidence: &Evidence) -> Vec<String> {
    const CONFIG: &str = "config.attention_dropout";
    const TRAINING: &str = "training.attention_dropout";
    let mut notes = Vec::new();
    for model in &evidence.models {
        if let (Some(stated), Some(used)) = (dropout(model, CONFIG), dropout(model, TRAINING))
            && stated != used
        {
            notes.push(format!(
                "{}: config.json says {stated} for attention dropout, and the training run used {used}. The \
                 published configuration does not say how the model was trained.",
                model.name
            ));
        }
    }
    let high = highs(evidence);
    let halves = |name: &str| {
        let with: Vec<(f64, f64)> =
            high.iter().filter_map(|(model, high, _)| Some((dropout(model, name)?, (*high)?))).collect();
        let part = |none: bool| -> Vec<f64> {
            with.iter().filter(|(dropout, _)| (*dropout == 0.0) == none).map(|(_, kurtosis)| *kurtosis).collect()
        };
        (part(true), part(false))
    };
    let mut directions = Vec::new();
    for (name, what) in [(CONFIG, "By config.json"), (TRAINING, "By training")] {
        let (without, with) = halves(name);
        match (median(without.iter().copied()), median(with.iter().copied())) {
            (Some(zero), Some(some)) => {
                notes.push(format!(
                    "{what}, the median of the highest kurtoses is {zero:.1} without attention dropout ({}) and {some:.1} \
                     with it ({}).",
                    models_word(without.len()),
                    models_word(with.len())
                ));
                directions.push(zero > some);
            }
            (None, None) => notes.push(format!("{what}, attention dropout is known for no model.")),
            _ => notes.push(format!(
                "{what}, all {} whose attention dropout is known have {} of it, so nothing can be compared.",
                models_word(without.len() + with.len()),
                if with.is_empty() { "none" } else { "some" }
            )),
        }
    }
    if let [config, training] = directions[..]
        && config != training
    {
        notes.push(
            "The two columns point in opposite directions: a statement about attention dropout and outliers depends on \
             which was used."
                .into(),
        );
    }
    let mut precisions: Vec<String> = evidence
        .models
        .iter()
        .filter_map(|model| Some(model.facts.get("training.precision")?.value.to_string()))
        .collect();
    let known = precisions.len();
    precisions.sort();
    precisions.dedup();
    match precisions.as_slice() {
        [] => notes.push("The precision of training is known for no model.".into()),
        [only] => notes.push(format!(
            "The precision of training is known for {} and is {only} for all, so it explains no difference among them.",
            models_word(known)
        )),
        several => notes.push(format!("Precisions of training that occur: {}.", several.join(", "))),
    }
    notes
}

fn models_word(count: usize) -> String {
    if count == 1 { "1 model".into() } else { format!("{count} models") }
}

fn plot(evidence: &Evidence) -> Option<Plot> {
    let high = highs(evidence);
    let series = [("config.attention_dropout", "config.json"), ("training.attention_dropout", "training")].map(
        |(name, what)| Series {
            name: what.into(),
            joined: false,
            points: high
                .iter()
                .filter_map(|(model, high, _)| Some((dropout(model, name)?, (*high)?, Some(model.name.clone()))))
                .collect(),
        },
    );
    rows::plot("attention dropout", false, "highest kurtosis (Pearson; normal = 3)", series.into())
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use serde_json::json;

    #[test]
    fn both_columns_and_their_sources_are_shown() {
        let experiment = build(&testing::evidence());
        let row = &experiment.rows[0];
        assert_eq!(row[..4], [json!("opt-small"), json!("opt"), json!(0.0), json!(0.1)]);
        assert_eq!(row[6], json!("fp16"));
        assert_eq!(row[10..], [json!(500.0), json!(39.0)]);
        // The embedding's 90 does not represent the model's blocks.
        assert_eq!(experiment.rows[2][10], json!(3.2));
        let sources = &experiment.further[0].rows;
        assert_eq!(sources.len(), 6);
        assert_eq!(sources[0][3..], [json!("config.json, attention_dropout"), json!("read")]);
        assert_eq!(sources[1][3..], [json!("a paper"), json!("not verified")]);
    }

    #[test]
    fn the_notes_say_that_the_columns_disagree() {
        let notes = build(&testing::evidence()).notes.join("\n");
        for says in [
            "opt-small: config.json says 0 for attention dropout, and the training run used 0.1",
            "By config.json, the median of the highest kurtoses is 260.0 without attention dropout (2 models) and 3.2 with it (1 model)",
            "By training, the median of the highest kurtoses is 3.2 without attention dropout (1 model) and 500.0 with it (1 model)",
            "opposite directions",
            "is fp16 for all",
        ] {
            assert!(notes.contains(says), "{says}: {notes}");
        }
        assert!(build(&Evidence::default()).notes[0].contains("known for no model"));
    }

    #[test]
    fn the_recorded_figures_turn_around_between_the_columns() {
        use crate::evidence::{Facts, Figures, Recorded};
        let recorded = Recorded::built_in().evidence(Figures::Results, &Facts::new(None));
        let experiment = build(&recorded.evidence);
        let row = |name: &str| experiment.rows.iter().find(|row| row[0] == name).expect(name);
        for (name, config, training, high) in [
            ("XGLM-564M", json!(0.1), Value::Null, 2.0),
            ("GPT-2", json!(0.1), Value::Null, 201.0),
            ("Pythia-410M", Value::Null, json!(0.0), 73.0),
            ("OPT-125M", json!(0.0), json!(0.1), 562.0),
            ("BLOOM-560M", json!(0.0), json!(0.1), 504.0),
        ] {
            assert_eq!(row(name)[2..4], [config, training], "{name}");
            assert_eq!(row(name)[10], json!(high), "{name}");
        }
        let notes = experiment.notes.join("\n");
        // The medians of 562 and 504, of 2 and 201; of 73, and of 562 and 504.
        for says in [
            "is 533.0 without attention dropout (2 models) and 101.5 with it (2 models)",
            "is 73.0 without attention dropout (1 model) and 533.0 with it (2 models)",
            "opposite directions",
        ] {
            assert!(notes.contains(says), "{says}: {notes}");
        }
    }
}
