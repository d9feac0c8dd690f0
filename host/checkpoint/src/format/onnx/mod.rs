//! ONNX: the weights in a model's graphs, subgraphs and functions, and in the files of external data beside it.

mod dequantize;
mod external;
mod fault;
mod operation;
mod proto;
mod quantized;
mod recognise;
mod scope;
mod storage;
mod tensor;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::Arc;

use prost::Message;

use super::{Format, FormatError};
use crate::format::cache::LastValue;
use crate::format::tensor::{FileContents, TensorEntry};
use crate::source::MappedFile;
use crate::unmeasured::Unmeasured;
use fault::OnnxFault;

use dequantize::Dequantized;
use quantized::Interpretation;
use walk::Walk;

/// The format of one model, with or without external data.
pub(super) struct Onnx;

impl Format for Onnx {
    fn name(&self) -> &'static str {
        "onnx"
    }

    fn recognises(&self, file: &[u8]) -> bool {
        recognise::is_model(file)
    }

    fn open(&self, file: &MappedFile) -> Result<FileContents, FormatError> {
        Ok(read(file)?)
    }
}

/// Reads all weights of a model.
///
/// Integers are measured as the values that they encode where the graph gives their scale as a constant, and unchanged
/// otherwise.
fn read(file: &MappedFile) -> Result<FileContents, OnnxFault> {
    let bytes = file.share(0..file.bytes().len()).unwrap_or_default();
    let model = proto::Model::decode(bytes).map_err(|error| OnnxFault::Wire {
        what: "the model".to_owned(),
        offset: 0,
        detail: error.to_string(),
    })?;
    let mut walk = Walk::new(file);
    walk.model(model)?;
    let Walk { tensors, graphs, .. } = walk;
    let interpretations = quantized::interpretations(&graphs, &tensors);
    let cache = Arc::new(LastValue::default());
    let nodes = quantized::packed_nodes(&graphs, &tensors);
    let mut contents = FileContents { nodes, ..FileContents::default() };
    for (index, found) in tensors.iter().enumerate() {
        let stored = match &found.stored {
            Ok(stored) => stored,
            Err(reason) => {
                let (name, shape, dtype) = (found.name.clone(), found.shape.clone(), found.dtype.clone());
                contents.unmeasured.push(Unmeasured { name, shape, dtype, reason: (*reason).to_owned() });
                continue;
            }
        };
        let (name, shape) = (found.name.clone(), found.shape.clone());
        let plain = |suffix: &str| TensorEntry {
            name: name.clone(),
            shape: shape.clone(),
            element: stored.element,
            stored: format!("{}{suffix}", stored.element),
            data: stored.data(file),
        };
        contents.tensors.push(match interpretations.get(&index) {
            None => plain(""),
            Some(Interpretation::Codes) => plain(" codes"),
            Some(Interpretation::Values(quantization)) => {
                match Dequantized::new(index, &tensors, quantization, Arc::clone(&cache)) {
                    None => plain(" codes"),
                    Some(dequantized) => dequantized.entry(name, shape, file),
                }
            }
        });
    }
    Ok(contents)
}
