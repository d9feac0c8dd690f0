//! What the experiments share: the rows of a model, the highest of some, and values in cells.

use serde_json::Value;

use super::{Plot, Series};
use crate::evidence::{Evidence, ModelEvidence, TensorEvidence};
use kurtoscope_checkpoint::model::Component;

/// The models with their tensors.
pub fn models(evidence: &Evidence) -> Vec<(&ModelEvidence, Vec<&TensorEvidence>)> {
    let of = |index: usize| evidence.tensors.iter().filter(move |row| row.model == index).collect();
    evidence.models.iter().enumerate().map(|(index, model)| (model, of(index))).collect()
}

/// The tensor with the highest kurtosis.
pub fn highest<'a>(rows: impl IntoIterator<Item = &'a TensorEvidence>) -> Option<(&'a TensorEvidence, f64)> {
    highest_by(rows, |row| row.kurtosis)
}

/// The tensor with the highest kurtosis once the 16 farthest weights are left out.
pub fn highest_without_16<'a>(rows: impl IntoIterator<Item = &'a TensorEvidence>) -> Option<(&'a TensorEvidence, f64)> {
    highest_by(rows, |row| row.kurtosis_without_16)
}

fn highest_by<'a>(
    rows: impl IntoIterator<Item = &'a TensorEvidence>,
    kurtosis: impl Fn(&TensorEvidence) -> Option<f64>,
) -> Option<(&'a TensorEvidence, f64)> {
    let with = rows.into_iter().filter_map(|row| Some((row, kurtosis(row)?)));
    // The first of equals: what was listed first is shown.
    with.reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// Whether a component belongs to the attention.
pub const fn is_attention(component: Component) -> bool {
    is_qkv(component) || matches!(component, Component::AttentionOutput)
}

/// Whether a component is a projection to queries, keys or values.
pub const fn is_qkv(component: Component) -> bool {
    matches!(
        component,
        Component::AttentionQuery
            | Component::AttentionKey
            | Component::AttentionValue
            | Component::AttentionKeyValue
            | Component::AttentionQkv
    )
}

/// Whether a component belongs to the feed-forward block.
pub const fn is_mlp(component: Component) -> bool {
    matches!(component, Component::MlpGate | Component::MlpUp | Component::MlpGateUp | Component::MlpDown)
}

/// Column names.
pub fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A number, or null.
pub fn number(value: Option<f64>) -> Value {
    value.map_or(Value::Null, Value::from)
}

/// A value of a fact, or null.
pub fn fact(model: &ModelEvidence, name: &str) -> Value {
    model.facts.get(name).and_then(|fact| serde_json::to_value(&fact.value).ok()).unwrap_or(Value::Null)
}

/// A plot with logarithmic kurtosis; `None` where fewer than two points remain or no point could be drawn.
pub fn plot(x: &str, x_logarithmic: bool, y: &str, mut series: Vec<Series>) -> Option<Plot> {
    let drawable = |point: &(f64, f64, Option<String>)| {
        point.0.is_finite() && point.1.is_finite() && point.1 > 0.0 && (!x_logarithmic || point.0 > 0.0)
    };
    for one in &mut series {
        one.points.retain(drawable);
    }
    series.retain(|one| !one.points.is_empty());
    let points: usize = series.iter().map(|one| one.points.len()).sum();
    (points >= 2).then(|| Plot { x: x.to_owned(), x_logarithmic, y: y.to_owned(), y_logarithmic: true, series })
}

/// `3 of 5 models`.
pub fn share(some: usize, all: usize, what: &str) -> String {
    format!("{some} of {all} {what}{}", if all == 1 { "" } else { "s" })
}

/// A correlation in words: `-0.32 (n = 12)`.
pub fn correlation(pairs: &[(f64, f64)]) -> String {
    match super::association::spearman(pairs) {
        Some(rho) => format!("{rho:.2} (n = {})", pairs.len()),
        None => format!("undefined (n = {})", pairs.len()),
    }
}
