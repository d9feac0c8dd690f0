//! What will be measured, cut into chunks. A plan depends on the checkpoint and the chunk size alone, so the same
//! checkpoint and size always give the same chunks, and merging their reports in order always gives the same bits.

use std::{collections::HashMap, ops::Range};

use bytes::Bytes;
use kurtoscope_shared::{
    Element, Measurement, Requests,
    statistics::{ChunkSpan, ImplausibleAnswer},
};
use xxhash_rust::xxh3::Xxh3Default;

use super::{
    cutting::{Cut, Cutting},
    failure::ChunkLocation,
    gather::gather,
};
use kurtoscope_checkpoint::{
    Checkpoint, CheckpointError, StoredTensor,
    model::{
        Candidate, Component, Division, Family, Identity, Naming, Part, Parts, Projection, Runs, row_length, tied_pairs,
    },
};

/// The number of a chunk: its index in [`MeasurementPlan::chunks`].
pub type ChunkNumber = usize;

/// One chunk: a range of a target's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedChunk {
    /// Index in [`MeasurementPlan::targets`].
    pub target: usize,
    /// Position of the first element among the target's elements.
    pub offset: u64,
    /// Number of elements; at least 1.
    pub count: u32,
}

/// Something that is measured on its own: a stored tensor, or one part of a fused one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTensor {
    /// Index in [`Checkpoint::tensors`].
    pub tensor: usize,
    /// Which of the tensor's elements, in what order.
    pub runs: Runs,
    /// Type of the elements.
    pub element: Element,
    /// Elements in a row, as chunks say it; 0 where there are no rows.
    pub row: u32,
    /// What is measured besides the moments.
    pub requests: Requests,
    /// Whether its row and column sums are kept for those of the fused tensor that it is a part of.
    pub keeps_sums: bool,
}

/// How a stored tensor will appear in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedTensor {
    /// Index in [`Checkpoint::tensors`].
    pub tensor: usize,
    /// Component, layer, tower, whether it is a buffer.
    pub identity: Identity,
    /// What is measured for it.
    pub source: Source,
}

/// Where a stored tensor's measurement comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// One target: the whole tensor.
    Whole(usize),
    /// One target: the whole tensor, which is several matrices in one, and which elements are whose is not known.
    Mixture(usize),
    /// One target a part; the whole is their merge.
    Parts(MeasuredParts),
    /// The entry with this index holds the same data.
    Tied(usize),
}

/// The parts of a tensor, each with the target that measures it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredParts {
    /// The parts, those of one matrix next to each other.
    pub parts: Vec<(Part, usize)>,
    /// How many parts make up a matrix.
    pub per_matrix: usize,
    /// The shape of each matrix.
    pub matrix: Vec<u64>,
}

/// The most bytes of row and column sums that are kept for fused tensors. A model with thousands of experts has more; its
/// stacks then do without.
const KEPT_SUMS: u64 = 64 << 20;

/// Everything that a run measures.
#[derive(Debug)]
pub struct MeasurementPlan {
    /// The stored tensors, in the checkpoint's order.
    pub entries: Vec<RecordedTensor>,
    /// What is measured.
    pub targets: Vec<PlannedTensor>,
    /// The chunks, target by target, each in order of offset.
    pub chunks: Vec<PlannedChunk>,
    /// Bytes of all chunks.
    pub bytes: u64,
    /// Bytes of the row and column sums that are kept for fused tensors.
    pub kept_sums: u64,
}

/// What is measured as one target.
#[derive(Debug, Clone, Copy)]
struct Sampled {
    runs: Runs,
    row: Option<u64>,
    /// The number of elements by which it is sampled.
    elements: u64,
    keeps_sums: bool,
}

impl MeasurementPlan {
    /// Plans a checkpoint in chunks of up to `chunk_bytes` bytes; no more is measured than is `wanted`.
    pub fn new(checkpoint: &Checkpoint, family: Family, chunk_bytes: usize, wanted: Requests) -> Self {
        let limits = Cutting { chunk_bytes, wanted };
        let mut plan = Self { entries: Vec::new(), targets: Vec::new(), chunks: Vec::new(), bytes: 0, kept_sums: 0 };
        let naming = Naming::of(family, checkpoint.tensors.iter().map(StoredTensor::path));
        let identities: Vec<Identity> = checkpoint.tensors.iter().map(|tensor| identity(&naming, tensor)).collect();
        let tied = tied_entries(checkpoint, &identities);
        for (index, identity) in identities.into_iter().enumerate() {
            let source = match tied.get(&index) {
                Some(embedding) => Source::Tied(*embedding),
                None => plan.measure(checkpoint, family, index, identity.component, limits),
            };
            plan.entries.push(RecordedTensor { tensor: index, identity, source });
        }
        plan
    }

    fn measure(
        &mut self,
        checkpoint: &Checkpoint,
        family: Family,
        index: usize,
        component: Component,
        limits: Cutting,
    ) -> Source {
        let tensor = &checkpoint.tensors[index];
        let projection = Projection {
            family,
            component,
            name: tensor.path(),
            shape: &tensor.shape,
            config: checkpoint.config.as_ref(),
            stated_axis: tensor.graph.output_axis.or_else(|| quantized_axis(tensor)),
        };
        let elements = tensor.elements();
        let whole =
            Sampled { runs: Runs::whole(elements), row: row_length(&tensor.shape), elements, keeps_sums: false };
        match projection.division() {
            Division::Parts(Parts { parts, per_matrix, matrix }) if !tensor.is_integer_code => {
                // All parts are sampled alike, or the sums of their errors would weigh the smaller ones more.
                let elements = parts.iter().map(|part| part.runs.elements()).min().unwrap_or(elements);
                let keeps_sums = self.keeps_sums(&parts);
                let targets = parts.into_iter().map(|part| {
                    let part_of = Sampled { runs: part.runs, row: row_length(&part.shape), elements, keeps_sums };
                    let target = self.target(index, tensor, part_of, limits);
                    (part, target)
                });
                Source::Parts(MeasuredParts { parts: targets.collect(), per_matrix, matrix })
            }
            Division::Unknown if !tensor.is_integer_code => Source::Mixture(self.target(index, tensor, whole, limits)),
            // Integers that nothing explains are no projection, whatever their name is.
            _ => Source::Whole(self.target(index, tensor, whole, limits)),
        }
    }

    /// Whether the sums of these parts can be kept beside those of all parts before them.
    fn keeps_sums(&mut self, parts: &[Part]) -> bool {
        let lines = |part: &Part| {
            let row = row_length(&part.shape).unwrap_or(0);
            4 * part.runs.elements().checked_div(row).unwrap_or(0) + 8 * row
        };
        let all = self.kept_sums + parts.iter().map(lines).sum::<u64>();
        let fits = all <= KEPT_SUMS;
        if fits {
            self.kept_sums = all;
        }
        fits
    }

    fn target(&mut self, index: usize, tensor: &StoredTensor, sampled: Sampled, limits: Cutting) -> usize {
        let Sampled { runs, row, keeps_sums, .. } = sampled;
        let target = self.targets.len();
        let elements = runs.elements();
        let cut = limits.cut(tensor.element, elements, sampled.elements, row);
        let mut offset = 0;
        while offset < elements {
            // A part of a row ends with its row.
            let left_in_row = if cut.row > 0 && u64::from(cut.count) < u64::from(cut.row) {
                u64::from(cut.row) - offset % u64::from(cut.row)
            } else {
                elements - offset
            };
            let count = u32::try_from(left_in_row).unwrap_or(u32::MAX).min(cut.count);
            self.chunks.push(PlannedChunk { target, offset, count });
            offset += u64::from(count);
        }
        self.bytes += elements * tensor.element.size() as u64;
        let Cut { row, requests, .. } = cut;
        self.targets.push(PlannedTensor { tensor: index, runs, element: tensor.element, row, requests, keeps_sums });
        target
    }

    /// A hash of what is measured of which tensor and how it is cut: two plans of the same checkpoint with the same
    /// digest have the same chunks.
    pub fn digest(&self) -> u128 {
        let mut hash = Xxh3Default::new();
        for target in &self.targets {
            // The runs are few numbers, and their debugging form shows all of them.
            hash.update(format!("{target:?}\n").as_bytes());
        }
        for chunk in &self.chunks {
            hash.update(&(chunk.target as u64).to_le_bytes());
            hash.update(&chunk.offset.to_le_bytes());
            hash.update(&chunk.count.to_le_bytes());
        }
        hash.digest128()
    }

    /// The bytes of a chunk: as the checkpoint gives them where its elements are contiguous, gathered otherwise.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`].
    pub fn payload(&self, checkpoint: &Checkpoint, chunk: &PlannedChunk) -> Result<Bytes, CheckpointError> {
        let target = &self.targets[chunk.target];
        let tensor = &checkpoint.tensors[target.tensor];
        let range = chunk.offset..chunk.offset + u64::from(chunk.count);
        gather(&target.runs, range, target.element.size(), |range| checkpoint.read(tensor, range))
    }

    /// Bytes of a chunk's payload.
    pub fn payload_len(&self, chunk: &PlannedChunk) -> usize {
        chunk.count as usize * self.targets[chunk.target].element.size()
    }

    /// Where a chunk is, for messages.
    pub fn location(&self, checkpoint: &Checkpoint, chunk: ChunkNumber) -> ChunkLocation {
        let planned = &self.chunks[chunk];
        let tensor = checkpoint.tensors[self.targets[planned.target].tensor].name.clone();
        ChunkLocation { tensor, offset: planned.offset, count: planned.count, bytes: self.payload_len(planned) }
    }

    /// The position of a chunk in its target.
    pub fn span(&self, chunk: &PlannedChunk) -> ChunkSpan {
        let row = self.targets[chunk.target].row.into();
        ChunkSpan { offset: chunk.offset, count: chunk.count.into(), row }
    }

    /// Whether a measurement can be one of this chunk, by a device that states this relative accuracy, and holds all that was
    /// asked for.
    ///
    /// # Errors
    /// What is impossible about it.
    pub fn check(
        &self,
        chunk: &PlannedChunk,
        measurement: &Measurement,
        accuracy: f64,
    ) -> Result<(), ImplausibleAnswer> {
        measurement.check(&self.targets[chunk.target].requests, &self.span(chunk), accuracy)
    }
}

/// What a tensor is, from its path in the model and from the nodes that read it.
fn identity(naming: &Naming, tensor: &StoredTensor) -> Identity {
    let found = naming.identify(tensor.path(), &tensor.shape);
    let Identity { component, buffer, .. } = found;
    let is_embedding = component == Component::Other && tensor.graph.is_lookup && tensor.shape.len() == 2;
    let component = if is_embedding { Component::Embedding } else { component };
    Identity { component, buffer: buffer || tensor.graph.is_constant, ..found }
}

/// The axis of outputs in a quantized weight: its rows, whatever its family's own order is.
fn quantized_axis(tensor: &StoredTensor) -> Option<usize> {
    tensor.quantization.and(tensor.shape.len().checked_sub(2))
}

/// The output heads and embeddings that hold another embedding's data, each with that embedding, as indices of the checkpoint's tensors.
fn tied_entries(checkpoint: &Checkpoint, identities: &[Identity]) -> HashMap<usize, usize> {
    let tensors = checkpoint.tensors.iter().zip(identities).enumerate();
    let candidates = tensors.map(|(index, (tensor, identity))| Candidate {
        index,
        component: identity.component,
        shape: &tensor.shape,
        element: tensor.element,
    });
    tied_pairs(candidates, |a, b| same_elements(checkpoint, a, b))
        .into_iter()
        .map(|tied| (tied.copy, tied.of))
        .collect()
}

/// Elements of a tensor that are compared or hashed at once.
const BLOCK: u64 = 1 << 18;

/// Whether two tensors of the same shape and type hold the same bytes. What cannot be read is not known to be the same;
/// measuring it will say why.
fn same_elements(checkpoint: &Checkpoint, a: usize, b: usize) -> bool {
    let (a, b) = (&checkpoint.tensors[a], &checkpoint.tensors[b]);
    if a.is_mapped() && b.is_mapped() {
        // Block by block, up to the first difference.
        return blocks(a.elements()).all(
            |range| matches!((checkpoint.read(a, range.clone()), checkpoint.read(b, range)), (Ok(a), Ok(b)) if a == b),
        );
    }
    // One after the other, so that only one of them has to be in memory.
    let digest = |tensor: &StoredTensor| {
        let mut hash = Xxh3Default::new();
        for range in blocks(tensor.elements()) {
            hash.update(&checkpoint.read(tensor, range).ok()?);
        }
        Some(hash.digest128())
    };
    digest(a).is_some_and(|a| digest(b) == Some(a))
}

fn blocks(elements: u64) -> impl Iterator<Item = Range<u64>> {
    (0..elements.div_ceil(BLOCK)).map(move |block| block * BLOCK..elements.min((block + 1) * BLOCK))
}
