//! What is known of one graph of a model: its constant values, and the nodes that read values.

use std::collections::HashMap;

use super::operation::Operation;

/// What is known of one graph.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// The graph around it, whose values it can use; always an earlier one.
    pub(super) parent: Option<usize>,
    /// Which tensor each constant value is.
    pub(super) values: HashMap<String, usize>,
    /// The nodes, in their order, without those that are constants.
    pub(super) operations: Vec<Operation>,
}
