//! From evidence to the observations of a hypothesis.

use std::collections::BTreeMap;

use super::column::{matches, number, read};
use super::definition::{Definition, Prediction};
use super::selection::Rows;
use crate::evidence::{Evidence, FactValue};
use kurtoscope_checkpoint::model::Family;

/// One observation: a label (the other column as a number, or its group's) and a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: String,
    pub family: &'static str,
    /// Which observations it may be exchanged with.
    pub stratum: String,
    pub label: f64,
    /// The value column; the logarithm of a kurtosis, whose scale is one of ratios.
    pub value: f64,
}

/// The observations of `definition` for one pair of columns, and how many tensors lack one of the two. Made-up models are left out.
pub fn rows(definition: &Definition, evidence: &Evidence, by: &str, value: &str) -> (Vec<Row>, usize) {
    let mut lacking = 0;
    let mut tensors = Vec::new();
    for tensor in &evidence.tensors {
        let Some(model) = evidence.models.get(tensor.model).filter(|model| !model.synthetic) else { continue };
        // Models of no known family need not resemble each other; among families they count as one.
        if definition.rows == Rows::ModelsWithinFamilies && model.family == Family::Unknown {
            continue;
        }
        let passes = definition
            .filter
            .iter()
            .all(|(column, wanted)| read(evidence, tensor, column).is_some_and(|found| matches(&found, wanted)));
        if !passes {
            continue;
        }
        let found = read(evidence, tensor, by).zip(read(evidence, tensor, value).as_ref().and_then(number));
        let Some((by, value_found)) = found else {
            lacking += 1;
            continue;
        };
        let scaled = if value.starts_with("kurtosis") { value_found.ln() } else { value_found };
        let Some(label) = label(&definition.predict, &by).filter(|_| scaled.is_finite()) else { continue };
        // The index distinguishes models that share a name.
        let key = match definition.rows {
            Rows::Tensors => (tensor.model, tensor.tensor.clone(), 0),
            Rows::Layers => match tensor.main_layer() {
                Some(layer) => (tensor.model, format!("layer {layer}"), layer),
                None => continue,
            },
            Rows::ModelsWithinFamilies | Rows::Families => (tensor.model, String::new(), 0),
        };
        tensors.push((key, model, label, scaled));
    }
    let mut largest: BTreeMap<_, Row> = BTreeMap::new();
    for (place, (key, model, label, value)) in tensors.into_iter().enumerate() {
        let family = model.family.name();
        let stratum = match definition.rows {
            Rows::Tensors | Rows::Layers => format!("{} {}", key.0, model.name),
            Rows::ModelsWithinFamilies => family.to_owned(),
            Rows::Families => String::new(),
        };
        let name = format!("{} {}", model.name, key.1).trim_end().to_owned();
        let own = if definition.rows == Rows::Tensors { place } else { 0 };
        let row = largest.entry((key, own)).or_insert(Row { name, family, stratum, label, value });
        row.value = row.value.max(value);
    }
    let rows: Vec<Row> = largest.into_values().collect();
    let grouped = matches!(definition.predict, Prediction::Higher { .. } | Prediction::Order(_));
    (if definition.rows == Rows::Families { by_family(rows, grouped) } else { rows }, lacking)
}

/// Models of one family are not independent: a family is one observation, or one in each group that it has models in.
fn by_family(rows: Vec<Row>, grouped: bool) -> Vec<Row> {
    let mut families: BTreeMap<(&str, Option<u64>), Vec<Row>> = BTreeMap::new();
    for row in rows {
        families.entry((row.family, grouped.then(|| row.label.to_bits()))).or_default().push(row);
    }
    let merged = families.into_iter().map(|((family, _), rows)| {
        let n = rows.len() as f64;
        Row {
            name: rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>().join(", "),
            family,
            stratum: String::new(),
            label: rows.iter().map(|row| row.label / n).sum(),
            value: rows.iter().map(|row| row.value / n).sum(),
        }
    });
    merged.collect()
}

/// The number that represents a value in the test; higher is predicted to go with a higher value.
fn label(prediction: &Prediction, by: &FactValue) -> Option<f64> {
    match prediction {
        Prediction::Rises => number(by),
        Prediction::Falls => number(by).map(|number| -number),
        Prediction::Higher { group, .. } if matches(by, group) => Some(1.0),
        Prediction::Higher { than, .. } => matches(by, than).then_some(0.0),
        Prediction::Order(groups) => groups.iter().position(|group| matches(by, group)).map(|place| place as f64),
    }
}
