//! Finds how the integers of a model encode values: by the constants beside them in the nodes that use them.

use std::collections::{HashMap, HashSet};

use kurtoscope_shared::Element;

use super::operation::{Operation, operands};
use super::scope::{Scope, resolve};
use super::tensor::GraphTensor;
use crate::format::PackedNode;
use crate::packed::Role;

/// What a tensor's numbers are, where they are not plain numbers.
#[derive(Debug)]
pub(super) enum Interpretation {
    /// Codes whose values the graph does not determine.
    Codes,
    /// Codes for values.
    Values(Quantization),
}

/// How codes encode values: `(code - zero) * scale`.
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

/// The meaning of every tensor that is more than plain numbers, by its position.
pub(super) fn interpretations(graphs: &[Scope], tensors: &[GraphTensor]) -> HashMap<usize, Interpretation> {
    let mut interpretations = HashMap::new();
    let mut zeros = HashSet::new();
    for scope in graphs {
        let constant = |name: &str| resolve(graphs, scope, name);
        let links = Consumers::new(scope);
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
                    (None, _) | (_, Some(None)) => Interpretation::Codes,
                    (Some(scale), zero) => Interpretation::Values(Quantization {
                        scale,
                        zero: zero.flatten(),
                        axis: usize::try_from(axis).unwrap_or(usize::MAX),
                        block: operation.block,
                    }),
                };
                match interpretations.get(&codes) {
                    // One use that determines the values is enough.
                    Some(Interpretation::Values(_)) => {}
                    _ => drop(interpretations.insert(codes, meaning)),
                }
            }
        }
    }
    for (index, found) in tensors.iter().enumerate() {
        let byte = |element| matches!(element, Element::I8 | Element::U8);
        if found.stored.as_ref().is_ok_and(|stored| byte(stored.element)) && !zeros.contains(&index) {
            interpretations.entry(index).or_insert(Interpretation::Codes);
        }
    }
    interpretations
}

/// Names of the inputs of a `MatMulNBits`, behind its first: what is multiplied with the weight.
const PACKED_INPUTS: [(usize, Role); 4] = [(1, Role::Codes), (2, Role::Scales), (3, Role::Zeros), (4, Role::Groups)];

/// The weights that nodes read as packed codes, each once.
pub(super) fn packed_nodes(graphs: &[Scope], tensors: &[GraphTensor]) -> Vec<PackedNode> {
    let mut seen = HashSet::new();
    let mut nodes = Vec::new();
    for scope in graphs {
        for operation in &scope.operations {
            let Some(attributes) = operation.packed else { continue };
            let inputs = PACKED_INPUTS.iter().filter_map(|&(position, role)| {
                let name = operation.inputs.get(position).filter(|name| !name.is_empty())?;
                Some((role, resolve(graphs, scope, name)))
            });
            let inputs: Vec<_> = inputs.collect();
            let Some(&(Role::Codes, Some(codes))) = inputs.first() else { continue };
            if !seen.insert(codes) {
                continue;
            }
            // Where one is computed, the values are not known: nothing but the codes is left, which is a fault of the weight.
            let known = if inputs.iter().all(|(_, tensor)| tensor.is_some()) { inputs.len() } else { 1 };
            let named = |&(role, tensor): &(Role, Option<usize>)| Some((role, tensors.get(tensor?)?.name.clone()));
            nodes.push(PackedNode { members: inputs.iter().take(known).filter_map(named).collect(), attributes });
        }
    }
    nodes
}

/// Whether codes can be of this type.
fn is_code(element: Element) -> bool {
    use Element::{F8E4m3, F8E5m2, I8, I16, I32, U8, U16};
    matches!(element, I8 | U8 | I16 | U16 | I32 | F8E4m3 | F8E5m2)
}

/// Which casts and multiplications a value goes into, and which multiplication it comes from.
struct Consumers<'a> {
    into: HashMap<&'a str, Vec<&'a Operation>>,
    product: HashMap<&'a str, &'a Operation>,
}

impl<'a> Consumers<'a> {
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
