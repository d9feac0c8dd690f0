//! Reads one PyTorch checkpoint: the zip archive, the older pickle stream, the tar archive of before 2017. The pickle
//! inside is parsed by the `pytorch-reader` crate, which runs nothing that it names.

mod failure;
mod lazy;
mod nest;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use kurtoscope_shared::Element;
use pytorch_reader::{DType, FileFormat, PytorchReader, Tensor};

use super::contents::{Contents, Data, Entry};
use super::error::CheckpointError;
use super::slot::Slot;
use super::sniff::FileKind;
use crate::Unmeasured;
use crate::source::MappedFile;
use failure::{COMPRESSED, MORE_THAN_THE_FILE, refused};
use lazy::Lazy;

/// Reads what a file holds that was recognised as `kind`.
///
/// Where the weights are nested in a training state, they alone are taken, under the names that the model gives them.
/// The elements are computed: the crate does not tell where in the file a tensor's storage is, but puts views in order
/// and verifies the checksums of zip archives as it reads.
pub(super) fn read(file: &MappedFile, kind: FileKind) -> Result<Contents, CheckpointError> {
    let path = file.path();
    let length = file.bytes().len();
    failure::check_tar(path, file.bytes())?;
    let reader = PytorchReader::new(path).map_err(|error| refused(path, kind, error))?;
    let metadata = reader.metadata();
    // `torch.save` never compresses. What does could unpack to any size, and reading a view may unpack all of a storage.
    if metadata.format_type == FileFormat::Zip
        && let Some(size) = metadata.total_data_size
        && size > length
    {
        let detail = format!("its storages claim {size} bytes of a file of {length}");
        return Err(failure::unreadable(path, &detail, COMPRESSED));
    }
    let nest = nest::find(path, reader.tensors()).map_err(|error| refused(path, kind, error))?;

    let slot = Arc::new(Slot::default());
    let mut contents = Contents::default();
    for (index, (key, tensor)) in reader.into_tensors().into_iter().enumerate() {
        let Some(name) = nest.weight(&key) else { continue };
        let name = name.to_owned();
        let shape = tensor.shape().iter().map(|&dimension| dimension as u64).collect();
        let element = element(tensor.dtype());
        let stored = element.name().to_owned();
        // A view of stride 0 takes no room in the file: what it would take in memory is a mere claim.
        if tensor.byte_len() > length {
            contents.unmeasured.push(Unmeasured { name, shape, dtype: stored, reason: MORE_THAN_THE_FILE.to_owned() });
            continue;
        }
        let data = computed(tensor, index, &slot, length);
        contents.tensors.push(Entry { name, shape, element, stored, data });
    }
    Ok(contents)
}

fn computed(tensor: Tensor, index: usize, slot: &Arc<Slot<Bytes>>, length: usize) -> Data {
    let elements = Arc::new(Lazy::new(tensor, index, Arc::clone(slot)));
    Data::Computed { elements, from: 0..length }
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
