//! PyTorch checkpoints: the zip archive, the older pickle stream, the tar archive of before 2017. The pickle
//! inside is parsed by the `pytorch-reader` crate, which runs nothing that it names.

mod fault;
mod lazy_tensor;
mod pickle;
mod state_dict;

#[cfg(test)]
mod tests;
mod unknown;

use std::sync::Arc;

use bytes::Bytes;
use kurtoscope_shared::Element;
use pytorch_reader::{DType, FileFormat, PickleError, PytorchError, PytorchReader, Tensor};

use super::cache::LastValue;
use super::tensor::{FileContents, TensorData, TensorEntry};
use super::zip::first_member;
use super::{FileKind, Format, FormatError};
use crate::source::MappedFile;
use crate::unmeasured::Unmeasured;
use fault::{COMPRESSED, MORE_THAN_THE_FILE, PyTorchFault, check_tar, refused};
use lazy_tensor::LazyTensor;

/// How the names of members end by which an archive is known to be a checkpoint.
const MEMBERS: [&[u8]; 5] = [b"/data.pkl", b"/version", b"/byteorder", b"/.format_version", b"constants.pkl"];

/// Where a tar archive has its mark.
const TAR_MARK: std::ops::Range<usize> = 257..262;

/// The format in all of its containers.
pub(super) struct PyTorch;

impl Format for PyTorch {
    fn name(&self) -> &'static str {
        "pytorch"
    }

    fn recognises(&self, file: &[u8]) -> bool {
        Container::of(file).is_some()
    }

    fn open(&self, file: &MappedFile) -> Result<FileContents, FormatError> {
        read(file)
    }
}

/// What a checkpoint is packed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    /// A zip archive with a checkpoint's members, or a pickle.
    Known,
    /// A zip or tar archive that may be a checkpoint.
    Archive(FileKind),
}

impl Container {
    fn of(file: &[u8]) -> Option<Self> {
        if let Some(member) = first_member(file) {
            let is_known = MEMBERS.iter().any(|end| member.ends_with(end));
            return Some(if is_known { Self::Known } else { Self::Archive(FileKind::Zip) });
        }
        if file.get(TAR_MARK) == Some(b"ustar") {
            return Some(Self::Archive(FileKind::Tar));
        }
        // The pickle protocols that PyTorch has written.
        matches!(file, [0x80, 2..=5, ..]).then_some(Self::Known)
    }
}

/// Reads what a file holds.
///
/// Where the weights are nested in a training state, they alone are taken, under the names that the model gives them.
/// The elements are computed: the crate does not say where in the file a tensor's storage is, but puts views in order
/// and verifies the checksums of zip archives as it reads.
fn read(file: &MappedFile) -> Result<FileContents, FormatError> {
    let (path, length) = (file.path(), file.bytes().len());
    let container = Container::of(file.bytes()).unwrap_or(Container::Known);
    if container == Container::Archive(FileKind::Tar) {
        check_tar(file.bytes())?;
    }
    let reader = match PytorchReader::new(path) {
        Err(PytorchError::Pickle(error @ PickleError::UnsupportedType(_))) => {
            // One such tensor costs itself, not the file.
            let others = unknown::read(file).filter(|contents| !contents.tensors.is_empty());
            return others.ok_or_else(|| refused(path, container, PytorchError::Pickle(error)));
        }
        reader => reader.map_err(|error| refused(path, container, error))?,
    };
    check_size(&reader, length)?;
    let weights = state_dict::find(path, reader.tensors()).map_err(|error| refused(path, container, error))?;

    let cache = Arc::new(LastValue::default());
    let mut contents = FileContents::default();
    for (index, (key, tensor)) in reader.into_tensors().into_iter().enumerate() {
        let Some(name) = weights.name_of(&key) else { continue };
        let name = name.to_owned();
        let shape = tensor.shape().iter().map(|&dimension| dimension as u64).collect();
        let element = element(tensor.dtype());
        let stored = element.name().to_owned();
        // A view of stride 0 takes no room in the file: what it would take in memory is a mere claim.
        if tensor.byte_len() > length {
            contents.unmeasured.push(Unmeasured { name, shape, dtype: stored, reason: MORE_THAN_THE_FILE.to_owned() });
            continue;
        }
        let data = computed(tensor, index, &cache, length);
        contents.tensors.push(TensorEntry { name, shape, element, stored, data });
    }
    Ok(contents)
}

/// Checks what the archive claims.
fn check_size(reader: &PytorchReader, length: usize) -> Result<(), PyTorchFault> {
    let metadata = reader.metadata();
    // `torch.save` never compresses. What does could unpack to any size, and reading a view may unpack all of a storage.
    if metadata.format_type == FileFormat::Zip
        && let Some(size) = metadata.total_data_size
        && size > length
    {
        let detail = format!("its storages claim {size} bytes of a file of {length}");
        return Err(PyTorchFault::new(&detail, COMPRESSED));
    }
    Ok(())
}

fn computed(tensor: Tensor, index: usize, cache: &Arc<LastValue<Bytes>>, length: usize) -> TensorData {
    let elements = Arc::new(LazyTensor::new(tensor, index, Arc::clone(cache)));
    TensorData::Computed { elements, from: 0..length }
}

/// The element type of a PyTorch type; types without a counterpart are refused by the crate.
fn element(dtype: DType) -> Element {
    match dtype {
        DType::F64 => Element::F64,
        DType::F32 => Element::F32,
        DType::F16 => Element::F16,
        DType::BF16 => Element::Bf16,
        DType::I64 => Element::I64,
        DType::I32 => Element::I32,
        DType::I16 => Element::I16,
        DType::I8 => Element::I8,
        DType::U64 => Element::U64,
        DType::U32 => Element::U32,
        DType::U16 => Element::U16,
        DType::U8 => Element::U8,
        DType::Bool => Element::Bool,
    }
}
