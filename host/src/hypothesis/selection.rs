//! What hypothesis files select by: which tensors make one observation, and which values of a column belong to a group.

use serde::Deserialize;

/// What an observation is, and with which others it may be exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rows {
    /// A tensor, among its model's.
    Tensors,
    /// A layer's largest value, among its model's layers.
    Layers,
    /// A model's largest value, among its family's models.
    ModelsWithinFamilies,
    /// The mean of a family's models, among families.
    Families,
}

impl Rows {
    /// As a hypothesis file writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tensors => "tensors",
            Self::Layers => "layers",
            Self::ModelsWithinFamilies => "models_within_families",
            Self::Families => "families",
        }
    }
}

/// Which values belong to a group.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Matcher {
    /// Yes or no.
    Flag(bool),
    /// Exactly this number.
    Number(f64),
    /// Exactly this word, in any case.
    Text(String),
    /// Numbers in a range, ends included.
    Range(Range),
}

/// A range of numbers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The smallest.
    pub from: Option<f64>,
    /// The largest.
    pub to: Option<f64>,
}
