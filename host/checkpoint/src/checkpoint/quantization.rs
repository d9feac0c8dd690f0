//! Quantized weights of a checkpoint whose files are all listed: their codes become tensors of computed elements, and what
//! goes with the codes is set apart. How schemes are recognized and dequantized is `packed`'s.

mod block_scales;
mod elements;

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::Arc;

use kurtoscope_shared::Element;
use serde_json::Value;

use super::order::natural;
use super::{Checkpoint, StoredTensor, is_integer};
use crate::format::{ComponentEntry, GraphUse, PackedNode, TensorData, without_derivation};
use crate::model::is_named_as_buffer;
use crate::packed::matmul_nbits::{self, Attributes};
use crate::packed::{
    Component, Configuration, Listed, Members, PackedFault, PackedTensor, PackedWeight, Recognition, Role, Stored,
    StoredType, recognize,
};
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
    pub(super) data: TensorData,
}

/// What files hold that only quantized weights give a meaning.
#[derive(Debug, Default)]
pub(super) struct Unresolved {
    /// Tensors of types that mean nothing on their own, with the number of their file.
    pub(super) components: Vec<(usize, ComponentEntry)>,
    /// Nodes that describe weights.
    pub(super) nodes: Vec<PackedNode>,
}

/// A quantized weight, by what says that it is one.
enum Weight {
    /// Names, shapes and types.
    Recognized(PackedWeight),
    /// A node.
    Node { name: String, members: Vec<(Role, usize)>, attributes: Attributes },
}

impl Weight {
    fn name(&self) -> &str {
        match self {
            Self::Recognized(PackedWeight { name, .. }) | Self::Node { name, .. } => name,
        }
    }

    /// Its tensors, by their positions among the candidates; the codes come first.
    fn members(&self) -> &[(Role, usize)] {
        match self {
            Self::Recognized(PackedWeight { members, .. }) | Self::Node { members, .. } => members,
        }
    }

    fn open(&self, mut component: impl FnMut(usize) -> Component) -> Result<PackedTensor, PackedFault> {
        match self {
            Self::Recognized(weight) => weight.open(component),
            Self::Node { name, members, attributes } => {
                let members = members.iter().map(|&(role, at)| (role, component(at))).collect();
                matmul_nbits::open(&Members::new(name.clone(), members), *attributes)
            }
        }
    }
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
    Measured { element: Element, quantization: Option<Stored>, graph: GraphUse },
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

/// Replaces the tensors of quantized weights by these weights.
///
/// `modelopt` is the content of ModelOpt's own file, which counts where config.json says nothing about quantization. What is
/// wrong with a weight costs that weight: it is listed as not measured.
pub(super) fn resolve(checkpoint: &mut Checkpoint, unresolved: Unresolved, modelopt: Option<&Value>) {
    if checkpoint.format == "gguf" {
        block_scales::apply(checkpoint);
    }
    let has_names = matches!(checkpoint.format, "safetensors" | "pytorch");
    if !has_names && unresolved.nodes.is_empty() {
        return;
    }
    let candidates = candidates(std::mem::take(&mut checkpoint.tensors), unresolved.components);
    let list: Vec<Listed> = candidates
        .iter()
        .map(|candidate| Listed { name: &candidate.name, stored: candidate.stored.clone(), shape: &candidate.shape })
        .collect();
    let configuration = checkpoint.config.as_ref().map(Configuration::new).filter(Configuration::is_stated);
    let configuration = configuration.or_else(|| modelopt.map(Configuration::of_modelopt)).unwrap_or_default();
    let mut recognition = if has_names { recognize(&list, &configuration) } else { Recognition::default() };
    drop(list);
    let mut weights: Vec<_> = recognition.weights.drain(..).map(Weight::Recognized).collect();
    let places: HashMap<&str, usize> =
        candidates.iter().enumerate().map(|(at, candidate)| (candidate.name.as_str(), at)).collect();
    weights.extend(unresolved.nodes.into_iter().filter_map(|node| weight_of_node(node, &places)));
    drop(places);

    let is_quantized = configuration.is_stated() || !weights.is_empty() || !recognition.quantization.is_empty();
    let mut fates = vec![Fate::Unchanged; candidates.len()];
    for unexplained in recognition.unexplained {
        fates[unexplained.tensor] = Fate::Unexplained(unexplained.reason);
    }
    for at in recognition.quantization {
        fates[at] = Fate::Description;
    }
    for &(_, member) in weights.iter().flat_map(|weight| weight.members().iter().skip(1)) {
        fates[member] = Fate::Description;
    }
    for (number, weight) in weights.iter().enumerate() {
        if let Some(&(_, codes)) = weight.members().first() {
            fates[codes] = Fate::Codes(number);
        }
    }
    let last_members = Arc::new(LastMembers::default());
    let opened: Vec<_> = weights
        .iter()
        .enumerate()
        .map(|(number, weight)| open(weight, number, &candidates, &checkpoint.files, &last_members))
        .collect();

    let mut opened = opened.into_iter().map(Some).collect::<Vec<_>>();
    let mut names: HashSet<String> = candidates.iter().map(|candidate| candidate.name.clone()).collect();
    for (candidate, fate) in candidates.into_iter().zip(fates) {
        match fate {
            Fate::Unchanged => keep(checkpoint, candidate),
            Fate::Description => {
                let Candidate { name, shape, dtype, file, data, .. } = candidate;
                checkpoint.quantization.push(QuantizationTensor { name, shape, dtype, file, data });
            }
            Fate::Unexplained(reason) if is_quantized && !is_buffer(&candidate) => {
                let Candidate { name, shape, dtype, .. } = candidate;
                checkpoint.unmeasured.push(Unmeasured { name, shape, dtype, reason });
            }
            Fate::Unexplained(_) => keep(checkpoint, candidate),
            Fate::Codes(number) => {
                let Some(tensor) = opened.get_mut(number).and_then(Option::take) else { continue };
                let name = weights[number].name();
                // Where another tensor has the weight's name, the weight keeps that of its codes.
                let is_free = name == candidate.name || names.insert(name.to_owned());
                let name = if is_free { name.to_owned() } else { candidate.name.clone() };
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
        otherwise: Otherwise::Measured {
            element: tensor.element,
            quantization: tensor.quantization,
            graph: tensor.graph,
        },
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

/// A node's weight; `None` where its codes are no tensor that can be measured.
fn weight_of_node(node: PackedNode, places: &HashMap<&str, usize>) -> Option<Weight> {
    let (_, codes) = node.members.first()?;
    places.get(codes.as_str())?;
    let name = without_derivation(codes).to_owned();
    let members = node.members.iter().filter_map(|(role, name)| Some((*role, *places.get(name.as_str())?))).collect();
    Some(Weight::Node { name, members, attributes: node.attributes })
}

/// Opens a weight and looks at all of its scales, so that one that is not finite is known before anything is measured.
fn open(
    weight: &Weight,
    number: usize,
    candidates: &[Candidate],
    files: &[MappedFile],
    last_members: &Arc<LastMembers>,
) -> Result<PackedTensor, PackedFault> {
    let codes = weight.members().first().map(|&(_, at)| at);
    let tensor = weight.open(|at| {
        let candidate = &candidates[at];
        let count = candidate.shape.iter().fold(1, |count: u64, &length| count.saturating_mul(length));
        let kept = (Some(at) != codes).then(|| (Arc::clone(last_members), number, at));
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
fn keep(checkpoint: &mut Checkpoint, candidate: Candidate) {
    let Candidate { name, shape, dtype, file, data, .. } = candidate;
    match candidate.otherwise {
        Otherwise::Measured { element, quantization, graph } => checkpoint.tensors.push(StoredTensor {
            name,
            shape,
            element,
            stored: dtype,
            quantization,
            is_integer_code: is_integer(element),
            graph,
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
            let graph = match codes.otherwise {
                Otherwise::Measured { graph, .. } => {
                    GraphUse { path: graph.path.filter(|path| *path != name), ..graph }
                }
                Otherwise::Unmeasured(_) => GraphUse::default(),
            };
            checkpoint.tensors.push(StoredTensor {
                name,
                shape: tensor.shape().to_vec(),
                element: Element::F32,
                stored: format!("{} {} bits", quantization.scheme, quantization.bits),
                quantization: Some(quantization),
                is_integer_code: false,
                graph,
                file: codes.file,
                data: TensorData::Computed { elements: Arc::new(PackedElements { tensor, codes: codes.data }), from },
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
    is_named_as_buffer(&candidate.name, &candidate.shape) || INTEGER_BUFFERS.contains(&last) || last.ends_with("_mask")
}
