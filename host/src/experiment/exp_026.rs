//! EXP-026, queries, keys and values against output projections: on which side of the attention are the outliers?

use std::collections::BTreeMap;

use serde_json::Value;

use super::rows::{self, columns, is_qkv, models, number};
use super::{Experiment, Plot, Series};
use crate::evidence::{Evidence, ModelEvidence, TensorEvidence};
use kurtoscope_checkpoint::model::Component;

/// Builds the table and the plot.
pub fn build(evidence: &Evidence) -> Experiment {
    let sides: Vec<Sides> = models(evidence).iter().map(|(model, tensors)| Sides::of(model, tensors)).collect();
    Experiment {
        id: "EXP-026".into(),
        title: "Queries, keys and values against output projections".into(),
        question: "Are attention outliers in the projections into the attention or in the one out of it?".into(),
        columns: columns(&[
            "model",
            "family",
            "query kurtosis",
            "key kurtosis",
            "value kurtosis",
            "undivided qkv kurtosis",
            "output kurtosis",
            "heavier",
            "qkv kurtosis without 16",
            "output kurtosis without 16",
            "heavier without 16",
        ]),
        rows: sides.iter().filter(|sides| sides.is_known()).map(Sides::cells).collect(),
        further: Vec::new(),
        notes: notes(&sides),
        plot: plot(evidence),
    }
}

/// The highest kurtosis of one model's attention projections, by projection.
struct Sides<'a> {
    model: &'a ModelEvidence,
    query: Option<f64>,
    key: Option<f64>,
    value: Option<f64>,
    undivided: Option<f64>,
    output: Option<f64>,
    qkv_without: Option<f64>,
    output_without: Option<f64>,
}

impl<'a> Sides<'a> {
    fn of(model: &'a ModelEvidence, tensors: &[&TensorEvidence]) -> Self {
        let highest = |component: Component| {
            let of_kind = tensors.iter().filter(|row| row.component == component);
            of_kind.filter_map(|row| row.kurtosis).reduce(f64::max)
        };
        let without = |belongs: &dyn Fn(Component) -> bool| {
            let of_kind = tensors.iter().filter(|row| belongs(row.component));
            of_kind.filter_map(|row| row.kurtosis_without_16).reduce(f64::max)
        };
        Self {
            model,
            query: highest(Component::AttentionQuery),
            key: highest(Component::AttentionKey),
            value: highest(Component::AttentionValue),
            undivided: highest(Component::AttentionQkv)
                .into_iter()
                .chain(highest(Component::AttentionKeyValue))
                .reduce(f64::max),
            output: highest(Component::AttentionOutput),
            qkv_without: without(&is_qkv),
            output_without: without(&|component| component == Component::AttentionOutput),
        }
    }

    fn qkv(&self) -> Option<f64> {
        [self.query, self.key, self.value, self.undivided].into_iter().flatten().reduce(f64::max)
    }

    fn is_known(&self) -> bool {
        self.qkv().is_some() || self.output.is_some()
    }

    fn heavier(&self) -> Option<&'static str> {
        let parts = [(self.query, "query"), (self.key, "key"), (self.value, "value"), (self.undivided, "qkv")];
        let (qkv, output) = (self.qkv()?, self.output?);
        let part = parts.into_iter().find(|(kurtosis, _)| *kurtosis == Some(qkv)).map_or("qkv", |(_, name)| name);
        Some(if output > qkv { "output" } else { part })
    }

    fn heavier_without(&self) -> Option<&'static str> {
        let (qkv, output) = (self.qkv_without?, self.output_without?);
        Some(if output > qkv { "output" } else { "qkv" })
    }

    fn cells(&self) -> Vec<Value> {
        let mut row: Vec<Value> = vec![self.model.name.clone().into(), self.model.family.name().into()];
        row.extend([self.query, self.key, self.value, self.undivided, self.output].map(number));
        row.push(self.heavier().into());
        row.extend([number(self.qkv_without), number(self.output_without), self.heavier_without().into()]);
        row
    }
}

fn notes(sides: &[Sides]) -> Vec<String> {
    let mut notes = Vec::new();
    let compared: Vec<&Sides> = sides.iter().filter(|sides| sides.heavier().is_some()).collect();
    if compared.is_empty() {
        notes.push("No model has figures on both sides, so nothing can be compared.".into());
    } else {
        let out = compared.iter().filter(|sides| sides.heavier() == Some("output")).count();
        notes.push(format!(
            "In {} the output projection is heavier than queries, keys and values.",
            rows::share(out, compared.len(), "model")
        ));
        let without: Vec<&str> = sides.iter().filter_map(Sides::heavier_without).collect();
        if !without.is_empty() {
            let out = without.iter().filter(|heavier| **heavier == "output").count();
            notes.push(format!(
                "Without the 16 farthest weights of each matrix it is in {}.",
                rows::share(out, without.len(), "model")
            ));
        }
    }
    if sides.iter().any(|sides| sides.undivided.is_some()) {
        notes.push(
            "Undivided are fused weights of which it is not known how queries, keys and values are stored in them, and the common \
             projections to keys and values of latent attention; all others were measured as their parts."
                .into(),
        );
    }
    notes
}

/// A point a layer: above the diagonal, where both are equal, the output is heavier.
fn plot(evidence: &Evidence) -> Option<Plot> {
    let series = models(evidence).into_iter().map(|(model, tensors)| {
        let mut by_layer: BTreeMap<u32, (Option<f64>, Option<f64>)> = BTreeMap::new();
        for row in tensors {
            let Some(layer) = row.main_layer() else { continue };
            let entry = by_layer.entry(layer).or_default();
            if is_qkv(row.component) {
                entry.0 = entry.0.into_iter().chain(row.kurtosis).reduce(f64::max);
            } else if row.component == Component::AttentionOutput {
                entry.1 = entry.1.into_iter().chain(row.kurtosis).reduce(f64::max);
            }
        }
        let points = by_layer.into_values().filter_map(|(qkv, output)| Some((qkv?, output?, None)));
        Series { name: model.name.clone(), joined: false, points: points.collect() }
    });
    rows::plot(
        "highest kurtosis of queries, keys and values in a layer",
        true,
        "kurtosis of the output projection",
        series.collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use serde_json::json;

    #[test]
    fn each_projection_has_its_highest() {
        let rows = build(&testing::evidence()).rows;
        assert_eq!(rows[0][2..8], [json!(4.0), json!(6.0), json!(3.0), Value::Null, json!(500.0), json!("output")]);
        assert_eq!(rows[0][8..], [json!(6.0), json!(5.0), json!("qkv")]);
        assert_eq!(rows[1][7], json!("query"));
        assert_eq!(rows[2][7], json!("key"));
    }

    #[test]
    fn the_notes_count_and_explain_what_is_undivided() {
        let mut evidence = testing::evidence();
        let notes = build(&evidence).notes;
        assert_eq!(notes[0], "In 1 of 3 models the output projection is heavier than queries, keys and values.");
        assert_eq!(notes[1], "Without the 16 farthest weights of each matrix it is in 0 of 3 models.");
        assert_eq!(notes.len(), 2);
        evidence.tensors[1].component = Component::AttentionQkv;
        let experiment = build(&evidence);
        assert_eq!(experiment.rows[0][5], json!(4.0));
        assert!(experiment.notes[2].starts_with("Undivided"));
    }

    #[test]
    fn only_layers_with_both_sides_are_plotted() {
        let plot = build(&testing::evidence()).plot.expect("points");
        let points: Vec<(&str, f64, f64)> = plot
            .series
            .iter()
            .flat_map(|series| series.points.iter().map(|point| (series.name.as_str(), point.0, point.1)))
            .collect();
        assert_eq!(points, [("opt-small", 4.0, 500.0), ("bloom", 3.1, 3.0)]);
    }

    #[test]
    fn models_without_attention_are_not_listed() {
        let mut evidence = testing::evidence();
        evidence.tensors.retain(|row| row.component == Component::MlpUp);
        let experiment = build(&evidence);
        assert!(experiment.rows.is_empty());
        assert_eq!(experiment.notes, ["No model has figures on both sides, so nothing can be compared."]);
    }
}
