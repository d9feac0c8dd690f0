//! EXP-022, architecture: which tensors are outliers, of what shape, and in which component.

use serde_json::{Value, json};

use super::rows::{self, columns, highest, highest_without_16, is_attention, is_mlp, models, number};
use super::{Experiment, ExperimentTable, Plot, Series};
use crate::evidence::{Evidence, TensorEvidence};
use crate::record::HEAVY_KURTOSIS;
use crate::statistics::median;
use kurtoscope_checkpoint::model::Component;

/// The points that a model has in the plot at most, heaviest first.
const POINTS: usize = 150;

/// Builds the tables and the plot.
pub fn build(evidence: &Evidence) -> Experiment {
    Experiment {
        id: "EXP-022".into(),
        title: "Architecture".into(),
        question: "Which weight matrices are outliers, how large are they, and what are they for?".into(),
        columns: columns(&[
            "model",
            "tensor",
            "component",
            "layer",
            "shape",
            "kurtosis",
            "kurtosis without 16",
            "kurtosis per 1000 weights",
        ]),
        rows: outliers(evidence).into_iter().map(|row| cells(evidence, row)).collect(),
        further: vec![by_component(evidence)],
        notes: notes(evidence),
        plot: plot(evidence),
    }
}

/// Every matrix above [`HEAVY_KURTOSIS`] and the heaviest of each model, heaviest first.
fn outliers(evidence: &Evidence) -> Vec<&TensorEvidence> {
    let heaviest: Vec<&TensorEvidence> =
        models(evidence).into_iter().filter_map(|(_, tensors)| Some(highest(tensors)?.0)).collect();
    let is_listed = |row: &&TensorEvidence| {
        row.kurtosis > Some(HEAVY_KURTOSIS) || heaviest.iter().any(|heaviest| std::ptr::eq(*heaviest, *row))
    };
    let mut listed: Vec<&TensorEvidence> = evidence.tensors.iter().filter(is_listed).collect();
    listed.sort_by(|a, b| b.kurtosis.unwrap_or(0.0).total_cmp(&a.kurtosis.unwrap_or(0.0)));
    listed
}

fn cells(evidence: &Evidence, row: &TensorEvidence) -> Vec<Value> {
    let elements = row.elements.filter(|elements| *elements > 0);
    let density = row.kurtosis.zip(elements).map(|(kurtosis, elements)| kurtosis / (elements as f64 / 1000.0));
    let shape: Vec<String> = row.shape.iter().map(u64::to_string).collect();
    vec![
        evidence.models.get(row.model).map(|model| model.name.clone()).into(),
        row.tensor.clone().into(),
        row.component.name().into(),
        json!(row.layer),
        if shape.is_empty() { Value::Null } else { shape.join("×").into() },
        number(row.kurtosis),
        number(row.kurtosis_without_16),
        number(density),
    ]
}

fn by_component(evidence: &Evidence) -> ExperimentTable {
    let heaviest: Vec<Component> =
        models(evidence).into_iter().filter_map(|(_, tensors)| Some(highest(tensors)?.0.component)).collect();
    let row = |component: Component| {
        let tensors: Vec<&TensorEvidence> =
            evidence.tensors.iter().filter(|row| row.component == component && row.kurtosis.is_some()).collect();
        let heavy = tensors.iter().filter(|row| row.kurtosis > Some(HEAVY_KURTOSIS)).count();
        (!tensors.is_empty()).then(|| {
            vec![
                component.name().into(),
                tensors.len().into(),
                number(median(tensors.iter().filter_map(|row| row.kurtosis))),
                number(highest(tensors.iter().copied()).map(|(_, kurtosis)| kurtosis)),
                number(highest_without_16(tensors.iter().copied()).map(|(_, kurtosis)| kurtosis)),
                heavy.into(),
                heaviest.iter().filter(|of_model| **of_model == component).count().into(),
            ]
        })
    };
    ExperimentTable {
        title: "By component".into(),
        columns: columns(&[
            "component",
            "matrices",
            "median kurtosis",
            "highest kurtosis",
            "highest kurtosis without 16",
            "matrices above 10",
            "models with their highest here",
        ]),
        rows: Component::ALL.iter().copied().filter_map(row).collect(),
    }
}

fn notes(evidence: &Evidence) -> Vec<String> {
    let measured = evidence.tensors.iter().filter(|row| row.kurtosis.is_some()).count();
    let heavy = evidence.tensors.iter().filter(|row| row.kurtosis > Some(HEAVY_KURTOSIS)).count();
    let mut notes = vec![format!(
        "{heavy} of {measured} weight matrices {} above {HEAVY_KURTOSIS:.0}, the kurtosis from which Kurtoscope calls a matrix heavy; \
         the table lists these and the heaviest of each model.",
        if heavy == 1 { "is" } else { "are" },
    )];
    let resting = evidence.tensors.iter().filter(|row| {
        row.kurtosis > Some(HEAVY_KURTOSIS) && row.kurtosis_without_16.is_some_and(|k| k <= HEAVY_KURTOSIS)
    });
    if heavy > 0 {
        notes.push(format!(
            "{} of these {heavy} fall to {HEAVY_KURTOSIS:.0} or less once their 16 farthest weights are left out: there, a handful of \
             weights is the whole tail.",
            resting.count()
        ));
    }
    notes.extend(contest(evidence, "Kurtosis", |row| row.kurtosis));
    notes.extend(contest(evidence, "Without the 16 farthest weights", |row| row.kurtosis_without_16));
    let sized = |kurtosis: &dyn Fn(&TensorEvidence) -> Option<f64>| -> Vec<(f64, f64)> {
        let rows = evidence.tensors.iter().filter(|row| row.is_of_blocks());
        rows.filter_map(|row| Some((row.elements? as f64, kurtosis(row)?))).collect()
    };
    let (all, without) = (sized(&|row| row.kurtosis), sized(&|row| row.kurtosis_without_16));
    if all.is_empty() {
        notes.push("No shapes are known, so size and kurtosis cannot be held against each other.".into());
    } else {
        notes.push(format!(
            "Spearman's correlation of a matrix's number of weights with its kurtosis, over all matrices of the blocks: {}; \
             without the 16 farthest weights: {}. Matrices of one model are not independent, and the highest possible \
             kurtosis grows with the number of weights, so this describes and does not test.",
            rows::correlation(&all),
            rows::correlation(&without)
        ));
    }
    notes
}

/// In how many models the attention's highest is above the feed-forward's.
fn contest(evidence: &Evidence, what: &str, kurtosis: impl Fn(&TensorEvidence) -> Option<f64>) -> Option<String> {
    let best = |tensors: &[&TensorEvidence], belongs: fn(Component) -> bool| {
        let of_kind = tensors.iter().filter(|row| belongs(row.component));
        of_kind.filter_map(|row| kurtosis(row)).reduce(f64::max)
    };
    let pairs: Vec<(f64, f64)> = models(evidence)
        .into_iter()
        .filter_map(|(_, tensors)| Some((best(&tensors, is_attention)?, best(&tensors, is_mlp)?)))
        .collect();
    let ahead = pairs.iter().filter(|(attention, mlp)| attention > mlp).count();
    (!pairs.is_empty()).then(|| {
        format!(
            "{what}: the attention's highest is above the feed-forward block's in {} that have both.",
            rows::share(ahead, pairs.len(), "model")
        )
    })
}

fn plot(evidence: &Evidence) -> Option<Plot> {
    let series = models(evidence).into_iter().map(|(model, tensors)| {
        let mut points: Vec<(f64, f64, Option<String>)> =
            tensors.into_iter().filter_map(|row| Some((row.elements? as f64, row.kurtosis?, None))).collect();
        points.sort_by(|a, b| b.1.total_cmp(&a.1));
        points.truncate(POINTS);
        Series { name: model.name.clone(), joined: false, points }
    });
    rows::plot("weights in the matrix", true, "kurtosis (Pearson; normal = 3)", series.collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn outliers_and_each_models_heaviest_are_listed() {
        let experiment = build(&testing::evidence());
        let listed: Vec<(&str, Option<f64>)> =
            experiment.rows.iter().map(|row| (row[0].as_str().expect("a name"), row[5].as_f64())).collect();
        assert_eq!(
            listed,
            [("opt-small", Some(500.0)), ("bloom", Some(90.0)), ("opt-small", Some(40.0)), ("opt-large", Some(20.0))]
        );
        // 500 over ten thousand weights.
        assert_eq!(experiment.rows[0][7], json!(50.0));
        assert_eq!(experiment.rows[0][4], json!("100×100"));
        assert!(experiment.rows.iter().all(|row| row.len() == experiment.columns.len()));
    }

    #[test]
    fn components_are_counted() {
        let table = &build(&testing::evidence()).further[0];
        let output = table.rows.iter().find(|row| row[0] == "attention_output").expect("four of them");
        // 500, 5, 3.2 and 3: the median is the mean of 3.2 and 5.
        assert_eq!(output[1..], [json!(4), json!(4.1), json!(500.0), json!(5.0), json!(1), json!(1)]);
        assert_eq!(table.rows.iter().filter_map(|row| row[1].as_u64()).sum::<u64>(), 13);
        assert_eq!(table.rows.iter().filter_map(|row| row[6].as_u64()).sum::<u64>(), 3, "one a model");
    }

    #[test]
    fn the_notes_count_by_hand() {
        let notes = build(&testing::evidence()).notes.join("\n");
        for says in [
            "4 of 13 weight matrices are above 10",
            "1 of these 4 fall to 10 or less",
            "Kurtosis: the attention's highest is above the feed-forward block's in 2 of 3 models",
            "Without the 16 farthest weights: the attention's highest is above the feed-forward block's in 1 of 3 models",
            "(n = 12)",
        ] {
            assert!(notes.contains(says), "{says}: {notes}");
        }
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        let experiment = build(&Evidence::default());
        assert!(experiment.rows.is_empty() && experiment.plot.is_none() && experiment.further[0].rows.is_empty());
    }
}
