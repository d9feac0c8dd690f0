//! Finds which integers of a model stand for which values: the constants next to them in the nodes that use them.

use std::collections::{HashMap, HashSet};

use kurtoscope_shared::Element;

use super::proto::{Attribute, Node};
use super::tensor::Found;
use super::walk::Scope;

/// What a tensor's numbers are, where they are not plain numbers.
#[derive(Debug)]
pub(super) enum Meaning {
    /// Codes whose values the graph does not tell.
    Codes,
    /// Codes for values.
    Values(Quantization),
}

/// How codes stand for values: `(code - zero) * scale`.
#[derive(Debug)]
pub(super) struct Quantization {
    /// The tensor of scales.
    pub(super) scale: usize,
    /// The tensor of zero points.
    pub(super) zero: Option<usize>,
    /// The dimension that several scales go along.
    pub(super) axis: usize,
    /// How many codes in a row along that dimension share a scale; 0 where blocks are not used.
    pub(super) block: u64,
}

/// A node that says something about quantization.
#[derive(Debug)]
pub(super) struct Operation {
    operator: String,
    inputs: Vec<String>,
    output: String,
    axis: i64,
    block: u64,
    transposed: bool,
}

/// An operand of an operation: the positions of its codes, scale and zero point among the inputs.
struct Operand {
    codes: usize,
    /// `None` where the result is scaled later, by other nodes.
    scale: Option<usize>,
    zero: usize,
    /// The dimension that several scales go along; from the end where negative.
    axis: i64,
}

/// What a node says, if anything.
pub(super) fn operation(node: Node, attributes: &[Attribute]) -> Option<Operation> {
    let int = |name: &str| attributes.iter().find(|attribute| attribute.name == name).and_then(|found| found.int);
    let operation = Operation {
        axis: int("axis").unwrap_or(1),
        block: int("block_size").and_then(|block| block.try_into().ok()).unwrap_or(0),
        transposed: int("transB").unwrap_or(0) != 0,
        operator: node.operator,
        inputs: node.inputs,
        output: node.outputs.into_iter().next().unwrap_or_default(),
    };
    let told = matches!(operation.operator.as_str(), "Cast" | "Mul") || !operands(&operation).is_empty();
    told.then_some(operation)
}

/// The quantized operands of the operators of ONNX and of ONNX Runtime.
fn operands(operation: &Operation) -> Vec<Operand> {
    let operand = |codes, scale, zero, axis| Operand { codes, scale, zero, axis };
    match operation.operator.as_str() {
        "DequantizeLinear" => vec![operand(0, Some(1), 2, operation.axis)],
        "QLinearConv" => vec![operand(3, Some(4), 5, 0)],
        "QLinearMatMul" => vec![operand(0, Some(1), 2, -2), operand(3, Some(4), 5, -1)],
        "QGemm" => vec![operand(3, Some(4), 5, if operation.transposed { 0 } else { -1 })],
        "MatMulIntegerToFloat" => vec![operand(0, Some(2), 4, -2), operand(1, Some(3), 5, -1)],
        "DynamicQuantizeMatMul" => vec![operand(1, Some(2), 3, -1)],
        "MatMulInteger" => vec![operand(0, None, 2, -2), operand(1, None, 3, -1)],
        "ConvInteger" => vec![operand(1, None, 3, 0)],
        _ => Vec::new(),
    }
}

/// The meaning of every tensor that is more than plain numbers, by its position.
pub(super) fn meanings(graphs: &[Scope], tensors: &[Found]) -> HashMap<usize, Meaning> {
    let mut meanings = HashMap::new();
    let mut zeros = HashSet::new();
    for scope in graphs {
        let constant = |name: &str| resolve(graphs, scope, name);
        let links = Links::new(scope);
        for operation in &scope.operations {
            for operand in operands(operation) {
                let input = |position: usize| operation.inputs.get(position).filter(|name| !name.is_empty());
                let zero = input(operand.zero).map(|name| constant(name));
                zeros.extend(zero.flatten());
                let Some(codes) = input(operand.codes).and_then(|name| constant(name)) else { continue };
                let Some(found) = tensors.get(codes) else { continue };
                if !found.stored.as_ref().is_ok_and(|stored| is_code(stored.element)) {
                    continue;
                }
                let scale = match operand.scale {
                    Some(position) => input(position).and_then(|name| constant(name)),
                    None => links.later_scale(operation).into_iter().find_map(constant),
                };
                let rank = found.shape.len() as i64;
                let axis = if operand.axis < 0 { operand.axis.saturating_add(rank) } else { operand.axis };
                let meaning = match (scale, zero) {
                    // A zero point that is computed cannot be known.
                    (None, _) | (_, Some(None)) => Meaning::Codes,
                    (Some(scale), zero) => Meaning::Values(Quantization {
                        scale,
                        zero: zero.flatten(),
                        axis: usize::try_from(axis).unwrap_or(usize::MAX),
                        block: operation.block,
                    }),
                };
                match meanings.get(&codes) {
                    // One use that tells the values is enough.
                    Some(Meaning::Values(_)) => {}
                    _ => drop(meanings.insert(codes, meaning)),
                }
            }
        }
    }
    for (index, found) in tensors.iter().enumerate() {
        let byte = |element| matches!(element, Element::I8 | Element::U8);
        if found.stored.as_ref().is_ok_and(|stored| byte(stored.element)) && !zeros.contains(&index) {
            meanings.entry(index).or_insert(Meaning::Codes);
        }
    }
    meanings
}

/// Whether codes can be of this type.
fn is_code(element: Element) -> bool {
    use Element::{F8E4m3, F8E5m2, I8, I16, I32, U8, U16};
    matches!(element, I8 | U8 | I16 | U16 | I32 | F8E4m3 | F8E5m2)
}

/// The tensor that a value is, in this graph or the nearest one around it.
fn resolve(graphs: &[Scope], scope: &Scope, name: &str) -> Option<usize> {
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

/// Which casts and multiplications a value goes into, and which multiplication it comes from.
struct Links<'a> {
    into: HashMap<&'a str, Vec<&'a Operation>>,
    product: HashMap<&'a str, &'a Operation>,
}

impl<'a> Links<'a> {
    fn new(scope: &'a Scope) -> Self {
        let mut links = Self { into: HashMap::new(), product: HashMap::new() };
        let steps = |operation: &&Operation| matches!(operation.operator.as_str(), "Cast" | "Mul");
        for operation in scope.operations.iter().filter(steps) {
            for input in &operation.inputs {
                links.into.entry(input).or_default().push(operation);
            }
            if operation.operator == "Mul" {
                links.product.insert(&operation.output, operation);
            }
        }
        links
    }

    /// The values that may be the constant scale of an operation whose result is integers.
    ///
    /// Quantizers follow such an operation by a Cast, then by a Mul with a scale, or with the product of the input's scale,
    /// which is computed, and the weight's, which is constant.
    fn later_scale(&self, operation: &Operation) -> Vec<&'a str> {
        let next = |value: &str, operator: &str| {
            self.into.get(value)?.iter().find(|operation| operation.operator == operator).copied()
        };
        let scaled = next(&operation.output, "Cast").and_then(|cast| Some((cast, next(&cast.output, "Mul")?)));
        let Some((cast, mul)) = scaled else { return Vec::new() };
        let factors = mul.inputs.iter().filter(|input| **input != cast.output);
        factors
            .flat_map(|factor| match self.product.get(factor.as_str()) {
                Some(product) => product.inputs.iter().map(String::as_str).collect(),
                None => vec![factor.as_str()],
            })
            .collect()
    }
}
