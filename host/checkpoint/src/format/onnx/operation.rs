//! The operators of ONNX and ONNX Runtime that define how integers are quantized, and where each has its operands.

use super::proto::{Attribute, Node};
use crate::packed::matmul_nbits::Attributes;

/// A node that says something about quantization.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) operator: String,
    pub(super) inputs: Vec<String>,
    pub(super) output: String,
    axis: i64,
    pub(super) block: u64,
    transposed: bool,
    /// The sizes that a node states whose second input is packed codes.
    pub(super) packed: Option<Attributes>,
}

/// An operand of an operation: the positions of its codes, scale and zero point among the inputs.
pub(super) struct Operand {
    pub(super) codes: usize,
    /// `None` where the result is scaled later, by other nodes.
    pub(super) scale: Option<usize>,
    pub(super) zero: usize,
    /// The dimension that several scales go along; from the end where negative.
    pub(super) axis: i64,
}

/// What a node says, if anything.
pub(super) fn operation(node: Node, attributes: &[Attribute]) -> Option<Operation> {
    let int = |name: &str| attributes.iter().find(|attribute| attribute.name == name).and_then(|found| found.int);
    // What is absent or negative is no size, which is found out with the weight.
    let size = |name: &str| int(name).and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
    let packed = (node.operator == "MatMulNBits").then(|| Attributes {
        inputs: size("K"),
        outputs: size("N"),
        bits: int("bits").map_or(4, |_| size("bits")),
        block: size("block_size"),
    });
    let operation = Operation {
        packed,
        axis: int("axis").unwrap_or(1),
        block: int("block_size").and_then(|block| block.try_into().ok()).unwrap_or(0),
        transposed: int("transB").unwrap_or(0) != 0,
        operator: node.operator,
        inputs: node.inputs,
        output: node.outputs.into_iter().next().unwrap_or_default(),
    };
    let is_relevant = operation.packed.is_some()
        || matches!(operation.operator.as_str(), "Cast" | "Mul")
        || !operands(&operation).is_empty();
    is_relevant.then_some(operation)
}

/// The quantized operands of the operators of ONNX and of ONNX Runtime.
pub(super) fn operands(operation: &Operation) -> Vec<Operand> {
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
