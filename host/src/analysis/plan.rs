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
};
use kurtoscope_checkpoint::{
    Checkpoint, CheckpointError, StoredTensor,
    model::{
        Candidate, Component, Family, Identity, Naming, Part, Runs, output_axis, parts, parts_of_quantized, row_length,
        tied_pairs,
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
    /// Whether it is one part of a fused tensor.
    pub is_part: bool,
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
    /// One target a part; the whole is their merge.
    Parts(Vec<(Part, usize)>),
    /// The entry with this index holds the same data.
    Tied(usize),
}

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
}

impl MeasurementPlan {
    /// Plans a checkpoint in chunks of up to `chunk_bytes` bytes; no more is measured than is `wanted`.
    pub fn new(checkpoint: &Checkpoint, family: Family, chunk_bytes: usize, wanted: Requests) -> Self {
        let limits = Cutting { chunk_bytes, wanted };
        let mut plan = Self { entries: Vec::new(), targets: Vec::new(), chunks: Vec::new(), bytes: 0 };
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
        let parts = parts_of(checkpoint, family, tensor, component);
        // Integers that nothing explains are no projection, whatever their name is.
        if parts.is_empty() || tensor.is_integer_code {
            let runs = Runs::whole(tensor.elements());
            return Source::Whole(self.target(index, tensor, runs, row_length(&tensor.shape), false, limits));
        }
        let targets = parts.into_iter().map(|part| {
            let target = self.target(index, tensor, part.runs, row_length(&part.shape), true, limits);
            (part, target)
        });
        Source::Parts(targets.collect())
    }

    fn target(
        &mut self,
        index: usize,
        tensor: &StoredTensor,
        runs: Runs,
        row: Option<u64>,
        is_part: bool,
        limits: Cutting,
    ) -> usize {
        let target = self.targets.len();
        let elements = runs.elements();
        let cut = limits.cut(tensor.element, elements, row);
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
        self.targets.push(PlannedTensor { tensor: index, runs, element: tensor.element, row, requests, is_part });
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
        let mut spans = target.runs.spans(chunk.offset..chunk.offset + u64::from(chunk.count));
        let Some(first) = spans.next() else { return Ok(Bytes::new()) };
        let Some(second) = spans.next() else { return checkpoint.read(tensor, first) };
        let mut gathered = Vec::with_capacity(self.payload_len(chunk));
        for span in [first, second].into_iter().chain(spans) {
            gathered.extend_from_slice(&checkpoint.read(tensor, span)?);
        }
        Ok(Bytes::from(gathered))
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
    Identity { component, buffer: buffer || tensor.graph.is_table, ..found }
}

/// The parts of a fused tensor, by the order in which its outputs are stored.
fn parts_of(checkpoint: &Checkpoint, family: Family, tensor: &StoredTensor, component: Component) -> Vec<Part> {
    let path = tensor.path();
    let parts = match tensor.graph.output_axis {
        // How the columns of another order are parts is not known.
        Some(1) if output_axis(family, component, path) == Some(0) => return Vec::new(),
        Some(0) => parts_of_quantized,
        None if tensor.quantization.is_some() => parts_of_quantized,
        _ => parts,
    };
    parts(family, component, path, &tensor.shape, checkpoint.config.as_ref())
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
