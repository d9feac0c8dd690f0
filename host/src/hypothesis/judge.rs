//! From observations to verdicts: one test for all hypotheses.
//!
//! Labels and values are ranked within a stratum and their products permuted there. Observations of one model, or
//! models of one family, are exchanged only with each other. Beyond tensors, families must agree: a t test over families, each
//! counted once, has to reach 5 % too, because tensors of one model say little about another.

use serde_json::json;

use super::definition::{Definition, Prediction};
use super::rows::{Row, rows};
use super::selection::Rows;
use super::{Judgement, Statistic, Verdict};
use crate::evidence::Evidence;
use crate::statistics::{PermutationTest, Stratum, holm, mean_test, pearson, permutation_test, ranks, spearman};

/// The chance of a wrong verdict that is accepted, over all hypotheses judged together.
const LEVEL: f64 = 0.05;
/// Arrangements drawn where there are too many to count: enough for the level after Holm's adjustment over some tens.
const DRAWS: usize = 1999;
const SEED: u64 = 0x6b75_7274;

/// The test of one pair of columns.
struct Tested {
    by: String,
    value: String,
    rows: Vec<Row>,
    lacking: usize,
    /// The share each family has in the effect: its mean correlation.
    effects: Vec<f64>,
    test: Option<PermutationTest>,
}

impl Tested {
    fn effect(&self) -> Option<f64> {
        (!self.effects.is_empty()).then(|| self.effects.iter().sum::<f64>() / self.effects.len() as f64)
    }

    /// Whether families agree beyond chance; where a family is an observation, the permutation test says that already.
    fn agreement(&self, rows: Rows) -> Option<f64> {
        match rows {
            Rows::Tensors | Rows::Layers => mean_test(&self.effects).map(|test| test.p),
            Rows::ModelsWithinFamilies => {
                let same =
                    self.effects.iter().all(|effect| *effect > 0.0) || self.effects.iter().all(|effect| *effect < 0.0);
                Some(if same { 0.0 } else { 1.0 })
            }
            Rows::Families => Some(0.0),
        }
    }

    /// The p value that a verdict rests on: tensors of one model resemble each other more than a permutation within it
    /// can show, so families have to agree as clearly.
    fn p(&self, rows: Rows) -> Option<f64> {
        let within = self.test.as_ref()?.p;
        match rows {
            Rows::Tensors | Rows::Layers => Some(within.max(self.agreement(rows).unwrap_or(1.0))),
            Rows::ModelsWithinFamilies | Rows::Families => Some(within),
        }
    }

    fn families(&self) -> usize {
        let mut families: Vec<_> = self.rows.iter().map(|row| row.family).collect();
        families.sort_unstable();
        families.dedup();
        families.len()
    }

    /// Whether single models or families, each by itself, say opposite things.
    fn contradicts(&self) -> bool {
        let Some(test) = &self.test else { return false };
        let limit = LEVEL / test.own_p.len().max(1) as f64;
        let sure = |sign: f64| test.own_p.iter().zip(&test.standardised).any(|(p, z)| *p <= limit && z * sign > 0.0);
        sure(1.0) && sure(-1.0)
    }
}

/// Judges one hypothesis alone: its p value is not adjusted for others.
pub fn judge(definition: &Definition, evidence: &Evidence) -> Judgement {
    judge_all(std::slice::from_ref(definition), evidence).remove(0)
}

/// Judges hypotheses together, with Holm's adjustment over those that could be tested. Judgements come in the order of `definitions`.
pub fn judge_all(definitions: &[Definition], evidence: &Evidence) -> Vec<Judgement> {
    let tested: Vec<Vec<Tested>> = definitions
        .iter()
        .map(|definition| definition.by.iter().map(|by| tested(definition, evidence, by, &definition.value)).collect())
        .collect();
    // Every column must hold, so the weakest decides.
    let p: Vec<Option<f64>> = definitions
        .iter()
        .zip(&tested)
        .map(|(definition, columns)| {
            columns.iter().map(|column| column.p(definition.rows)).reduce(|a, b| Some(a?.max(b?)))?
        })
        .collect();
    let adjusted = holm(&p);
    let tests = p.iter().flatten().count();
    definitions
        .iter()
        .zip(tested)
        .zip(adjusted)
        .map(|((definition, columns), adjusted)| conclude(definition, evidence, &columns, adjusted, tests))
        .collect()
}

fn tested(definition: &Definition, evidence: &Evidence, by: &str, value: &str) -> Tested {
    let (rows, lacking) = rows(definition, evidence, by, value);
    let mut strata: std::collections::BTreeMap<&str, Vec<&Row>> = std::collections::BTreeMap::new();
    for row in &rows {
        strata.entry(&row.stratum).or_default().push(row);
    }
    let mut permuted = Vec::new();
    let mut families: std::collections::BTreeMap<&str, Vec<f64>> = std::collections::BTreeMap::new();
    for stratum in strata.values() {
        let labels: Vec<f64> = stratum.iter().map(|row| row.label).collect();
        let values: Vec<f64> = stratum.iter().map(|row| row.value).collect();
        if let Some(found) = spearman(&labels, &values) {
            families.entry(stratum[0].family).or_default().push(found.coefficient);
            permuted.push(Stratum { labels: ranks(&labels), values: ranks(&values) });
        }
    }
    let effects = families.values().map(|effects| effects.iter().sum::<f64>() / effects.len() as f64).collect();
    let product = |labels: &[f64], values: &[f64]| labels.iter().zip(values).map(|(label, value)| label * value).sum();
    let test = permutation_test(&permuted, product, DRAWS, SEED);
    Tested { by: by.to_owned(), value: value.to_owned(), rows, lacking, effects, test }
}

fn conclude(
    definition: &Definition,
    evidence: &Evidence,
    columns: &[Tested],
    adjusted: Option<f64>,
    tests: usize,
) -> Judgement {
    let twins: Vec<Tested> = definition
        .robust
        .iter()
        .flat_map(|robust| definition.by.iter().map(move |by| tested(definition, evidence, by, robust)))
        .collect();
    let mut missing = Vec::new();
    for column in columns.iter().chain(&twins) {
        missing.extend(lacks(definition, column, tests));
    }
    let effects: Vec<f64> = columns.iter().filter_map(Tested::effect).collect();
    let enough = columns.iter().all(|column| column.families() >= definition.minimum_families);
    let chance = adjusted.is_none_or(|p| p > LEVEL);
    let up = effects.iter().any(|effect| *effect > 0.0);
    let down = effects.iter().any(|effect| *effect < 0.0);
    let agree = columns.iter().all(|column| column.agreement(definition.rows).is_some_and(|p| p <= LEVEL));
    let twin_against = twins.iter().filter_map(Tested::effect).any(|effect| effect > 0.0 && down || effect < 0.0 && up);
    let (verdict, mut reason) = if effects.len() < columns.len() || adjusted.is_none() {
        (Verdict::Inconclusive, "There is too little evidence to test it.".to_owned())
    } else if columns.iter().any(Tested::contradicts) {
        (Verdict::Mixed, "Some models show the prediction and others its opposite, each beyond chance.".to_owned())
    } else if chance {
        (Verdict::Inconclusive, "What is seen is within what chance alone gives.".to_owned())
    } else if up && down {
        (Verdict::Mixed, "The columns point in opposite directions, beyond chance.".to_owned())
    } else if !enough {
        (
            Verdict::Inconclusive,
            "An association is seen, but in too few families to speak of models in general.".to_owned(),
        )
    } else if !agree {
        (Verdict::Inconclusive, "An association is seen, but families do not agree on it beyond chance.".to_owned())
    } else if twin_against {
        (Verdict::Mixed, "Without the 16 farthest weights of each tensor the association turns round.".to_owned())
    } else if !twins.iter().all(|twin| twin.p(definition.rows).is_some_and(|p| p <= LEVEL)) {
        (
            Verdict::Mixed,
            "An association is seen, but not beyond chance once each tensor's 16 farthest weights are left out."
                .to_owned(),
        )
    } else if up {
        (Verdict::Supported, "The prediction is seen beyond chance, and families agree.".to_owned())
    } else {
        (Verdict::Rejected, "The opposite of the prediction is seen beyond chance, and families agree.".to_owned())
    };
    if up && down {
        let said: Vec<String> = columns
            .iter()
            .filter_map(|column| Some((column, column.effect()?)))
            .map(|(column, effect)| {
                format!("on `{}` {} the prediction", column.by, if effect > 0.0 { "with" } else { "against" })
            })
            .collect();
        reason.push_str(&format!(" The columns disagree: {}.", said.join(", ")));
    }
    let mut statistics = Vec::new();
    for column in columns.iter().chain(&twins) {
        statistics.extend(numbers(definition, column, adjusted.filter(|_| column.value == definition.value)));
    }
    let rows = columns.iter().flat_map(|column| shown(definition, column)).collect();
    missing.dedup();
    Judgement {
        id: definition.id.clone(),
        title: definition.title.clone(),
        claim: definition.claim.clone(),
        prediction: definition.prediction.clone(),
        test: definition.test.clone(),
        decision_rule: definition.decision_rule.clone(),
        falsification: definition.falsification.clone(),
        verdict,
        reason,
        statistics,
        rows,
        confounds: definition.confounds.clone(),
        missing,
    }
}

/// What would have to be known, or measured, for this column to decide.
fn lacks(definition: &Definition, column: &Tested, tests: usize) -> Vec<String> {
    let mut missing = Vec::new();
    if column.lacking > 0 {
        missing.push(format!(
            "{} tensors have no `{}` or no `{}`; a facts file or another run can give them",
            column.lacking, column.by, column.value
        ));
    }
    let families = column.families();
    if families < definition.minimum_families {
        missing.push(format!(
            "models of {} families with a known `{}`; there are {families}",
            definition.minimum_families, column.by
        ));
    }
    match &column.test {
        None => missing.push(format!("observations that differ in `{}` and can be compared with each other", column.by)),
        Some(test) if test.least_p * tests as f64 > LEVEL => missing.push(format!(
            "more observations: with these, p on `{}` cannot fall below {:.3} whatever is seen, and {tests} hypotheses are judged together",
            column.by, test.least_p
        )),
        Some(_) => {}
    }
    missing
}

fn numbers(definition: &Definition, column: &Tested, adjusted: Option<f64>) -> Vec<Statistic> {
    let n = column.rows.len();
    let (by, value) = (&column.by, &column.value);
    let mut numbers = vec![Statistic {
        name: format!("Mean Spearman correlation with the prediction from {by} to {value}, each family once"),
        value: column.effect(),
        interval: None,
        n,
        p: column.test.as_ref().map(|test| test.p),
        p_adjusted: adjusted,
    }];
    let labels: Vec<f64> = column.rows.iter().map(|row| row.label).collect();
    let values: Vec<f64> = column.rows.iter().map(|row| row.value).collect();
    for (name, found) in [("Spearman", spearman(&labels, &values)), ("Pearson", pearson(&labels, &values))] {
        numbers.push(Statistic {
            name: format!("{name} correlation of all observations of {by} and {value}, models and families mixed"),
            value: found.map(|found| found.coefficient),
            interval: found.and_then(|found| found.interval),
            n,
            p: None,
            p_adjusted: None,
        });
    }
    if matches!(definition.rows, Rows::Tensors | Rows::Layers) {
        let test = mean_test(&column.effects);
        numbers.push(Statistic {
            name: format!("Agreement of families from {by} to {value} (t test)"),
            value: test.map(|test| test.mean),
            interval: None,
            n: column.effects.len(),
            p: test.map(|test| test.p),
            p_adjusted: None,
        });
    }
    numbers
}

/// What a verdict rests on, as readers know it.
fn shown<'a>(
    definition: &Definition,
    column: &'a Tested,
) -> impl Iterator<Item = serde_json::Map<String, serde_json::Value>> + 'a {
    // Kurtoses are compared by their logarithms; readers need the number itself.
    let is_logarithm = column.value.starts_with("kurtosis");
    let (label, sign) = match definition.predict {
        Prediction::Rises => (column.by.clone(), 1.0),
        Prediction::Falls => (column.by.clone(), -1.0),
        Prediction::Higher { .. } | Prediction::Order(_) => (format!("predicted place by {}", column.by), 1.0),
    };
    column.rows.iter().map(move |row| {
        let value = if is_logarithm { row.value.exp() } else { row.value };
        let cells = [
            ("observation", json!(row.name)),
            ("family", json!(row.family)),
            (label.as_str(), json!(sign * row.label)),
            (column.value.as_str(), json!(value)),
        ];
        cells.into_iter().map(|(name, cell)| (name.to_owned(), cell)).collect()
    })
}
