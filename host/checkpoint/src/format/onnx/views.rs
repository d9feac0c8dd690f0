//! Follows constants through the nodes that only pass them on: what a value of a graph is of which constant.

use std::collections::HashMap;

use super::inputs::{Passing, passing};
use super::operation::Operation;
use super::scope::Scope;
use super::walk::Constant;

/// A value that is a constant, or made of one alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// The constant.
    pub(super) tensor: usize,
    /// Which of the constant's dimensions each of the value's is; `None` where they are others.
    pub(super) axes: Option<Vec<usize>>,
    /// Whether it is only rows of the constant, which were looked up.
    pub(super) is_selection: bool,
}

impl View {
    fn whole(tensor: usize, rank: usize) -> Self {
        Self { tensor, axes: Some((0..rank).collect()), is_selection: false }
    }

    /// Whether it has the constant's dimensions in their order.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_selection
            && self.axes.as_ref().is_some_and(|axes| axes.iter().enumerate().all(|(at, axis)| at == *axis))
    }

    /// What a node passes on of it.
    fn passed(&self, passing: Passing, operation: &Operation) -> Self {
        let axes = match passing {
            Passing::Same => self.axes.clone(),
            Passing::Transposed => self.axes.as_ref().and_then(|axes| transposed(axes, &operation.permutation)),
            Passing::Reshaped | Passing::Selected => None,
        };
        Self { tensor: self.tensor, axes, is_selection: self.is_selection || passing == Passing::Selected }
    }
}

/// The dimensions in another order; `None` for an order that names one that is not there.
fn transposed(axes: &[usize], permutation: &[i64]) -> Option<Vec<usize>> {
    if permutation.is_empty() {
        return Some(axes.iter().rev().copied().collect());
    }
    permutation.iter().map(|&axis| axes.get(usize::try_from(axis).ok()?).copied()).collect()
}

/// The values of all graphs that are made of constants.
pub(super) struct Views<'a> {
    pub(super) graphs: &'a [Scope],
    pub(super) tensors: &'a [Constant],
    /// For each graph the values that nodes pass on.
    passed: Vec<HashMap<&'a str, View>>,
}

impl<'a> Views<'a> {
    /// Follows all constants.
    pub(super) fn new(graphs: &'a [Scope], tensors: &'a [Constant]) -> Self {
        let mut views = Self { graphs, tensors, passed: Vec::with_capacity(graphs.len()) };
        // A graph comes after the one around it, and a node after those whose values it reads.
        for (number, graph) in graphs.iter().enumerate() {
            views.passed.push(HashMap::new());
            for operation in &graph.operations {
                views.follow(number, operation);
            }
        }
        views
    }

    fn follow(&mut self, graph: usize, operation: &'a Operation) {
        let passed = (0..operation.inputs.len()).find_map(|position| {
            let passing = passing(&operation.operator, position)?;
            Some(self.get(graph, operation.input(position)?)?.passed(passing, operation))
        });
        if let (Some(view), Some(values)) = (passed, self.passed.get_mut(graph)) {
            for output in operation.outputs.iter().filter(|output| !output.is_empty()) {
                values.entry(output).or_insert_with(|| view.clone());
            }
        }
    }

    /// What a value is that a node of this graph reads.
    pub(super) fn get(&self, graph: usize, value: &str) -> Option<View> {
        let mut number = Some(graph);
        while let Some(at) = number {
            let scope = self.graphs.get(at)?;
            if let Some(&tensor) = scope.values.get(value) {
                return Some(View::whole(tensor, self.tensors.get(tensor)?.tensor.shape.len()));
            }
            if let Some(view) = self.passed.get(at).and_then(|values| values.get(value)) {
                return Some(view.clone());
            }
            number = scope.parent;
        }
        None
    }

    /// The constant that a value is, in its own order.
    pub(super) fn constant(&self, graph: usize, value: &str) -> Option<usize> {
        self.get(graph, value).filter(View::is_whole).map(|view| view.tensor)
    }

    /// All nodes with the number of their graph.
    pub(super) fn operations(&self) -> impl Iterator<Item = (usize, &'a Operation)> {
        let graphs = self.graphs.iter().enumerate();
        graphs.flat_map(|(number, graph)| graph.operations.iter().map(move |operation| (number, operation)))
    }
}
