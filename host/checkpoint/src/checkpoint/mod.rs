//! Checkpoints on disk, memory-mapped: what tensors there are, and their bytes without copying.

mod error;
mod files;
mod fingerprint;
mod order;
mod quantization;
mod remarks;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use kurtoscope_shared::Element;
use serde_json::Value;

pub use error::CheckpointError;
pub use quantization::QuantizationTensor;

use files::{CheckpointFiles, IndexFile};
use quantization::Unresolved;

use crate::format::{GraphUse, TensorData, TensorEntry, recognise};
use crate::packed::{MODELOPT_FILE, Stored};
use crate::select::{ADAPTER_CONFIGURATION, CONFIGURATION};
use crate::source::{Access, MappedFile, json};
use crate::unmeasured::Unmeasured;

/// A model's weights, open for reading.
///
/// The files stay mapped for as long as the checkpoint or anything [read](Self::read) from it lives. While they are, no other
/// process may truncate them: reading a page that is no longer there ends this process with SIGBUS. This is the one
/// hazard of memory mapping that cannot be turned into an error. Replacing a file by renaming another over it is safe.
#[derive(Debug)]
pub struct Checkpoint {
    /// The path as the user named it.
    pub source: String,
    /// The commit of the hub's repository that the files are from; none for local files.
    pub revision: Option<String>,
    /// How the weights are stored: `safetensors`, `pytorch`, ….
    pub format: &'static str,
    /// The `config.json` beside the weights; of an adapter without one its `adapter_config.json`.
    pub config: Option<Value>,
    /// Tensors that can be measured, sorted by name with numbers compared by value: layer 2 comes before layer 10.
    pub tensors: Vec<StoredTensor>,
    /// Tensors that cannot be measured, in the same order.
    pub unmeasured: Vec<Unmeasured>,
    /// Tensors that describe quantized weights and are none themselves, in the same order. Their elements are not measured.
    pub quantization: Vec<QuantizationTensor>,
    /// A file states that its weights are synthetic: its `__metadata__` has `kurtoscope.synthetic` = `true`.
    pub synthetic: bool,
    /// What a reader must know of the files, in sentences: weights beside them that are no part of the checkpoint, tensors of
    /// which a shard holds another copy.
    pub remarks: Vec<String>,
    files: Vec<MappedFile>,
}

/// A tensor of a checkpoint. Its elements are read from the [`Checkpoint`] that listed it, and from no other.
#[derive(Debug, Clone)]
pub struct StoredTensor {
    /// The checkpoint's name for it.
    pub name: String,
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<u64>,
    /// The type of its elements as they are measured.
    pub element: Element,
    /// How the file stores them, as reports name it: mostly the element's name.
    pub stored: String,
    /// The scheme by which it is quantized, where its codes and scales are several tensors of the checkpoint. Its elements are
    /// then the numbers that the model multiplies with.
    pub quantization: Option<Stored>,
    /// Whether it is integers that nothing in the checkpoint explains: measured as they are, but no weights.
    pub is_integer_code: bool,
    /// What the nodes of a graph tell about it, in formats that have one.
    pub graph: GraphUse,
    file: usize,
    data: TensorData,
}

impl StoredTensor {
    /// What tells its place in the model: its name, or the path that a graph gives it.
    pub fn path(&self) -> &str {
        self.graph.path.as_deref().unwrap_or(&self.name)
    }

    /// How many elements it has: 1 for a scalar, 0 where a dimension is 0.
    pub fn elements(&self) -> u64 {
        // Readers refuse shapes beyond 64 bits.
        self.shape.iter().fold(1, |product, &dimension| product.saturating_mul(dimension))
    }

    /// How many bytes its elements take as they are measured.
    pub fn byte_len(&self) -> u64 {
        self.elements().saturating_mul(self.element.size() as u64)
    }

    /// Whether the file stores its elements as they are measured, so that reading them takes no memory.
    pub fn is_mapped(&self) -> bool {
        matches!(self.data, TensorData::Mapped(_))
    }

    /// The bytes of the file that hold it.
    pub(crate) fn range(&self) -> Range<usize> {
        self.data.range()
    }

    /// The other file that holds it, and the bytes there, where it is not in the file that lists it.
    fn elsewhere(&self) -> Option<(&MappedFile, Range<usize>)> {
        self.data.elsewhere()
    }
}

impl Checkpoint {
    /// Opens the checkpoint at `path` and checks everything that its headers and its index say.
    ///
    /// `path` is a file of weights, whatever its name, an index of shards (`*.safetensors.index.json` or
    /// `*.bin.index.json`) or a folder, of which [`select`](fn@crate::select) decides which files are opened. With one part of
    /// a split GGUF file all parts are opened. Of a tensor that several shards hold, the one is
    /// taken that the index names; without an index, shards may not share a tensor. Tensors that the index does not list are
    /// taken as well. Quantized weights are recognized once all files are listed, so their parts may be in any of them, and
    /// all of their scales are read.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let CheckpointFiles { folder, files, index, left_out } = CheckpointFiles::find(path)?;
        let config = match json::read_if_present(&folder.join(CONFIGURATION))? {
            Some(config) => Some(config),
            None => json::read_if_present(&folder.join(ADAPTER_CONFIGURATION))?,
        };
        let modelopt = json::read_if_present(&folder.join(MODELOPT_FILE))?;
        let mut checkpoint = Self {
            source: path.to_string_lossy().into_owned(),
            revision: None,
            format: "safetensors",
            config,
            tensors: Vec::new(),
            unmeasured: Vec::new(),
            quantization: Vec::new(),
            synthetic: false,
            remarks: Vec::new(),
            files: Vec::new(),
        };
        let mut listing = FileListing { index: index.as_ref(), ..FileListing::default() };
        for file in &files {
            checkpoint.add(file, &mut listing)?;
        }
        let FileListing { holders, unresolved, overlaid, .. } = listing;
        if let Some(index) = &index {
            check_index(index, &holders, &checkpoint.files)?;
        }
        checkpoint.remarks = remarks::of_files(index.as_ref(), &left_out, &overlaid, &holders);
        if holders.is_empty() {
            return Err(CheckpointError::NoTensors { path: path.to_owned() });
        }
        quantization::resolve(&mut checkpoint, unresolved, modelopt.as_ref());
        checkpoint.tensors.sort_by(|a, b| order::natural(&a.name, &b.name));
        checkpoint.unmeasured.sort_by(|a, b| order::natural(&a.name, &b.name));
        checkpoint.quantization.sort_by(|a, b| order::natural(&a.name, &b.name));
        checkpoint.advise(Access::Sequential);
        Ok(checkpoint)
    }

    /// Maps one more file, and adds what it holds but for the tensors that the index says are in another.
    fn add(&mut self, path: &Path, listing: &mut FileListing<'_>) -> Result<(), CheckpointError> {
        let mapped = MappedFile::open(path)?;
        let format =
            recognise(mapped.bytes()).map_err(|kind| CheckpointError::OtherKind { path: path.to_owned(), kind })?;
        let mut contents = format.open(&mapped).map_err(|error| CheckpointError::of_file(path, error))?;
        let file = self.files.len();
        self.files.push(mapped);
        if let Some(index) = listing.index {
            let overlaid = &mut listing.overlaid;
            contents.retain(|tensor| {
                let is_elsewhere = index.shard_of(tensor).is_some_and(|shard| shard != path);
                if is_elsewhere {
                    overlaid.push(tensor.to_owned());
                }
                !is_elsewhere
            });
        }
        let names = contents.tensors.iter().map(|tensor| &tensor.name);
        // Sorted, so that the same files always give the same error.
        let names = names.chain(contents.unmeasured.iter().map(|tensor| &tensor.name));
        let mut names: Vec<_> = names.chain(contents.components.iter().map(|entry| &entry.otherwise.name)).collect();
        names.sort_by(|a, b| order::natural(a, b));
        for name in names {
            if let Some(first) = listing.holders.insert(name.clone(), file) {
                let first = self.files.get(first).map_or(path, MappedFile::path);
                return Err(CheckpointError::DuplicateTensor {
                    tensor: name.clone(),
                    first: first.to_owned(),
                    second: path.to_owned(),
                });
            }
        }
        self.format = format.name();
        self.synthetic |= contents.synthetic;
        // A file beside the weights was put there for them and goes before what is stated inside.
        if self.config.is_none() {
            self.config = contents.config;
        }
        self.unmeasured.extend(contents.unmeasured);
        let mut graph = contents.graph;
        self.tensors.extend(contents.tensors.into_iter().map(|entry| {
            let (graph, quantization) = graph.remove(&entry.name).unwrap_or_default();
            let TensorEntry { name, shape, element, stored, data } = entry;
            let is_integer_code = is_integer(element);
            StoredTensor { name, shape, element, stored, quantization, is_integer_code, graph, file, data }
        }));
        self.quantization.extend(contents.descriptions.into_iter().map(|entry| {
            let TensorEntry { name, shape, stored: dtype, data, .. } = entry;
            QuantizationTensor { name, shape, dtype, file, data }
        }));
        listing.unresolved.components.extend(contents.components.into_iter().map(|entry| (file, entry)));
        listing.unresolved.nodes.extend(contents.nodes);
        Ok(())
    }

    /// The elements at positions `range`, rows outermost, as little-endian bytes.
    ///
    /// Lent from the mapping, which they keep alive, where the file stores them as they are measured; computed otherwise.
    /// Either way they can be sent to another thread.
    ///
    /// # Errors
    /// [`CheckpointError::Elements`] where `range` is not inside the tensor, or the elements cannot be computed.
    pub fn read(&self, tensor: &StoredTensor, range: Range<u64>) -> Result<Bytes, CheckpointError> {
        let failed = |detail| CheckpointError::Elements {
            path: self.path_of(tensor).to_owned(),
            tensor: tensor.name.clone(),
            first: range.start,
            last: range.end,
            detail,
        };
        if range.start > range.end || range.end > tensor.elements() {
            return Err(failed(format!("it has {} elements", tensor.elements())));
        }
        match &tensor.data {
            TensorData::Computed { elements, .. } => elements.read(range.clone()).map_err(failed),
            TensorData::Mapped(stored) => {
                // Inside the tensor, whose bytes are inside the file: no overflow, and no loss on any system that mapped it.
                let at = |position: u64| stored.start + position as usize * tensor.element.size();
                let shared = self.files.get(tensor.file).and_then(|file| file.share(at(range.start)..at(range.end)));
                shared.ok_or_else(|| failed("they are not inside the file".into()))
            }
        }
    }

    /// The file that holds the tensor.
    pub fn path_of<'a>(&'a self, tensor: &'a StoredTensor) -> &'a Path {
        if let Some((file, _)) = tensor.elsewhere() {
            return file.path();
        }
        self.files.get(tensor.file).map_or(Path::new(&self.source), MappedFile::path)
    }

    /// Where in its file the tensor's first byte is; 0 where its format does not say.
    pub fn offset_of(&self, tensor: &StoredTensor) -> u64 {
        tensor.elsewhere().map_or_else(|| tensor.range(), |(_, range)| range).start as u64
    }

    /// A 128-bit hash, in hexadecimal, of all names, shapes and types and of eight 64-byte samples of each tensor, packed as
    /// it is stored.
    ///
    /// The same tensors give the same fingerprint wherever they are stored and however they are split into shards, unless
    /// their format does not say where they are: as many samples are then taken of the whole file. A change between the
    /// samples goes unseen: this distinguishes models, it does not prove that a file is intact.
    pub fn fingerprint(&self) -> String {
        fingerprint::fingerprint(self)
    }

    /// The bytes of the file that the tensor's elements are, or are computed from.
    pub(crate) fn stored_bytes<'a>(&'a self, tensor: &'a StoredTensor) -> &'a [u8] {
        self.bytes_of(tensor.file, &tensor.data)
    }

    /// The same for anything that a file lists.
    fn bytes_of<'a>(&'a self, file: usize, data: &'a TensorData) -> &'a [u8] {
        if let Some((file, range)) = data.elsewhere() {
            return file.bytes().get(range).unwrap_or_default();
        }
        let file = self.files.get(file).map(MappedFile::bytes);
        file.and_then(|bytes| bytes.get(data.range())).unwrap_or_default()
    }

    fn advise(&self, access: Access) {
        for file in &self.files {
            file.advise(access);
        }
    }
}

/// What is noted while files are added.
#[derive(Default)]
struct FileListing<'a> {
    index: Option<&'a IndexFile>,
    /// Which file each tensor is in.
    holders: HashMap<String, usize>,
    /// What only quantized weights give a meaning.
    unresolved: Unresolved,
    /// Tensors of which a shard holds a copy that the index does not name.
    overlaid: Vec<String>,
}

/// Whether elements of this type are integers, which are no weights unless something explains them.
fn is_integer(element: Element) -> bool {
    use Element::{Bool, I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(element, I8 | U8 | I16 | U16 | I32 | U32 | I64 | U64 | Bool)
}

/// Checks that every tensor of the index is in the shard that the index names.
fn check_index(
    file: &IndexFile,
    holders: &HashMap<String, usize>,
    files: &[MappedFile],
) -> Result<(), CheckpointError> {
    for (shard, tensors) in &file.index.shards {
        let shard = file.shard(shard);
        for tensor in tensors {
            let holder = holders.get(tensor).and_then(|&file| files.get(file));
            if holder.map(MappedFile::path) != Some(&shard) {
                return Err(CheckpointError::IndexedTensorMissing {
                    index: file.path.clone(),
                    tensor: tensor.clone(),
                    shard,
                });
            }
        }
    }
    Ok(())
}
