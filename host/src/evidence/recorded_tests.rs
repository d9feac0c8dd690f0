//! That the recorded document is kept whole: both sets of figures, its tables, its contradictions.

use super::*;

fn highest(gathered: &Gathered) -> Vec<(String, f64)> {
    let evidence = &gathered.evidence;
    let of = |index: usize| evidence.tensors.iter().filter(move |row| row.model == index);
    let highest = |index| of(index).filter_map(|row| row.kurtosis).fold(f64::MIN, f64::max);
    evidence.models.iter().enumerate().map(|(index, model)| (model.name.clone(), highest(index))).collect()
}

fn owned(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[test]
fn both_sets_of_figures_are_kept_apart() {
    let (recorded, facts) = (Recorded::built_in(), Facts::new(None));
    assert_eq!(
        highest(&recorded.evidence(Figures::Hypotheses, &facts)),
        owned(&[("OPT-125M", 271.0), ("BLOOM-560M", 164.0), ("GPT-2", 92.0), ("XGLM-564M", 2.0)])
    );
    assert_eq!(
        highest(&recorded.evidence(Figures::Results, &facts)),
        owned(&[
            ("OPT-125M", 562.0),
            ("BLOOM-560M", 504.0),
            ("GPT-2", 201.0),
            ("Pythia-410M", 73.0),
            ("XGLM-564M", 2.0)
        ])
    );
}

#[test]
fn tables_follow_from_the_rows_where_the_document_kept_them() {
    let recorded = Recorded::built_in();
    let reproduced: Vec<Option<bool>> = recorded.tables.iter().map(|table| recorded.reproduces(table)).collect();
    assert_eq!(reproduced, [None, Some(true), Some(true), None, Some(true), Some(true)]);
    for table in &recorded.tables {
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{}", table.section);
    }
    let mut altered = recorded.tables[2].clone();
    altered.rows[0][1] = "271".into();
    assert_eq!(recorded.reproduces(&altered), Some(false));
}

#[test]
fn dropout_is_stated_by_config_and_by_training() {
    let recorded = Recorded::built_in();
    let gathered = recorded.evidence(Figures::Results, &Facts::new(None));
    let value = |model: &str, fact: &str| {
        let model = gathered.evidence.models.iter().find(|row| row.name == model).expect("recorded");
        model.facts.get(fact).map(|fact| fact.value.to_string())
    };
    for (model, config, training) in [
        ("OPT-125M", Some("0"), Some("0.1")),
        ("BLOOM-560M", Some("0"), Some("0.1")),
        ("GPT-2", Some("0.1"), None),
        ("Pythia-410M", None, Some("0")),
        ("XGLM-564M", Some("0.1"), None),
    ] {
        assert_eq!(value(model, "config.attention_dropout").as_deref(), config, "{model}");
        assert_eq!(value(model, "training.attention_dropout").as_deref(), training, "{model}");
    }
}

#[test]
fn both_contradicting_values_are_there() {
    let recorded = Recorded::built_in();
    let values = |subject: &str| {
        let found = recorded.contradictions.iter().find(|entry| entry.subject.contains(subject)).expect(subject);
        assert_eq!(found.values.len(), found.sections.len(), "{subject}");
        found.values.join(" ")
    };
    assert_eq!(values("OPT-125M"), "271 562");
    assert_eq!(values("H1"), "INCONCLUSIVE REJECTED");
    let ids: Vec<&str> = recorded.verdicts.iter().map(|verdict| verdict.id.as_str()).collect();
    assert_eq!(ids, ["H1", "H2", "H3", "H4", "H5", "H6", "H7"]);
    assert_eq!(recorded.verdicts[0].says, ["INCONCLUSIVE", "REJECTED"]);
}

#[test]
fn every_row_says_where_it_stands_and_what_depth_it_has() {
    let recorded = Recorded::built_in();
    for figures in [Figures::Hypotheses, Figures::Results] {
        let evidence = recorded.evidence(figures, &Facts::new(None)).evidence;
        for row in &evidence.tensors {
            let model = &evidence.models[row.model].name;
            assert!(recorded.section(figures, model, &row.tensor).is_some(), "{model} {}", row.tensor);
        }
    }
    let early = recorded.evidence(Figures::Hypotheses, &Facts::new(None)).evidence;
    assert_eq!(early.tensors[0].depth, Some(1.0 / 11.0));
    let late = recorded.evidence(Figures::Results, &Facts::new(None)).evidence;
    let depths: Vec<Option<f64>> = late.tensors.iter().map(|row| row.depth).collect();
    assert_eq!(depths, [Some(0.125), Some(0.875), Some(0.875), Some(0.875), None, None]);
}
