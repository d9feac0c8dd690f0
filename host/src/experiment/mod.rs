//! Experiments: tables and plots built from evidence.

use serde::Serialize;

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
    /// The numbers under the table, in sentences.
    pub notes: Vec<String>,
    /// What is plotted; `None` where there is too little to plot.
    #[serde(skip)]
    pub plot: Option<Plot>,
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
