//! Second scales of GGUF's blocks: `NAME.scale` beside `NAME.weight`, one number, or one for each of a stack of experts, which
//! multiplies the weights. llama.cpp multiplies the product of a matrix with it (`src/llama-model.cpp`, "load optional
//! per-tensor/per-expert .scale tensors").

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kurtoscope_shared::Element;

use super::QuantizationTensor;
use crate::checkpoint::{Checkpoint, StoredTensor};
use crate::format::{ElementSource, TensorData};
use crate::packed::Shape;
use crate::source::MappedFile;
use crate::unmeasured::Unmeasured;

/// Types whose files keep a scale of the whole matrix apart. Other types have scales enough of their own; what is called
/// `scale` beside them is a parameter of the model.
const TYPES: [&str; 3] = ["nvfp4", "tq1_0", "tq2_0"];

/// The scale of the weights, and that of the numbers that they are multiplied with.
const SCALE: &str = ".scale";
const OTHERS: [&str; 2] = [SCALE, ".input_scale"];

/// More experts than any model has.
const LIMIT: u64 = 1 << 20;

/// Multiplies the blocks of a GGUF checkpoint with their scales, and sets the scales apart. What is wrong with a scale costs
/// its weight.
pub(super) fn apply(checkpoint: &mut Checkpoint) {
    let places: HashMap<String, usize> =
        checkpoint.tensors.iter().enumerate().map(|(at, tensor)| (tensor.name.clone(), at)).collect();
    let mut taken = vec![false; checkpoint.tensors.len()];
    let mut scaled = Vec::new();
    for (at, tensor) in checkpoint.tensors.iter().enumerate() {
        let Some(stem) = tensor.name.strip_suffix(".weight").filter(|_| TYPES.contains(&tensor.stored.as_str())) else {
            continue;
        };
        let place = |end: &str| places.get(&format!("{stem}{end}")).copied();
        for other in OTHERS.into_iter().filter_map(place) {
            taken[other] = true;
        }
        if let Some(scale) = place(SCALE).and_then(|other| checkpoint.tensors.get(other)) {
            scaled.push((at, factors(checkpoint, tensor, scale)));
        }
    }
    let mut tensors: Vec<_> = std::mem::take(&mut checkpoint.tensors).into_iter().map(Some).collect();
    for (at, factors) in scaled {
        let Some(tensor) = tensors.get_mut(at) else { continue };
        match factors {
            Ok(factors) => tensor.iter_mut().for_each(|tensor| multiply(tensor, &factors)),
            Err(reason) => checkpoint.unmeasured.extend(tensor.take().map(|tensor| unmeasured(tensor, &reason))),
        }
    }
    for (tensor, taken) in tensors.into_iter().zip(taken).filter_map(|(tensor, taken)| Some((tensor?, taken))) {
        if taken {
            let StoredTensor { name, shape, stored, file, data, .. } = tensor;
            checkpoint.quantization.push(QuantizationTensor { name, shape, dtype: stored, file, data });
        } else {
            checkpoint.tensors.push(tensor);
        }
    }
}

/// The numbers that a weight is multiplied with: one, or one for each matrix of its stack.
fn factors(checkpoint: &Checkpoint, weight: &StoredTensor, scale: &StoredTensor) -> Result<Vec<f32>, String> {
    let stack = if weight.shape.len() > 2 { weight.shape[0] } else { 1 };
    let count = scale.elements();
    if scale.element != Element::F32 || count > LIMIT || count != 1 && count != stack {
        let shape = Shape(scale.shape.clone());
        let StoredTensor { name, stored, .. } = scale;
        return Err(format!("{name} is {stored} {shape}, 1 or {stack} numbers of f32 are needed"));
    }
    let bytes = checkpoint.read(scale, 0..count).map_err(|error| error.to_string())?;
    let factors: Vec<f32> = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    match factors.iter().position(|factor| !factor.is_finite()) {
        Some(at) => Err(format!("{}[{at}] is {}", scale.name, factors[at])),
        None => Ok(factors),
    }
}

/// Makes a tensor's elements products with these factors.
fn multiply(tensor: &mut StoredTensor, factors: &[f32]) {
    let (elements, from) = match &tensor.data {
        TensorData::Computed { elements, from } => (Arc::clone(elements), from.clone()),
        TensorData::Mapped(_) => return,
    };
    let each = tensor.elements() / factors.len().max(1) as u64;
    let scaled = Scaled { elements, factors: factors.to_vec(), each };
    tensor.data = TensorData::Computed { elements: Arc::new(scaled), from };
}

fn unmeasured(tensor: StoredTensor, reason: &str) -> Unmeasured {
    let reason = format!("packed codes of {}: {reason}", tensor.name);
    Unmeasured { name: tensor.name, shape: tensor.shape, dtype: tensor.stored, reason }
}

/// 32-bit elements with factors for parts of the same length.
#[derive(Debug)]
struct Scaled {
    elements: Arc<dyn ElementSource>,
    factors: Vec<f32>,
    /// Elements that share a factor.
    each: u64,
}

impl ElementSource for Scaled {
    fn read(&self, range: Range<u64>) -> Result<Bytes, String> {
        let mut bytes = BytesMut::from(self.elements.read(range.clone())?);
        for (value, position) in bytes.as_chunks_mut().0.iter_mut().zip(range) {
            let part = position.checked_div(self.each).unwrap_or(0) as usize;
            let factor = self.factors.get(part).copied().unwrap_or(1.0);
            *value = (f32::from_le_bytes(*value) * factor).to_le_bytes();
        }
        Ok(bytes.freeze())
    }

    fn elsewhere(&self) -> Option<(&MappedFile, Range<usize>)> {
        self.elements.elsewhere()
    }
}
