//! ONNX: the weights in a model's graphs, subgraphs and functions, and in the files of external data beside it.

mod codes;
mod dequantize;
mod external;
mod fault;
mod inputs;
mod module;
mod operation;
mod proto;
mod quantized;
mod recognise;
mod scope;
mod storage;
mod tensor;
#[cfg(test)]
mod tests;
mod uses;
mod views;
mod walk;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prost::Message;

use super::{Format, FormatError};
use crate::format::Shape;
use crate::format::cache::LastValue;
use crate::format::tensor::{FileContents, TensorEntry};
use crate::source::MappedFile;
use crate::unmeasured::Unmeasured;
use fault::OnnxFault;

use dequantize::{Dequantized, Parameters};
use quantized::Quantizations;
use tensor::GraphTensor;
use uses::{Reading, graph_use, is_tensor};
use views::Views;
use walk::{Constant, Walk};

pub(crate) use module::without_derivation;

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
/// Integers are measured as the values that they encode where the graph gives their scale as a constant. Where it does
/// not, they are not measured if a node computes with them, and are no tensors of the model if one reads them as a shape or
/// an index.
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
    let views = Views::new(&graphs, &tensors);
    let quantizations = quantized::quantizations(&views);
    let nodes = quantized::packed_nodes(&views);
    let members = nodes.iter().flat_map(|node| &node.members).map(|(_, name)| name.clone()).collect();
    let listing = Listing {
        file,
        tensors: &tensors,
        readings: uses::readings(&views),
        quantizations,
        members,
        cache: Arc::new(LastValue::default()),
    };
    let mut contents = FileContents { nodes, ..FileContents::default() };
    for (index, constant) in tensors.iter().enumerate() {
        listing.add(index, constant, &mut contents);
    }
    Ok(contents)
}

/// What is known of a model when its tensors are listed.
struct Listing<'a> {
    file: &'a MappedFile,
    tensors: &'a [Constant],
    readings: HashMap<usize, Reading<'a>>,
    quantizations: Quantizations,
    /// Names of the tensors that nodes read as parts of a packed weight.
    members: HashSet<String>,
    cache: Arc<LastValue<Arc<Parameters>>>,
}

impl Listing<'_> {
    /// Lists one constant as what it is.
    fn add(&self, index: usize, constant: &Constant, contents: &mut FileContents) {
        let GraphTensor { name, shape, dtype, stored, small } = &constant.tensor;
        let reading = self.readings.get(&index);
        let unmeasured = |reason| Unmeasured { name: name.clone(), shape: shape.clone(), dtype: dtype.clone(), reason };
        if let Some(quantization) = self.quantizations.values.get(&index) {
            match Dequantized::new(index, self.tensors, quantization, Arc::clone(&self.cache)) {
                Ok(dequantized) => {
                    let usage = graph_use(constant, reading);
                    contents.graph.insert(name.clone(), (usage, Some(dequantized.stored())));
                    contents.tensors.push(dequantized.entry(name.clone(), shape.clone(), self.file));
                }
                Err(reason) => contents.unmeasured.push(unmeasured(reason)),
            }
            return;
        }
        let is_description = self.quantizations.descriptions.contains(&index);
        let is_member = self.members.contains(name);
        if !is_description && !is_member && !is_tensor(constant, reading) {
            if let Some(reason) = self.unexplained(index, constant, reading) {
                contents.unmeasured.push(unmeasured(reason));
            }
            return;
        }
        let (storage, stored) = match (stored, small) {
            (Ok(storage), _) => (storage, storage.element.to_string()),
            (Err(_), Some(small)) if is_description => (&small.bytes, dtype.to_ascii_lowercase()),
            (Err(reason), _) => return contents.unmeasured.push(unmeasured((*reason).to_owned())),
        };
        let data = storage.data(self.file);
        let entry = TensorEntry { name: name.clone(), shape: shape.clone(), element: storage.element, stored, data };
        if is_description && !is_member {
            contents.descriptions.push(entry);
        } else {
            contents.graph.insert(name.clone(), (graph_use(constant, reading), None));
            contents.tensors.push(entry);
        }
    }

    /// Why integers that a node computes with are not measured; `None` for constants that are no weights.
    fn unexplained(&self, index: usize, constant: &Constant, reading: Option<&Reading<'_>>) -> Option<String> {
        let GraphTensor { name, shape, dtype, .. } = &constant.tensor;
        let weight = reading.filter(|reading| reading.may_be_weight());
        // Tables of indices are looked up as embeddings are.
        let is_wide = matches!(dtype.as_str(), "INT64" | "UINT64" | "BOOL")
            || reading.is_some_and(Reading::is_lookup) && dtype == "INT32";
        let is_matrix = shape.iter().filter(|&&length| length > 1).count() > 1 && !is_wide;
        let operator = match self.quantizations.unknown.get(&index) {
            Some(operator) => operator,
            None => weight.filter(|_| is_matrix).map(|reading| &reading.operation.operator)?,
        };
        let shape = Shape(shape.clone());
        Some(format!("packed codes of {name}: no constant scale explains {dtype} {shape}, which {operator} reads"))
    }
}
