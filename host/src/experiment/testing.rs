//! Evidence for the tests of experiments, small enough to compute every figure by hand.

use std::collections::BTreeMap;

use crate::evidence::{Evidence, Fact, FactValue, ModelEvidence, Provenance, TensorEvidence};
use kurtoscope_checkpoint::model::{Component, Family};

/// A model with `layers` layers.
pub fn model(name: &str, family: Family, parameters: u64, layers: u32) -> ModelEvidence {
    ModelEvidence {
        name: name.into(),
        family,
        parameters: Some(parameters),
        layers: Some(layers),
        synthetic: false,
        facts: BTreeMap::new(),
    }
}

/// Adds a fact that config.json or the table of facts says.
pub fn fact(model: &mut ModelEvidence, name: &str, value: FactValue) {
    let provenance = match name.strip_prefix("config.") {
        Some(key) => Provenance::Config { key: key.into() },
        None => Provenance::Table { source: "a paper".into(), verified: false },
    };
    model.facts.insert(name.into(), Fact { value, provenance });
}

/// A matrix of `rows` by 100 in a model of 9 layers.
pub fn tensor(
    model: usize,
    component: Component,
    layer: u32,
    rows: u64,
    kurtosis: f64,
    without: f64,
) -> TensorEvidence {
    TensorEvidence {
        model,
        tensor: format!("layers.{layer}.{component}"),
        component,
        layer: Some(layer),
        tower: None,
        depth: Some(f64::from(layer) / 8.0),
        shape: vec![rows, 100],
        elements: Some(rows * 100),
        kurtosis: Some(kurtosis),
        kurtosis_without_1: Some(without),
        kurtosis_without_4: Some(without),
        kurtosis_without_16: Some(without),
    }
}

/// Two OPTs and a BLOOM, with an early outlier, a late one and none.
pub fn evidence() -> Evidence {
    use Component::{AttentionKey, AttentionOutput, AttentionQuery, AttentionValue, Embedding, MlpUp};
    let mut small = model("opt-small", Family::Opt, 1_000_000, 9);
    fact(&mut small, "config.attention_dropout", FactValue::Number(0.0));
    fact(&mut small, "training.attention_dropout", FactValue::Number(0.1));
    fact(&mut small, "training.precision", FactValue::Text("fp16".into()));
    let mut large = model("opt-large", Family::Opt, 8_000_000, 9);
    fact(&mut large, "config.attention_dropout", FactValue::Number(0.0));
    let mut bloom = model("bloom", Family::Bloom, 4_000_000, 9);
    fact(&mut bloom, "config.attention_dropout", FactValue::Number(0.1));
    fact(&mut bloom, "training.attention_dropout", FactValue::Number(0.0));
    Evidence {
        models: vec![small, large, bloom],
        tensors: vec![
            tensor(0, AttentionOutput, 1, 100, 500.0, 3.5),
            tensor(0, AttentionQuery, 1, 100, 4.0, 4.0),
            tensor(0, AttentionKey, 4, 100, 6.0, 6.0),
            tensor(0, AttentionValue, 4, 100, 3.0, 3.0),
            tensor(0, AttentionOutput, 8, 100, 5.0, 5.0),
            tensor(0, MlpUp, 8, 400, 40.0, 39.0),
            tensor(1, AttentionOutput, 0, 200, 3.2, 3.1),
            tensor(1, AttentionQuery, 8, 200, 20.0, 18.0),
            tensor(1, MlpUp, 4, 800, 3.0, 3.0),
            tensor(2, AttentionOutput, 0, 100, 3.0, 3.0),
            tensor(2, AttentionKey, 0, 100, 3.1, 3.1),
            tensor(2, MlpUp, 8, 400, 3.2, 3.2),
            TensorEvidence { layer: None, depth: None, ..tensor(2, Embedding, 0, 9000, 90.0, 80.0) },
        ],
    }
}
