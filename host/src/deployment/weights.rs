//! Which tensors of a run a tool would quantize, and along which axis their output channels run.

use crate::record::{Role, Run, Tensor};
use kurtoscope_checkpoint::model::{Component, Family, output_axis};

/// What a family of tools quantizes of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuantizedTensors {
    /// `llama-quantize`: every matrix, embeddings and head included; positions, token types and norms stay.
    AllMatrices,
    /// Tools that replace linear layers (torchao, ExecuTorch, ONNX Runtime's weight-only quantizer): projections and a head
    /// of its own; embeddings stay, and with them a head that shares their weights.
    LinearLayers,
}

/// A stored matrix that can be quantized.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// Its record.
    pub tensor: &'a Tensor,
    /// Elements that feed one output channel: the length that blocks divide.
    pub inputs: u64,
    /// Whether a stored row is an input channel, as in GPT-2's `[in, out]`: then measurements along rows are not along
    /// output channels.
    pub is_transposed: bool,
}

/// A run's stored tensors, sorted by what becomes of them.
#[derive(Debug)]
pub struct Sorted<'a> {
    /// What is quantized, in the checkpoint's order.
    pub matrices: Vec<Matrix<'a>>,
    /// What stays as it is: vectors, embeddings where the tools leave them, positions.
    pub others: Vec<&'a Tensor>,
}

/// Sorts the stored parameters of a run. Parts of fused tensors are not listed here: tools quantize what is
/// stored. Tied tensors and buffers are no weights of their own.
pub fn sort(run: &Run, quantizes: QuantizedTensors) -> Sorted<'_> {
    let mut sorted = Sorted { matrices: Vec::new(), others: Vec::new() };
    for tensor in run.tensors.iter().filter(|tensor| tensor.role == Role::Parameter) {
        if tensor.is_matrix() && is_quantized(tensor.component, quantizes) && !is_token_types(&tensor.name) {
            sorted.matrices.push(matrix(tensor, run.model.family));
        } else {
            sorted.others.push(tensor);
        }
    }
    sorted
}

/// Whether these are the embeddings of token types: an embedding of two rows, which all tools leave alone.
fn is_token_types(name: &str) -> bool {
    name.contains("token_type")
}

fn is_quantized(component: Component, quantizes: QuantizedTensors) -> bool {
    match component {
        Component::Norm | Component::Scale | Component::Bias | Component::PositionEmbedding => false,
        // Too small, too sensitive, or not of two dimensions: tools leave them. An adapter is no weight.
        Component::Router | Component::Convolution | Component::StateSpace | Component::Adapter => false,
        Component::Embedding => quantizes == QuantizedTensors::AllMatrices,
        _ => true,
    }
}

/// A stored matrix with its axes identified.
pub fn matrix(tensor: &Tensor, family: Family) -> Matrix<'_> {
    let axis = match &tensor.stored {
        _ if tensor.output_axis.is_some() => tensor.output_axis,
        // Quantized weights have their outputs along the rows in every family.
        Some(_) => Some(0),
        None => output_axis(family, tensor.component, &tensor.name),
    };
    let is_transposed = tensor.shape.len() == 2 && axis == Some(1);
    let inputs = if is_transposed { tensor.shape.first() } else { tensor.shape.last() };
    Matrix { tensor, inputs: inputs.copied().unwrap_or(1).max(1), is_transposed }
}

/// Elements of a tensor, whatever their values.
pub fn elements(tensor: &Tensor) -> u64 {
    tensor.count + tensor.non_finite
}

/// `Σx²`; 0 where nothing is known.
pub fn energy(tensor: &Tensor) -> f64 {
    let mean = tensor.mean.unwrap_or(0.0);
    tensor.count as f64 * (tensor.variance.unwrap_or(0.0) + mean * mean)
}

/// Bits of one stored element, where its type is known to have a fixed number. A quantized weight's groups have a scale of 16
/// bits each.
pub fn stored_bits(tensor: &Tensor) -> Option<f64> {
    if let Some(stored) = &tensor.stored {
        return Some(stored.bits as f64 + stored.group.map_or(0.0, |group| 16.0 / group as f64));
    }
    let bits = match tensor.dtype.to_ascii_lowercase().as_str() {
        "f64" | "i64" | "u64" => 64.0,
        "f32" | "i32" | "u32" => 32.0,
        "f16" | "bf16" | "i16" | "u16" => 16.0,
        "f8_e4m3" | "f8_e5m2" | "i8" | "u8" | "bool" => 8.0,
        "q8_0" => 8.5,
        "q6_k" => 6.5625,
        "q5_k" | "q5_0" => 5.5,
        "q5_1" => 6.0,
        "q4_1" => 5.0,
        "q4_k" | "q4_0" | "iq4_nl" => 4.5,
        "q3_k" => 3.4375,
        "mxfp4" => 4.25,
        _ => return None,
    };
    Some(bits)
}
