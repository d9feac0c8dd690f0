//! Reads ONNX models: the weights in their graphs, subgraphs and functions, and in the files beside them.

mod dequantize;
mod external;
mod fault;
mod proto;
mod quantized;
mod sniff;
mod stored;
mod tensor;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use super::contents::{Contents, Entry};
use super::error::CheckpointError;
use super::slot::Slot;
use crate::Unmeasured;
use crate::source::MappedFile;
pub use fault::OnnxFault;
pub(super) use sniff::is_model;

use dequantize::Dequantized;
use quantized::Meaning;
use walk::Walk;

/// Reads all weights of a model.
///
/// Integers are measured as the values that they stand for where the graph gives their scale as a constant, and as they
/// are otherwise.
pub(super) fn read(file: &MappedFile) -> Result<Contents, CheckpointError> {
    let bytes = file.share(0..file.bytes().len()).unwrap_or_default();
    contents(file, bytes)
        .map_err(|fault| CheckpointError::Onnx { path: file.path().to_owned(), fault: Box::new(fault) })
}

fn contents(file: &MappedFile, bytes: Bytes) -> Result<Contents, OnnxFault> {
    let model = proto::Model::decode(bytes).map_err(|error| OnnxFault::Wire {
        what: "the model".to_owned(),
        offset: 0,
        detail: error.to_string(),
    })?;
    let mut walk = Walk::new(file);
    walk.model(model)?;
    let Walk { tensors, graphs, .. } = walk;
    let meanings = quantized::meanings(&graphs, &tensors);
    let slot = Arc::new(Slot::default());
    let mut contents = Contents::default();
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
        let plain = |suffix: &str| Entry {
            name: name.clone(),
            shape: shape.clone(),
            element: stored.element,
            stored: format!("{}{suffix}", stored.element),
            data: stored.data(file),
        };
        contents.tensors.push(match meanings.get(&index) {
            None => plain(""),
            Some(Meaning::Codes) => plain(" codes"),
            Some(Meaning::Values(quantization)) => {
                match Dequantized::new(index, &tensors, quantization, Arc::clone(&slot)) {
                    None => plain(" codes"),
                    Some(dequantized) => dequantized.entry(name, shape, file),
                }
            }
        });
    }
    Ok(contents)
}
