//! Finds how the integers of a model encode values: by the constants beside them in the nodes that use them.

use std::collections::{HashMap, HashSet};

use kurtoscope_shared::Element;

use super::inputs::Outputs;
use super::operation::Operation;
use super::tensor::GraphTensor;
use super::views::{View, Views};
use crate::format::PackedNode;
use crate::packed::Role;
use crate::packed::matmul_nbits::Attributes;

/// How codes encode values: `(code - zero) * scale`.
#[derive(Debug)]
pub(super) struct Quantization {
    /// The tensor of scales.
    pub(super) scale: usize,
    /// The tensor of zero points.
    pub(super) zero: Option<usize>,
    /// The dimension of the codes that several scales go along.
    pub(super) axis: usize,
    /// How many codes in a row along that dimension share a scale; 0 where blocks are not used.
    pub(super) block: u64,
}

/// A quantized operand of an operator: the positions of its codes, scale and zero point among the inputs.
struct Operand {
    codes: usize,
    /// `None` where the result is scaled later, by other nodes.
    scale: Option<usize>,
    zero: usize,
    /// The dimension that several scales go along.
    along: Along,
}

/// The dimension that several scales go along.
#[derive(Clone, Copy)]
enum Along {
    /// That of the attribute `axis`, which is 1 where it is absent.
    Attribute,
    /// That of the outputs.
    Outputs(Outputs),
}

const fn operand(codes: usize, scale: Option<usize>, zero: usize, along: Along) -> Operand {
    Operand { codes, scale, zero, along }
}

const LEFT: Along = Along::Outputs(Outputs::BeforeLast);
const LAST: Along = Along::Outputs(Outputs::Last);
const RIGHT: Along = Along::Outputs(Outputs::Right);
const FIRST: Along = Along::Outputs(Outputs::At(0));

/// The quantized operands of the operators of ONNX and of ONNX Runtime.
static OPERANDS: &[(&str, &[Operand])] = &[
    ("DequantizeLinear", &[operand(0, Some(1), 2, Along::Attribute)]),
    ("GatherBlockQuantized", &[operand(0, Some(2), 3, Along::Attribute)]),
    ("QLinearConv", &[operand(3, Some(4), 5, FIRST)]),
    ("QLinearMatMul", &[operand(0, Some(1), 2, LEFT), operand(3, Some(4), 5, LAST)]),
    ("QLinearAdd", &[operand(0, Some(1), 2, LAST), operand(3, Some(4), 5, LAST)]),
    ("QLinearMul", &[operand(0, Some(1), 2, LAST), operand(3, Some(4), 5, LAST)]),
    ("QGemm", &[operand(3, Some(4), 5, RIGHT)]),
    ("QAttention", &[operand(1, Some(4), 7, LAST)]),
    ("MatMulIntegerToFloat", &[operand(0, Some(2), 4, LEFT), operand(1, Some(3), 5, LAST)]),
    ("DynamicQuantizeMatMul", &[operand(1, Some(2), 3, LAST)]),
    ("DynamicQuantizeLSTM", &[operand(1, Some(8), 9, LAST), operand(2, Some(10), 11, LAST)]),
    ("MatMulInteger", &[operand(0, None, 2, LEFT), operand(1, None, 3, LAST)]),
    ("ConvInteger", &[operand(1, None, 3, FIRST)]),
];

/// Where operators read scales and zero points of what they compute.
const SCALES_OF_RESULTS: &[(&str, &[usize])] = &[
    ("QuantizeLinear", &[1, 2]),
    ("QLinearConv", &[1, 2, 6, 7]),
    ("QLinearMatMul", &[6, 7]),
    ("QGemm", &[1, 2, 7, 8]),
    ("QLinearAdd", &[6, 7]),
    ("QLinearMul", &[6, 7]),
    ("QLinearSigmoid", &[1, 2, 3, 4]),
    ("QLinearLeakyRelu", &[1, 2, 3, 4]),
    ("QLinearSoftmax", &[1, 2, 3, 4]),
    ("QLinearAveragePool", &[1, 2, 3, 4]),
    ("QLinearGlobalAveragePool", &[1, 2, 3, 4]),
    ("QLinearReduceMean", &[1, 2, 3, 4]),
    ("QLinearConcat", &[0, 1, 3, 4, 6, 7, 9, 10]),
    ("QAttention", &[3, 6]),
];

/// What is known of the codes of a model and of what goes with them.
#[derive(Debug, Default)]
pub(super) struct Quantizations {
    /// How codes encode values, by the position of the codes.
    pub(super) values: HashMap<usize, Quantization>,
    /// Scales and zero points.
    pub(super) descriptions: HashSet<usize>,
    /// Codes that an operator reads whose scale or zero point is computed, by the operator.
    pub(super) unknown: HashMap<usize, String>,
}

/// Finds all codes whose scale the graphs give as a constant.
pub(super) fn quantizations(views: &Views<'_>) -> Quantizations {
    let mut found = Quantizations::default();
    let links: Vec<_> = views.graphs.iter().map(|graph| Consumers::new(&graph.operations)).collect();
    for (graph, operation) in views.operations() {
        let constant = |position: usize| views.constant(graph, operation.input(position)?);
        let results = SCALES_OF_RESULTS.iter().filter(|(name, _)| *name == operation.operator);
        found.descriptions.extend(results.flat_map(|(_, positions)| *positions).filter_map(|&at| constant(at)));
        let operands = OPERANDS.iter().find(|(name, _)| *name == operation.operator).map_or(&[][..], |(_, list)| list);
        for operand in operands {
            let scale = match operand.scale {
                Some(position) => constant(position),
                None => {
                    let later = links.get(graph).map(|links| links.later_scale(operation)).unwrap_or_default();
                    later.into_iter().find_map(|value| views.constant(graph, value))
                }
            };
            let zero = operation.input(operand.zero).map(|value| views.constant(graph, value));
            found.descriptions.extend(scale.into_iter().chain(zero.flatten()));
            let codes = operation.input(operand.codes).and_then(|value| views.get(graph, value));
            let Some(codes) = codes else { continue };
            // A zero point that is computed cannot be known.
            let scale = scale.filter(|_| zero != Some(None));
            match scale.and_then(|scale| along(views, &codes, operation, operand, scale, zero.flatten())) {
                // One use that determines the values is enough.
                Some(quantization) => drop(found.values.entry(codes.tensor).or_insert(quantization)),
                None => drop(found.unknown.entry(codes.tensor).or_insert(operation.operator.clone())),
            }
        }
    }
    let Quantizations { values, descriptions, unknown } = &mut found;
    descriptions.retain(|tensor| !values.contains_key(tensor));
    let is_code = |tensor: &usize| views.tensors.get(*tensor).is_some_and(|constant| is_code(&constant.tensor));
    unknown.retain(|tensor, _| is_code(tensor) && !values.contains_key(tensor));
    found
}

/// How codes, which may be passed on in another order of dimensions, go with scales.
fn along(
    views: &Views<'_>,
    codes: &View,
    operation: &Operation,
    operand: &Operand,
    scale: usize,
    zero: Option<usize>,
) -> Option<Quantization> {
    let tensor = &views.tensors.get(codes.tensor)?.tensor;
    if !is_code(tensor) || is_packed_gather(operation, tensor) {
        return None;
    }
    let block = operation.block;
    let is_single = views.tensors.get(scale)?.tensor.shape.iter().product::<u64>() == 1;
    if is_single && block == 0 {
        return Some(Quantization { scale, zero, axis: 0, block });
    }
    let axes = codes.axes.as_ref().filter(|_| !codes.is_selection && (block == 0 || codes.is_whole()))?;
    let dimension = match operand.along {
        Along::Outputs(outputs) => outputs.dimension(operation, axes.len())?,
        Along::Attribute => {
            let axis = operation.axis.unwrap_or(1);
            let axis = if axis < 0 { axis.checked_add(i64::try_from(axes.len()).ok()?)? } else { axis };
            usize::try_from(axis).ok()?
        }
    };
    Some(Quantization { scale, zero, axis: *axes.get(dimension)?, block })
}

/// Whether codes can be of this type.
fn is_code(tensor: &GraphTensor) -> bool {
    use Element::{F8E4m3, F8E5m2, I8, I16, I32, U8, U16};
    let is_code = |element| matches!(element, I8 | U8 | I16 | U16 | I32 | F8E4m3 | F8E5m2);
    tensor.small.is_some() || tensor.stored.as_ref().is_ok_and(|stored| is_code(stored.element))
}

/// Whether these are bytes of several codes each.
fn is_packed_gather(operation: &Operation, codes: &GraphTensor) -> bool {
    operation.operator == "GatherBlockQuantized"
        && codes.stored.as_ref().is_ok_and(|stored| stored.element == Element::U8)
}

/// The inputs that are one packed weight, by operator: what they are for and where they are.
const PACKED: &[(&str, &[(Role, usize)])] = &[
    ("MatMulNBits", &[(Role::Codes, 1), (Role::Scales, 2), (Role::Zeros, 3), (Role::Groups, 4)]),
    ("GatherBlockQuantized", &[(Role::Codes, 0), (Role::Scales, 2), (Role::Zeros, 3)]),
];

/// The weights that nodes read as packed codes, each once.
pub(super) fn packed_nodes(views: &Views<'_>) -> Vec<PackedNode> {
    let mut seen = HashSet::new();
    let mut nodes = Vec::new();
    for (graph, operation) in views.operations() {
        let Some((_, inputs)) = PACKED.iter().find(|(name, _)| *name == operation.operator) else { continue };
        let read = |&(role, position): &(Role, usize)| Some((role, operation.input(position)?));
        let inputs: Vec<_> =
            inputs.iter().filter_map(read).map(|(role, value)| (role, views.constant(graph, value))).collect();
        let Some(&(Role::Codes, Some(codes))) = inputs.first() else { continue };
        let Some(attributes) = attributes(operation, &views.tensors[codes].tensor) else { continue };
        if !seen.insert(codes) {
            continue;
        }
        // Where one is computed, the values are not known: nothing but the codes is left, which is a fault of the weight.
        let known = if inputs.iter().all(|(_, tensor)| tensor.is_some()) { inputs.len() } else { 1 };
        let named =
            |&(role, tensor): &(Role, Option<usize>)| Some((role, views.tensors.get(tensor?)?.tensor.name.clone()));
        nodes.push(PackedNode { members: inputs.iter().take(known).filter_map(named).collect(), attributes });
    }
    nodes
}

/// The sizes of a packed weight; `None` where the node's codes are elements of their own.
fn attributes(operation: &Operation, codes: &GraphTensor) -> Option<Attributes> {
    if operation.packed.is_some() || !is_packed_gather(operation, codes) {
        return operation.packed;
    }
    let (&bytes, rows) = codes.shape.split_last()?;
    let bits = operation.bits;
    let in_rows = operation.axis == Some(-1) || operation.axis == i64::try_from(rows.len()).ok();
    let inputs = bytes.checked_mul(8)?.checked_div(bits).filter(|_| in_rows && bits <= 8)?;
    Some(Attributes { inputs, outputs: rows.iter().product(), bits, block: operation.block })
}

/// Which casts and multiplications a value goes into, and which multiplication it comes from.
struct Consumers<'a> {
    into: HashMap<&'a str, Vec<&'a Operation>>,
    product: HashMap<&'a str, &'a Operation>,
}

impl<'a> Consumers<'a> {
    fn new(operations: &'a [Operation]) -> Self {
        let mut links = Self { into: HashMap::new(), product: HashMap::new() };
        let steps = |operation: &&Operation| matches!(operation.operator.as_str(), "Cast" | "Mul");
        for operation in operations.iter().filter(steps) {
            for input in &operation.inputs {
                links.into.entry(input).or_default().push(operation);
            }
            if operation.operator == "Mul" {
                links.product.insert(operation.output(), operation);
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
        let scaled = next(operation.output(), "Cast").and_then(|cast| Some((cast, next(cast.output(), "Mul")?)));
        let Some((cast, mul)) = scaled else { return Vec::new() };
        let factors = mul.inputs.iter().filter(|input| **input != cast.output());
        factors
            .flat_map(|factor| match self.product.get(factor.as_str()) {
                Some(product) => product.inputs.iter().map(String::as_str).collect(),
                None => vec![factor.as_str()],
            })
            .collect()
    }
}
