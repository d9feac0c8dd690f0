//! What each constant is to the model, by the nodes that read it: a weight with its place, a table, or a constant of the
//! graph that is no tensor of the model.

use std::collections::HashMap;

use kurtoscope_shared::Element;

use super::inputs::{Input, input, passing};
use super::module::{is_generated, parameter, without_derivation};
use super::operation::Operation;
use super::views::Views;
use super::walk::{Constant, Origin};
use crate::format::GraphUse;

/// The most telling way in which a constant is read.
#[derive(Debug, Clone)]
pub(super) struct Reading<'a> {
    input: Input,
    pub(super) operation: &'a Operation,
    /// The module that the node belongs to.
    module: Option<String>,
    /// The constant's dimension along which outputs run.
    output_axis: Option<usize>,
}

/// How every constant that nodes read is read, by its position.
pub(super) fn readings<'a>(views: &Views<'a>) -> HashMap<usize, Reading<'a>> {
    let mut readings: HashMap<usize, Reading<'a>> = HashMap::new();
    for (graph, operation) in views.operations() {
        for position in 0..operation.inputs.len() {
            let Some(view) = operation.input(position).and_then(|value| views.get(graph, value)) else { continue };
            // What is looked up is read where it is looked up.
            let passes = passing(&operation.operator, position).is_some() && operation.operator != "Gather";
            let input = match input(&operation.operator, position) {
                _ if passes || view.is_selection => Input::Argument,
                input => input,
            };
            let output_axis = match input {
                Input::Weight(outputs) | Input::QueryKeyValue(outputs) => view.axes.as_ref().and_then(|axes| {
                    let dimension = outputs.dimension(operation, axes.len())?;
                    axes.get(dimension).copied()
                }),
                _ => None,
            };
            let known = readings.get(&view.tensor).map(|known| known.input);
            // The first of equals stays.
            if known.is_none_or(|known| known < input && !is_same_kind(known, input)) {
                let module = operation.module.clone().or_else(|| module_of_others(views, graph, operation));
                readings.insert(view.tensor, Reading { input, operation, module, output_axis });
            }
        }
    }
    readings
}

/// The module that the names of a node's other constants give: that of the bias beside a weight.
fn module_of_others(views: &Views<'_>, graph: usize, operation: &Operation) -> Option<String> {
    operation.inputs.iter().find_map(|value| {
        let constant = views.tensors.get(views.get(graph, value)?.tensor)?;
        let parameter = parameter(&constant.value)?;
        parameter.rsplit_once('.').map(|(module, _)| module.to_owned())
    })
}

/// Whether both are weights, tables that rows are looked up in, or vectors.
fn is_same_kind(a: Input, b: Input) -> bool {
    let is_parameter = |input| matches!(input, Input::Weight(_) | Input::QueryKeyValue(_) | Input::Lookup);
    let is_vector = |input| matches!(input, Input::Vector(_));
    is_parameter(a) && is_parameter(b) || is_vector(a) && is_vector(b)
}

impl Reading<'_> {
    /// Whether it is read as parameters are, or in a way that is not known.
    pub(super) fn may_be_weight(&self) -> bool {
        self.input >= Input::Unknown
    }

    /// Whether rows of it are looked up.
    pub(super) fn is_lookup(&self) -> bool {
        self.input == Input::Lookup
    }

    /// What the last part of the parameter's name is.
    fn leaf(&self) -> &'static str {
        match self.input {
            Input::Vector(leaf) => leaf,
            Input::QueryKeyValue(_) => "qkv_proj.weight",
            _ => "weight",
        }
    }
}

/// Whether a constant of numbers is a tensor of the model, and no shape, index, limit or scalar of a formula.
///
/// Integers that nodes read in such a way are none, nor are what exporters made up a name for and nodes do not use as a
/// parameter, nor single numbers in nodes.
pub(super) fn is_tensor(constant: &Constant, reading: Option<&Reading<'_>>) -> bool {
    let Some(reading) = reading else { return constant.origin == Origin::Initializer };
    let is_single = constant.tensor.shape.iter().product::<u64>() == 1;
    let is_named = parameter(&constant.value).is_some();
    let is_anonymous = !is_named && constant.origin == Origin::Node || is_generated(&constant.value);
    if is_single && is_anonymous {
        return false;
    }
    if constant.tensor.stored.as_ref().is_ok_and(|stored| is_integer(stored.element)) {
        return false;
    }
    reading.may_be_weight() || reading.input == Input::Table || !is_anonymous
}

/// Whether elements of this type are integers.
fn is_integer(element: Element) -> bool {
    use Element::{Bool, I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(element, I8 | U8 | I16 | U16 | I32 | U32 | I64 | U64 | Bool)
}

/// What the nodes that read a constant tell about it.
pub(super) fn graph_use(constant: &Constant, reading: Option<&Reading<'_>>) -> GraphUse {
    let by_node = || {
        let reading = reading.filter(|reading| reading.may_be_weight())?;
        Some(format!("{}.{}", reading.module.as_deref()?, reading.leaf()))
    };
    let stem = || Some(without_derivation(&constant.value)).filter(|stem| *stem != constant.value).map(str::to_owned);
    let path = parameter(&constant.value).or_else(by_node).or_else(stem);
    GraphUse {
        path: path.filter(|path| *path != constant.tensor.name),
        output_axis: reading.and_then(|reading| reading.output_axis),
        is_lookup: reading.is_some_and(Reading::is_lookup),
        is_table: reading.is_some_and(|reading| reading.input == Input::Table),
    }
}
