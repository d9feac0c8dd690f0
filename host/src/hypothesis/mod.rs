//! Hypotheses about outliers, and how they are judged.

mod builtin;
mod column;
mod definition;
mod judge;
mod rows;
mod selection;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use builtin::built_in;
pub use definition::{Definition, DefinitionError, Prediction};
pub use judge::{judge, judge_all};
pub use selection::{Matcher, Range, Rows};

/// What the evidence says about a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The prediction held, beyond what chance explains.
    Supported,
    /// The opposite of the prediction held, beyond what chance explains.
    Rejected,
    /// Parts of the evidence contradict each other.
    Mixed,
    /// Too little evidence to say.
    Inconclusive,
}

/// One number that a verdict rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistic {
    /// What it is: `Spearman correlation of size and kurtosis`, …
    pub name: String,
    /// Its value; null where undefined.
    pub value: Option<f64>,
    /// 95 % confidence interval, where one can be given.
    pub interval: Option<[f64; 2]>,
    /// Number of observations.
    pub n: usize,
    /// Two-sided p value, exact where n allows; null where there is no test.
    pub p: Option<f64>,
    /// `p` after Holm's adjustment over the hypotheses judged together.
    pub p_adjusted: Option<f64>,
}

/// A hypothesis with its verdict and everything the verdict rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// `H1`, …, or the user's own.
    pub id: String,
    /// A few words.
    pub title: String,
    /// What is claimed.
    pub claim: String,
    /// What should be seen if the claim holds.
    pub prediction: String,
    /// How it is tested.
    pub test: String,
    /// When it counts as supported, rejected, mixed.
    pub decision_rule: String,
    /// What would refute it.
    pub falsification: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict's reason, in a sentence or two.
    pub reason: String,
    /// The numbers.
    pub statistics: Vec<Statistic>,
    /// The rows that it rests on: column names and values.
    pub rows: Vec<serde_json::Map<String, serde_json::Value>>,
    /// What else could explain it.
    pub confounds: Vec<String>,
    /// What evidence is missing.
    pub missing: Vec<String>,
}
