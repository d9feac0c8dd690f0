//! Quantized weights of a checkpoint whose files are all listed: their codes become tensors of computed elements, and what
//! goes with the codes is set apart. How schemes are recognized and dequantized is `packed`'s.

mod elements;

use std::collections::HashSet;
use std::error::Error;
use std::ops::Range;
use std::sync::Arc;

use kurtoscope_shared::Element;

use super::order::natural;
use super::{Checkpoint, StoredTensor};
use crate::format::{ComponentEntry, TensorData};
use crate::model::{Family, identify};
use crate::packed::{Component, Configuration, Listed, PackedFault, PackedTensor, PackedWeight, StoredType, recognize};
use crate::source::MappedFile;
use crate::unmeasured::Unmeasured;
use elements::{LastMembers, PackedElements, component_bytes};

/// A tensor that describes quantized weights and is none itself: scales, zero points, group numbers, shapes.
#[derive(Debug, Clone)]
pub struct QuantizationTensor {
    /// The checkpoint's name for it.
    pub name: String,
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<u64>,
    /// The type of its elements, as reports name it.
    pub dtype: String,
    pub(super) file: usize,
    /// The bytes of the file that hold it.
    pub(super) range: Range<usize>,
}

/// A tensor of a file before it is known whether it is part of a quantized weight.
struct Candidate {
    name: String,
    shape: Vec<u64>,
    dtype: String,
    stored: StoredType,
    file: usize,
    data: TensorData,
    /// How it is listed if it is none.
    otherwise: Otherwise,
}

enum Otherwise {
    Measured(Element),
    Unmeasured(String),
}

/// What becomes of a candidate.
#[derive(Clone)]
enum Fate {
    /// As if there were no quantization.
    Unchanged,
    /// Codes of the weight with this number.
    Codes(usize),
    /// It describes a weight.
    Description,
    /// Integers that nothing explains.
    Unexplained(String),
}

/// Replaces the tensors of quantized weights by these weights; `components` are those that mean nothing on their own, with
/// the number of their file.
///
/// What is wrong with a weight costs that weight: it is listed as not measured.
pub(super) fn resolve(checkpoint: &mut Checkpoint, components: Vec<(usize, ComponentEntry)>) {
    let candidates = candidates(std::mem::take(&mut checkpoint.tensors), components);
    let list: Vec<Listed> = candidates
        .iter()
        .map(|candidate| Listed { name: &candidate.name, stored: candidate.stored.clone(), shape: &candidate.shape })
        .collect();
    let configuration = checkpoint.config.as_ref().map(Configuration::new).unwrap_or_default();
    let recognition = recognize(&list, &configuration);
    drop(list);

    let is_quantized =
        configuration.is_stated() || !recognition.weights.is_empty() || !recognition.quantization.is_empty();
    let mut fates = vec![Fate::Unchanged; candidates.len()];
    for unexplained in recognition.unexplained {
        fates[unexplained.tensor] = Fate::Unexplained(unexplained.reason);
    }
    for at in recognition.quantization {
        fates[at] = Fate::Description;
    }
    for (number, weight) in recognition.weights.iter().enumerate() {
        fates[weight.members[0].1] = Fate::Codes(number);
    }
    let last_members = Arc::new(LastMembers::default());
    let opened: Vec<_> = recognition
        .weights
        .iter()
        .enumerate()
        .map(|(number, weight)| open(weight, number, &candidates, &checkpoint.files, &last_members))
        .collect();

    let mut opened = opened.into_iter().map(Some).collect::<Vec<_>>();
    let mut names: HashSet<String> = candidates.iter().map(|candidate| candidate.name.clone()).collect();
    for (candidate, fate) in candidates.into_iter().zip(fates) {
        match fate {
            Fate::Unchanged => keep(checkpoint, candidate, false),
            Fate::Description => {
                let Candidate { name, shape, dtype, file, data, .. } = candidate;
                let range = data.range();
                checkpoint.quantization.push(QuantizationTensor { name, shape, dtype, file, range });
            }
            Fate::Unexplained(reason) if is_quantized && !is_buffer(&candidate) => {
                let Candidate { name, shape, dtype, .. } = candidate;
                checkpoint.unmeasured.push(Unmeasured { name, shape, dtype, reason });
            }
            Fate::Unexplained(_) => keep(checkpoint, candidate, true),
            Fate::Codes(number) => {
                let Some(tensor) = opened.get_mut(number).and_then(Option::take) else { continue };
                let name = &recognition.weights[number].name;
                // Where another tensor has the weight's name, the weight keeps that of its codes.
                let is_free = *name == candidate.name || names.insert(name.clone());
                let name = if is_free { name.clone() } else { candidate.name.clone() };
                add_weight(checkpoint, candidate, name, tensor);
            }
        }
    }
}

/// All tensors that may be part of a quantized weight, in the checkpoint's order.
fn candidates(tensors: Vec<StoredTensor>, components: Vec<(usize, ComponentEntry)>) -> Vec<Candidate> {
    let tensors = tensors.into_iter().map(|tensor| Candidate {
        name: tensor.name,
        shape: tensor.shape,
        dtype: tensor.stored,
        stored: StoredType::Element(tensor.element),
        file: tensor.file,
        data: tensor.data,
        otherwise: Otherwise::Measured(tensor.element),
    });
    let components = components.into_iter().map(|(file, entry)| Candidate {
        name: entry.otherwise.name,
        shape: entry.otherwise.shape,
        dtype: entry.otherwise.dtype,
        stored: entry.stored,
        file,
        data: TensorData::Mapped(entry.range),
        otherwise: Otherwise::Unmeasured(entry.otherwise.reason),
    });
    let mut candidates: Vec<_> = tensors.chain(components).collect();
    candidates.sort_by(|a, b| natural(&a.name, &b.name));
    candidates
}

/// Opens a weight and looks at all of its scales, so that one that is not finite is known before anything is measured.
fn open(
    weight: &PackedWeight,
    number: usize,
    candidates: &[Candidate],
    files: &[MappedFile],
    last_members: &Arc<LastMembers>,
) -> Result<PackedTensor, PackedFault> {
    let codes = weight.members[0].1;
    let tensor = weight.open(|at| {
        let candidate = &candidates[at];
        let count = candidate.shape.iter().fold(1, |count: u64, &length| count.saturating_mul(length));
        let kept = (at != codes).then(|| (Arc::clone(last_members), number, at));
        Component {
            name: candidate.name.clone(),
            stored: candidate.stored.clone(),
            shape: candidate.shape.clone(),
            bytes: component_bytes(files.get(candidate.file), &candidate.stored, &candidate.data, count, kept),
        }
    })?;
    tensor.verify()?;
    Ok(tensor)
}

/// Lists a candidate as its file has it.
fn keep(checkpoint: &mut Checkpoint, candidate: Candidate, is_integer_code: bool) {
    let Candidate { name, shape, dtype, file, data, .. } = candidate;
    match candidate.otherwise {
        Otherwise::Measured(element) => checkpoint.tensors.push(StoredTensor {
            name,
            shape,
            element,
            stored: dtype,
            quantization: None,
            is_integer_code,
            file,
            data,
        }),
        Otherwise::Unmeasured(reason) => checkpoint.unmeasured.push(Unmeasured { name, shape, dtype, reason }),
    }
}

/// Lists a quantized weight in the place of its codes.
fn add_weight(checkpoint: &mut Checkpoint, codes: Candidate, name: String, opened: Result<PackedTensor, PackedFault>) {
    match opened {
        Ok(tensor) => {
            let quantization = tensor.stored();
            let from = codes.data.range();
            checkpoint.tensors.push(StoredTensor {
                name,
                shape: tensor.shape().to_vec(),
                element: Element::F32,
                stored: format!("{} {} bits", quantization.scheme, quantization.bits),
                quantization: Some(quantization),
                is_integer_code: false,
                file: codes.file,
                data: TensorData::Computed { elements: Arc::new(PackedElements(tensor)), from },
            });
        }
        Err(fault) => {
            let Candidate { shape, dtype, .. } = codes;
            checkpoint.unmeasured.push(Unmeasured { name, shape, dtype, reason: message(&fault) });
        }
    }
}

/// A fault with its causes, in one sentence.
fn message(fault: &PackedFault) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Constants of integers by their names, that no family names otherwise.
const INTEGER_BUFFERS: [&str; 4] = ["relative_position_index", "token_type_ids", "mask", "tid2eid"];

/// Whether a tensor's name says that it is no weight.
fn is_buffer(candidate: &Candidate) -> bool {
    let last = candidate.name.rsplit('.').next().unwrap_or_default();
    identify(Family::Unknown, &candidate.name, &candidate.shape).buffer
        || INTEGER_BUFFERS.contains(&last)
        || last.ends_with("_mask")
}
