//! Hypotheses on small made-up evidence, and what hypothesis files may not say.

use std::path::Path;

use super::*;
use kurtoscope_shared::Random;

use crate::evidence::{Evidence, Fact, FactValue, ModelEvidence, Provenance, TensorEvidence};
use kurtoscope_checkpoint::model::{Component, Family};

/// Models of six families, 12 layers of an attention output and an MLP matrix each; `lift` is added to the logarithm of the
/// attention's kurtosis.
fn world(seed: u64, lift: f64) -> Evidence {
    let mut random = Random::new(seed);
    let mut evidence = Evidence::default();
    let families = [Family::Opt, Family::Bloom, Family::Gpt2, Family::GptNeox, Family::Xglm, Family::Llama];
    for (model, family) in families.into_iter().enumerate() {
        let dropout = Fact {
            value: FactValue::Number(if model < 2 { 0.0 } else { 0.1 }),
            provenance: Provenance::User { file: "facts.toml".to_owned() },
        };
        evidence.models.push(ModelEvidence {
            name: family.name().to_owned(),
            family,
            parameters: Some(1_000_000),
            layers: Some(12),
            synthetic: false,
            facts: [("config.attention_dropout".to_owned(), dropout)].into(),
        });
        for layer in 0..12 {
            for component in [Component::AttentionOutput, Component::MlpUp] {
                let lift = if component == Component::AttentionOutput { lift } else { 0.0 };
                let kurtosis = Some(3.0 + (random.normal() + lift).exp());
                evidence.tensors.push(TensorEvidence {
                    model,
                    tensor: format!("{layer}.{component}"),
                    component,
                    layer: Some(layer),
                    tower: None,
                    depth: Some(f64::from(layer) / 11.0),
                    shape: vec![768, 768],
                    elements: Some(768 * 768),
                    kurtosis,
                    kurtosis_without_1: kurtosis,
                    kurtosis_without_4: kurtosis,
                    kurtosis_without_16: kurtosis,
                });
            }
        }
    }
    evidence
}

fn verdict(id: &str, evidence: &Evidence) -> Judgement {
    let judged = judge_all(&built_in().unwrap(), evidence);
    judged.into_iter().find(|judgement| judgement.id == id).unwrap()
}

#[test]
fn the_built_in_hypotheses_are_files_of_the_users_format() {
    let ids: Vec<String> = built_in().unwrap().into_iter().map(|definition| definition.id).collect();
    // Numbered without gaps: reports and the recorded investigation refer to them by number.
    let numbered: Vec<String> = (1..=ids.len()).map(|number| format!("H{number}")).collect();
    assert_eq!(ids, numbered);
    assert!(ids.len() >= 7, "the recorded investigation's own are H1 to H7");
}

#[test]
fn an_effect_is_found_in_either_direction() {
    assert_eq!(verdict("H4", &world(1, 2.0)).verdict, Verdict::Supported);
    assert_eq!(verdict("H4", &world(1, -2.0)).verdict, Verdict::Rejected);
}

#[test]
fn nothing_is_concluded_without_evidence_and_what_is_missing_is_said() {
    for judgement in judge_all(&built_in().unwrap(), &Evidence::default()) {
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.id);
        assert!(!judgement.missing.is_empty(), "{}", judgement.id);
    }
}

#[test]
fn made_up_models_are_no_evidence() {
    let mut evidence = world(1, 2.0);
    evidence.models.iter_mut().for_each(|model| model.synthetic = true);
    assert_eq!(verdict("H4", &evidence).verdict, Verdict::Inconclusive);
}

#[test]
fn models_that_contradict_each_other_are_mixed() {
    let mut evidence = world(1, 3.0);
    let other = world(2, -3.0);
    for (tensor, turned) in evidence.tensors.iter_mut().zip(other.tensors).filter(|(tensor, _)| tensor.model % 2 == 0) {
        *tensor = turned;
    }
    assert_eq!(verdict("H4", &evidence).verdict, Verdict::Mixed);
}

#[test]
fn errors_name_file_line_and_key() {
    let text = include_str!("builtin/h5_size.toml");
    let refused = |text: &str| Definition::parse(text, Path::new("mine.toml")).unwrap_err().to_string();
    let unknown = refused(&text.replace("value =", "valve ="));
    assert!(unknown.contains("mine.toml, line 15") && unknown.contains("valve"), "{unknown}");
    let column = refused(&text.replace("\"size\"", "\"sise\""));
    assert!(column.contains("mine.toml, line 16") && column.contains("sise"), "{column}");
    assert!(refused("id = ").contains("line 1"));
    let fact = refused(&text.replace("\"size\"", "\"training.precison\""));
    assert!(fact.contains("training.precison") && fact.contains("user.…"), "{fact}");
    // A model's largest kurtosis and the size of the tensor that happens to come first do not belong together.
    let varies = refused(&text.replace("\"size\"", "\"elements\""));
    assert!(varies.contains("line 16") && varies.contains("models_within_families"), "{varies}");
    for own in ["user.laboratory", "training.precision", "depth"] {
        let rows = if own == "depth" { "rows = \"layers\"" } else { "rows = \"models_within_families\"" };
        let text = text.replace("\"size\"", &format!("\"{own}\"")).replace("rows = \"models_within_families\"", rows);
        Definition::parse(&text, Path::new("mine.toml")).unwrap_or_else(|error| panic!("{own}: {error}"));
    }
}

#[test]
fn models_of_no_known_family_are_not_compared_within_it() {
    // The larger, the lighter, in every model of one family.
    let mut evidence = world(1, 0.0);
    for (place, model) in evidence.models.iter_mut().enumerate() {
        (model.family, model.parameters) = (Family::Opt, Some(1_000_000 << place));
    }
    for tensor in &mut evidence.tensors {
        tensor.kurtosis = Some(1000.0 / (1.0 + tensor.model as f64));
        tensor.kurtosis_without_16 = tensor.kurtosis;
    }
    assert_eq!(verdict("H5", &evidence).verdict, Verdict::Supported);
    evidence.models.iter_mut().for_each(|model| model.family = Family::Unknown);
    assert_eq!(verdict("H5", &evidence).verdict, Verdict::Inconclusive);
}

#[test]
fn families_that_agree_to_the_last_bit_agree() {
    let mut evidence = world(1, 0.0);
    for tensor in &mut evidence.tensors {
        tensor.kurtosis = tensor.layer.map(|layer| 100.0 - f64::from(layer));
        tensor.kurtosis_without_16 = tensor.kurtosis;
    }
    assert_eq!(verdict("H3", &evidence).verdict, Verdict::Supported);
}

#[test]
fn broken_evidence_is_survived() {
    let mut evidence = world(1, 0.0);
    evidence.tensors[0].model = 99;
    evidence.tensors[1].kurtosis = Some(f64::NAN);
    evidence.tensors[2].kurtosis = Some(-1.0);
    evidence.tensors[3].shape.clear();
    let hypotheses = built_in().unwrap();
    assert_eq!(judge_all(&hypotheses, &evidence).len(), hypotheses.len());
}
