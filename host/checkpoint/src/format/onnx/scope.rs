//! What is known of one graph of a model: its constant values, and the nodes that quantize.

use std::collections::HashMap;

use super::operation::Operation;

/// What is known of one graph.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// The graph around it, whose values it can use.
    pub(super) parent: Option<usize>,
    /// Which tensor each constant value is.
    pub(super) values: HashMap<String, usize>,
    /// The nodes that say something about quantization, in their order.
    pub(super) operations: Vec<Operation>,
}

/// The tensor that a value is, in this graph or the nearest one around it.
pub(super) fn resolve(graphs: &[Scope], scope: &Scope, name: &str) -> Option<usize> {
    let mut scope = Some(scope);
    while let Some(graph) = scope {
        if let Some(&tensor) = graph.values.get(name) {
            return Some(tensor);
        }
        // A graph comes after the one around it, so this ends.
        scope = graph.parent.and_then(|parent| graphs.get(parent));
    }
    None
}
