//! Experiments: tables and plots built from evidence. Each is a file; none tests a hypothesis.

mod association;
mod exp_022;
mod exp_023;
mod exp_024;
mod exp_025;
mod exp_026;
mod rows;
#[cfg(test)]
mod testing;

use serde::Serialize;

use crate::evidence::Evidence;

/// Every experiment, in order.
pub fn all(evidence: &Evidence) -> Vec<Experiment> {
    [exp_022::build, exp_023::build, exp_024::build, exp_025::build, exp_026::build].map(|build| build(evidence)).into()
}

/// One experiment's outcome: a table, the numbers under it, and what to plot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Experiment {
    /// `EXP-022`, …
    pub id: String,
    /// A few words.
    pub title: String,
    /// What was asked, in a sentence.
    pub question: String,
    /// The table's columns.
    pub columns: Vec<String>,
    /// The table's rows, a value a column; null where there is none.
    pub rows: Vec<Vec<serde_json::Value>>,
    /// Further tables, under the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<ExperimentTable>,
    /// The numbers under the tables, in sentences. Names of models in them are as the evidence has them.
    pub notes: Vec<String>,
    /// What is plotted; `None` where there is too little to plot.
    #[serde(skip)]
    pub plot: Option<Plot>,
}

/// A table of its own in an experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExperimentTable {
    /// A few words.
    pub title: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Its rows, a value a column.
    pub rows: Vec<Vec<serde_json::Value>>,
}

/// Points to plot, in named series.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Label of the horizontal axis, with its unit.
    pub x: String,
    /// Whether the horizontal axis is logarithmic.
    pub x_logarithmic: bool,
    /// Label of the vertical axis.
    pub y: String,
    /// Whether the vertical axis is logarithmic.
    pub y_logarithmic: bool,
    /// The points, a series a model or family.
    pub series: Vec<Series>,
}

/// Points of one model or family.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Whose.
    pub name: String,
    /// Joined by a line, in this order.
    pub joined: bool,
    /// `(x, y)`, with a label each where there is one to show.
    pub points: Vec<(f64, f64, Option<String>)>,
}
