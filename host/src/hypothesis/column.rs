//! The columns of evidence that hypotheses may read.

use super::selection::{Matcher, Rows};
use crate::evidence::{Evidence, FactValue, TensorEvidence, known};

const COLUMNS: [&str; 15] = [
    "model",
    "family",
    "size",
    "tensor",
    "component",
    "layer",
    "depth",
    "rows",
    "columns",
    "elements",
    "smallest_dimension",
    "kurtosis",
    "kurtosis_without_1",
    "kurtosis_without_4",
    "kurtosis_without_16",
];

/// Whether evidence can have a column of this name.
pub fn exists(column: &str) -> bool {
    let is_own = column.strip_prefix(known::OWN).is_some_and(|name| !name.is_empty());
    COLUMNS.contains(&column) || known::find(column).is_some() || is_own
}

/// Whether a column differs between the tensors of which one observation is made.
pub fn varies(column: &str, rows: Rows) -> bool {
    let of_models = ["model", "family", "size"].contains(&column);
    let of_layers = of_models || ["layer", "depth"].contains(&column);
    let is_of_tensors = COLUMNS.contains(&column);
    match rows {
        Rows::Tensors => false,
        Rows::Layers => is_of_tensors && !of_layers,
        Rows::ModelsWithinFamilies | Rows::Families => is_of_tensors && !of_models,
    }
}

/// The value of a tensor's column; `None` where it is not known or no finite number.
pub fn read(evidence: &Evidence, tensor: &TensorEvidence, column: &str) -> Option<FactValue> {
    let model = evidence.models.get(tensor.model)?;
    let text = |text: &str| Some(FactValue::Text(text.to_owned()));
    let whole = |number: Option<u64>| number.map(|number| number as f64);
    let number = match column {
        "model" => return text(&model.name),
        "family" => return text(model.family.name()),
        "tensor" => return text(&tensor.tensor),
        "component" => return text(tensor.component.name()),
        "size" => whole(model.parameters),
        "layer" => tensor.main_layer().map(f64::from),
        "depth" => tensor.depth,
        "rows" => whole(tensor.shape.first().copied()),
        "columns" => whole(tensor.shape.get(1).copied()),
        "elements" => whole(tensor.elements),
        "smallest_dimension" => whole(tensor.shape.iter().min().copied()),
        "kurtosis" => tensor.kurtosis,
        "kurtosis_without_1" => tensor.kurtosis_without_1,
        "kurtosis_without_4" => tensor.kurtosis_without_4,
        "kurtosis_without_16" => tensor.kurtosis_without_16,
        fact => match model.facts.get(fact)?.value.clone() {
            FactValue::Number(number) => Some(number),
            other => return Some(other),
        },
    };
    number.filter(|number| number.is_finite()).map(FactValue::Number)
}

/// A value as a number; flags are 0 and 1.
pub fn number(value: &FactValue) -> Option<f64> {
    match value {
        FactValue::Number(number) => Some(*number),
        FactValue::Flag(flag) => Some(f64::from(u8::from(*flag))),
        FactValue::Text(_) => None,
    }
}

/// Whether a value is one of these.
pub fn matches(value: &FactValue, matchers: &[Matcher]) -> bool {
    matchers.iter().any(|matcher| match (matcher, value) {
        (Matcher::Flag(wanted), FactValue::Flag(flag)) => wanted == flag,
        (Matcher::Number(wanted), FactValue::Number(number)) => wanted == number,
        (Matcher::Text(wanted), FactValue::Text(text)) => wanted.eq_ignore_ascii_case(text),
        (Matcher::Range(range), FactValue::Number(number)) => {
            range.from.is_none_or(|from| *number >= from) && range.to.is_none_or(|to| *number <= to)
        }
        _ => false,
    })
}
