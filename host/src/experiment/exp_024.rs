//! EXP-024, layer position: is the highest kurtosis in early or in late layers?

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::association::spearman;
use super::rows::{self, columns, models, number};
use super::{Experiment, Plot, Series};
use crate::evidence::{Evidence, ModelEvidence, TensorEvidence};

/// Depths below this are early.
pub const EARLY: f64 = 0.25;
/// Depths above this are late.
pub const LATE: f64 = 0.75;
/// Maxima closer than this share of the larger are called even.
const EVEN: f64 = 0.1;

/// Builds the table and the plot.
pub fn build(evidence: &Evidence) -> Experiment {
    let found: Vec<Position> = models(evidence).iter().map(|(model, tensors)| Position::of(model, tensors)).collect();
    Experiment {
        id: "EXP-024".into(),
        title: "Layer position".into(),
        question: "Do outliers sit in the first quarter of the layers or in the last?".into(),
        columns: columns(&[
            "model",
            "layers",
            "early highest kurtosis",
            "late highest kurtosis",
            "pattern",
            "correlation with depth",
            "pattern without 16",
            "correlation without 16",
        ]),
        rows: found.iter().map(Position::cells).collect(),
        further: Vec::new(),
        notes: notes(&found),
        plot: plot(evidence),
    }
}

/// Where one model's outliers sit.
struct Position<'a> {
    model: &'a ModelEvidence,
    all: Side,
    without: Side,
}

/// The same with all weights, or without the 16 farthest of each matrix.
struct Side {
    early: Option<f64>,
    late: Option<f64>,
    /// Depth and highest kurtosis of each layer.
    layers: Vec<(f64, f64)>,
}

impl<'a> Position<'a> {
    fn of(model: &'a ModelEvidence, tensors: &[&TensorEvidence]) -> Self {
        Self {
            model,
            all: Side::of(tensors, |row| row.kurtosis),
            without: Side::of(tensors, |row| row.kurtosis_without_16),
        }
    }

    fn cells(&self) -> Vec<Value> {
        vec![
            self.model.name.clone().into(),
            json!(self.model.layers),
            number(self.all.early),
            number(self.all.late),
            self.all.pattern().into(),
            number(spearman(&self.all.layers)),
            self.without.pattern().into(),
            number(spearman(&self.without.layers)),
        ]
    }
}

impl Side {
    fn of(tensors: &[&TensorEvidence], kurtosis: impl Fn(&TensorEvidence) -> Option<f64>) -> Self {
        let placed: Vec<(f64, f64)> = tensors
            .iter()
            .filter(|row| row.is_of_blocks())
            .filter_map(|row| Some((row.depth?, kurtosis(row)?)))
            .collect();
        let highest = |belongs: &dyn Fn(f64) -> bool| {
            placed.iter().filter(|(depth, _)| belongs(*depth)).map(|(_, kurtosis)| *kurtosis).reduce(f64::max)
        };
        // Only where the layer itself is known is a maximum that layer's.
        let mut by_layer: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
        for row in tensors.iter().filter(|row| row.is_of_blocks()) {
            if let (Some(layer), Some(depth), Some(kurtosis)) = (row.main_layer(), row.depth, kurtosis(row)) {
                let entry = by_layer.entry(layer).or_insert((depth, kurtosis));
                entry.1 = entry.1.max(kurtosis);
            }
        }
        Self {
            early: highest(&|depth| depth < EARLY),
            late: highest(&|depth| depth > LATE),
            layers: by_layer.into_values().collect(),
        }
    }

    fn pattern(&self) -> &'static str {
        match (self.early, self.late) {
            (Some(early), Some(late)) if (early - late).abs() <= EVEN * early.max(late) => "even",
            (Some(early), Some(late)) if early > late => "early",
            (Some(_), Some(_)) => "late",
            (Some(_), None) => "early (no late figure)",
            (None, Some(_)) => "late (no early figure)",
            (None, None) => "unknown",
        }
    }
}

fn notes(found: &[Position]) -> Vec<String> {
    let count = |side: fn(&Position) -> &'static str, pattern: &str| {
        found.iter().filter(|position| side(position) == pattern).count()
    };
    let tally = |what: &str, side: fn(&Position) -> &'static str| {
        let judged: usize = ["early", "late", "even"].iter().map(|pattern| count(side, pattern)).sum();
        format!(
            "{what}: of {} with figures on both sides {} early, {} late and {} even (within {:.0} %).",
            if judged == 1 { "1 model".to_owned() } else { format!("{judged} models") },
            count(side, "early"),
            count(side, "late"),
            count(side, "even"),
            100.0 * EVEN
        )
    };
    let mut notes = vec![
        format!(
            "Early is the first quarter of the depth (below {:.0} %), late the last (above {:.0} %); depth is the layer's \
             number over that of the last layer. The correlation is Spearman's, of depth with the highest kurtosis of each layer.",
            100.0 * EARLY,
            100.0 * LATE
        ),
        tally("All weights", |position| position.all.pattern()),
        tally("Without the 16 farthest weights of each matrix", |position| position.without.pattern()),
    ];
    let one_sided = found.iter().filter(|position| position.all.early.is_some() != position.all.late.is_some()).count();
    if one_sided > 0 {
        notes.push(format!(
            "{} a figure on one side only, which shows no pattern.",
            if one_sided == 1 { "1 model has".to_owned() } else { format!("{one_sided} models have") }
        ));
    }
    notes
}

fn plot(evidence: &Evidence) -> Option<Plot> {
    let series = models(evidence).into_iter().map(|(model, tensors)| {
        let mut by_layer: BTreeMap<u32, f64> = BTreeMap::new();
        for row in tensors.into_iter().filter(|row| row.is_of_blocks()) {
            if let (Some(layer), Some(kurtosis)) = (row.main_layer(), row.kurtosis) {
                let entry = by_layer.entry(layer).or_insert(kurtosis);
                *entry = entry.max(kurtosis);
            }
        }
        let points = by_layer.into_iter().map(|(layer, kurtosis)| (f64::from(layer), kurtosis, None));
        Series { name: model.name.clone(), joined: true, points: points.collect() }
    });
    rows::plot("layer", false, "highest kurtosis (Pearson; normal = 3)", series.collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn quarters_patterns_and_correlations() {
        let rows = build(&testing::evidence()).rows;
        // Layers 1, 4 and 8 have 500, 6 and 40: ranks 3, 1, 2 against 1, 2, 3 give rho = 1 - 6 * 6 / 24.
        assert_eq!(rows[0][2..6], [json!(500.0), json!(40.0), json!("early"), json!(-0.5)]);
        // Without the farthest 4, 6 and 39.
        assert_eq!(rows[0][6..], [json!("late"), json!(1.0)]);
        // Layers 0, 4 and 8 have 3.2, 3 and 20: rho = 1 - 6 * 2 / 24.
        assert_eq!(rows[1][2..6], [json!(3.2), json!(20.0), json!("late"), json!(0.5)]);
        // 3.1 and 3.2 are within a tenth; the embedding is in no layer; two layers have no correlation.
        assert_eq!(rows[2][2..6], [json!(3.1), json!(3.2), json!("even"), Value::Null]);
    }

    #[test]
    fn the_middle_is_neither_early_nor_late() {
        let mut evidence = testing::evidence();
        evidence.tensors.retain(|row| row.layer == Some(4));
        let experiment = build(&evidence);
        assert_eq!(experiment.rows[0][2..5], [Value::Null, Value::Null, json!("unknown")]);
    }

    #[test]
    fn the_recorded_figures_give_the_documents_table() {
        use crate::evidence::{Facts, Figures, Recorded};
        let recorded = Recorded::built_in().evidence(Figures::Results, &Facts::new(None));
        let rows = build(&recorded.evidence).rows;
        let row = |name: &str| rows.iter().find(|row| row[0] == name).map(|row| row[2..5].to_vec());
        assert_eq!(row("OPT-125M"), Some(vec![json!(562.0), json!(41.0), json!("early")]));
        assert_eq!(row("BLOOM-560M"), Some(vec![Value::Null, json!(504.0), json!("late (no early figure)")]));
        assert_eq!(row("GPT-2"), Some(vec![Value::Null, json!(201.0), json!("late (no early figure)")]));
    }

    #[test]
    fn a_point_a_layer_is_plotted() {
        let plot = build(&testing::evidence()).plot.expect("layers");
        let points: Vec<(f64, f64)> = plot.series[0].points.iter().map(|point| (point.0, point.1)).collect();
        assert_eq!(points, [(1.0, 500.0), (4.0, 6.0), (8.0, 40.0)]);
        assert!(plot.y_logarithmic && !plot.x_logarithmic);
    }

    #[test]
    fn the_notes_count_the_patterns() {
        let notes = build(&testing::evidence()).notes.join("\n");
        assert!(
            notes.contains("All weights: of 3 models with figures on both sides 1 early, 1 late and 1 even"),
            "{notes}"
        );
    }
}
