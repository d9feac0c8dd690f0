//! One node of a graph, reduced to what tells how it reads its inputs: operator, values, attributes, and the module that
//! the exporter made it from.

use super::module;
use super::proto::{Attribute, Node};
use crate::packed::matmul_nbits::Attributes;

/// A node that reads values.
#[derive(Debug, Default)]
pub(super) struct Operation {
    pub(super) operator: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    /// The path of the module that it was made from: `model.layers.0.self_attn.q_proj`.
    pub(super) module: Option<String>,
    pub(super) axis: Option<i64>,
    /// How many codes share a scale; 0 where blocks are not used.
    pub(super) block: u64,
    /// Bits of a code that several share a byte with; 4 where the node does not say it.
    pub(super) bits: u64,
    /// Whether the first and the second operand of a multiplication are transposed.
    pub(super) transposed: [bool; 2],
    /// The order of dimensions that a Transpose makes; empty: all of them reversed.
    pub(super) permutation: Vec<i64>,
    /// The sizes that a node states whose operand is packed codes.
    pub(super) packed: Option<Attributes>,
}

impl Operation {
    /// A node with its attributes.
    pub(super) fn new(node: Node, attributes: &[Attribute]) -> Self {
        let found = |name: &str| attributes.iter().find(|attribute| attribute.name == name);
        let int = |name: &str| found(name).and_then(|attribute| attribute.int);
        let is_set = |name: &str| int(name).unwrap_or(0) != 0;
        // What is negative is no size, which is found out with the weight.
        let size = |name: &str| int(name).map(|size| u64::try_from(size).unwrap_or(0));
        let bits = size("bits").unwrap_or(4);
        let packed = (node.operator == "MatMulNBits").then(|| Attributes {
            inputs: size("K").unwrap_or(0),
            outputs: size("N").unwrap_or(0),
            bits,
            block: size("block_size").unwrap_or(0),
        });
        // Where these are absent, ONNX Runtime takes the last of two dimensions and 128.
        let is_gather = node.operator == "GatherBlockQuantized";
        let axis = if is_gather { Some(int("quantize_axis").unwrap_or(1)) } else { int("axis") };
        let block = size("block_size").unwrap_or(if is_gather { 128 } else { 0 });
        Self {
            module: module::of_node(&node),
            axis,
            block,
            bits,
            transposed: [is_set("transA"), is_set("transB")],
            permutation: found("perm").map(|attribute| attribute.ints.clone()).unwrap_or_default(),
            packed,
            operator: node.operator,
            inputs: node.inputs,
            outputs: node.outputs,
        }
    }

    /// The value that is read at a position; `None` where there is none.
    pub(super) fn input(&self, position: usize) -> Option<&str> {
        self.inputs.get(position).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The first value that it makes.
    pub(super) fn output(&self) -> &str {
        self.outputs.first().map_or("", String::as_str)
    }
}
