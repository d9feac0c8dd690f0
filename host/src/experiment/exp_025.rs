//! EXP-025, size: does the highest kurtosis grow or fall with a model's size, within families?

use serde_json::{Value, json};

use super::rows::{self, columns, highest, highest_without_16, models, number};
use super::{Experiment, Plot, Series};
use crate::evidence::{Evidence, ModelEvidence};
use kurtoscope_checkpoint::model::Family;

/// Builds the table and the plot.
pub fn build(evidence: &Evidence) -> Experiment {
    let sized = sized(evidence);
    Experiment {
        id: "EXP-025".into(),
        title: "Size scaling".into(),
        question: "Within a family, do larger models have heavier tails?".into(),
        columns: columns(&[
            "family",
            "model",
            "parameters",
            "highest kurtosis",
            "highest kurtosis without 16",
            "highest in",
        ]),
        rows: sized.iter().map(Sized::cells).collect(),
        further: Vec::new(),
        notes: notes(&sized),
        plot: plot(&sized),
    }
}

struct Sized<'a> {
    model: &'a ModelEvidence,
    kurtosis: Option<f64>,
    without: Option<f64>,
    component: Option<&'static str>,
}

/// The models by family, smallest first; those of unknown size last.
fn sized(evidence: &Evidence) -> Vec<Sized<'_>> {
    let mut sized: Vec<Sized<'_>> = models(evidence)
        .into_iter()
        .map(|(model, tensors)| {
            let blocks = || tensors.iter().copied().filter(|row| row.is_of_blocks());
            let found = highest(blocks());
            Sized {
                model,
                kurtosis: found.map(|found| found.1),
                without: highest_without_16(blocks()).map(|found| found.1),
                component: found.map(|found| found.0.component.name()),
            }
        })
        .collect();
    sized.sort_by_key(|sized| (sized.model.family, sized.model.parameters.unwrap_or(u64::MAX)));
    sized
}

impl Sized<'_> {
    fn cells(&self) -> Vec<Value> {
        vec![
            self.model.family.name().into(),
            self.model.name.clone().into(),
            json!(self.model.parameters),
            number(self.kurtosis),
            number(self.without),
            json!(self.component),
        ]
    }

    fn point(&self, kurtosis: Option<f64>) -> Option<(f64, f64)> {
        Some((self.model.parameters? as f64, kurtosis?))
    }
}

/// The models of each known family.
fn families<'s, 'a>(sized: &'s [Sized<'a>]) -> impl Iterator<Item = (Family, &'s [Sized<'a>])> {
    sized
        .chunk_by(|a, b| a.model.family == b.model.family)
        .map(|family| (family[0].model.family, family))
        .filter(|(family, _)| *family != Family::Unknown)
}

fn notes(sized: &[Sized]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut alone = Vec::new();
    for (family, models) in families(sized) {
        let points: Vec<(f64, f64)> = models.iter().filter_map(|model| model.point(model.kurtosis)).collect();
        let without: Vec<(f64, f64)> = models.iter().filter_map(|model| model.point(model.without)).collect();
        match points.as_slice() {
            [] | [_] => alone.push(family.name()),
            [small, large] => notes.push(format!(
                "{family}: two sizes, and the {} has the heavier tail. Two points show no trend.",
                if large.1 > small.1 { "larger" } else { "smaller" }
            )),
            points => notes.push(format!(
                "{family}: Spearman's correlation of size with the highest kurtosis is {}; without the 16 farthest weights \
                 of each matrix {}.",
                rows::correlation(points),
                rows::correlation(&without)
            )),
        }
    }
    if !alone.is_empty() {
        notes.push(format!("Of {} there is one size only, which says nothing about scaling.", alone.join(", ")));
    }
    if sized.iter().any(|sized| sized.model.family == Family::Unknown) {
        notes.push("Models of no known family are listed and not compared by size.".into());
    }
    notes
}

fn plot(sized: &[Sized]) -> Option<Plot> {
    let series = families(sized).map(|(family, models)| Series {
        name: family.name().into(),
        joined: true,
        points: models
            .iter()
            .filter_map(|sized| {
                let (size, kurtosis) = sized.point(sized.kurtosis)?;
                Some((size, kurtosis, Some(sized.model.name.clone())))
            })
            .collect(),
    });
    rows::plot("parameters", true, "highest kurtosis (Pearson; normal = 3)", series.collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn families_are_grouped_smallest_first() {
        let experiment = build(&testing::evidence());
        let order: Vec<&str> = experiment.rows.iter().map(|row| row[1].as_str().expect("a name")).collect();
        assert_eq!(order, ["opt-small", "opt-large", "bloom"]);
        assert_eq!(experiment.rows[0][2..], [json!(1_000_000), json!(500.0), json!(39.0), json!("attention_output")]);
        assert_eq!(experiment.rows[2][3], json!(3.2), "the embedding represents no block");
        assert_eq!(
            experiment.notes,
            [
                "opt: two sizes, and the smaller has the heavier tail. Two points show no trend.",
                "Of bloom there is one size only, which says nothing about scaling."
            ]
        );
    }

    #[test]
    fn three_sizes_have_a_correlation() {
        let mut evidence = testing::evidence();
        evidence.models[2].family = Family::Opt;
        // 1M, 4M and 8M parameters have 500, 3.2 and 20: ranks 3, 1, 2, so rho = -0.5; without the farthest 39, 3.2, 18.
        let experiment = build(&evidence);
        assert!(
            experiment.notes[0].contains("is -0.50 (n = 3); without")
                && experiment.notes[0].ends_with("-0.50 (n = 3).")
        );
        let plot = experiment.plot.expect("three points");
        assert_eq!(plot.series[0].points.iter().map(|point| point.0).collect::<Vec<_>>(), [1e6, 4e6, 8e6]);
    }

    #[test]
    fn models_without_a_family_are_not_compared() {
        let mut evidence = testing::evidence();
        evidence.models.iter_mut().for_each(|model| model.family = Family::Unknown);
        let experiment = build(&evidence);
        assert_eq!(experiment.rows.len(), 3);
        assert!(experiment.plot.is_none());
        assert_eq!(experiment.notes, ["Models of no known family are listed and not compared by size."]);
    }
}
