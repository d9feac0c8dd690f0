//! Safetensors: a JSON header that names every tensor's type, shape and byte range, then the data, which is mapped as it is.
//!
//! ```text
//! header length u64  header, JSON in UTF-8  data, which the offsets count from
//! ```
//!
//! Source: the format's description in `README.md` of huggingface/safetensors.

mod diagnosis;
mod fault;
#[cfg(test)]
mod tests;
mod unknown;

use kurtoscope_shared::Element;
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::tensor::{ComponentEntry, FileContents, TensorData, TensorEntry};
use super::{Format, FormatError};
use crate::packed::StoredType;
use crate::source::MappedFile;
use crate::unmeasured::Unmeasured;
use diagnosis::diagnose;
use fault::SafetensorsFault;
use unknown::UnknownTypes;

/// The format of one file, sharded or not.
pub(super) struct Safetensors;

impl Format for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn recognises(&self, file: &[u8]) -> bool {
        // The format has no magic number. A header below 16 MiB that opens with a brace is its most certain mark.
        file.get(5..9).is_some_and(|bytes| bytes == [0, 0, 0, b'{'])
    }

    fn open(&self, file: &MappedFile) -> Result<FileContents, FormatError> {
        Ok(read(file.bytes())?)
    }
}

/// Bytes that the header's length takes at the start of the file.
const PREFIX: usize = 8;

/// The longest header that the format allows.
const HEADER_LIMIT: u64 = 100_000_000;

/// The key in a file's metadata that marks synthetic weights.
const SYNTHETIC: &str = "kurtoscope.synthetic";

/// Reads the header of `file`, the whole content of a file, and checks all of it.
///
/// The header is parsed by the `safetensors` crate, which also checks that the tensors cover the data without gaps or
/// overlaps. Where it refuses, a second pass finds the tensor and the numbers for the message.
fn read(file: &[u8]) -> Result<FileContents, SafetensorsFault> {
    let header = header(file)?;
    let text = std::str::from_utf8(header)
        .map_err(|error| SafetensorsFault::NotUtf8 { offset: (PREFIX + error.valid_up_to()) as u64 })?;
    let (metadata, unknown) = match serde_json::from_str(text) {
        Ok(metadata) => (metadata, UnknownTypes::default()),
        Err(error) => unknown::parse_with_unknown_types(text).ok_or_else(|| diagnose(text, &error))?,
    };
    let data = PREFIX + header.len();
    check_length(&metadata, data, file.len())?;
    Ok(contents(&metadata, &unknown, data))
}

/// The header's bytes; an error where its length cannot be right.
fn header(file: &[u8]) -> Result<&[u8], SafetensorsFault> {
    let length = file.len() as u64;
    let Some((prefix, rest)) = file.split_first_chunk::<PREFIX>() else {
        return Err(SafetensorsFault::TooShort { length });
    };
    let header = u64::from_le_bytes(*prefix);
    match usize::try_from(header).ok().and_then(|end| rest.get(..end)) {
        Some(bytes) if header <= HEADER_LIMIT => Ok(bytes),
        Some(_) => Err(SafetensorsFault::HeaderTooLong { header, limit: HEADER_LIMIT }),
        None => Err(SafetensorsFault::HeaderPastEnd { header, length }),
    }
}

/// Checks that the data which the header describes is exactly the rest of the file.
fn check_length(metadata: &Metadata, data: usize, length: usize) -> Result<(), SafetensorsFault> {
    let available = length - data;
    let described = metadata.data_len();
    if described < available {
        return Err(SafetensorsFault::TrailingBytes { end: (data + described) as u64, length: length as u64 });
    }
    let cut_off = metadata.offset_keys().into_iter().find_map(|name| {
        match metadata.info(&name).map(|info| info.data_offsets.1) {
            Some(end) if end > available => Some((name, end)),
            _ => None,
        }
    });
    match cut_off {
        None => Ok(()),
        Some((tensor, end)) => Err(SafetensorsFault::Truncated {
            tensor,
            // Saturating: a header can claim ends close to the largest number there is.
            end: (end as u64).saturating_add(data as u64),
            length: length as u64,
            missing: (described - available) as u64,
        }),
    }
}

/// Sorts a checked header's tensors into those that can be measured and those that cannot.
fn contents(metadata: &Metadata, unknown: &UnknownTypes, data: usize) -> FileContents {
    let marked = |metadata: &Metadata| metadata.metadata().as_ref()?.get(SYNTHETIC).map(|value| value == "true");
    let mut contents = FileContents { synthetic: marked(metadata).unwrap_or(false), ..FileContents::default() };
    for (name, info) in metadata.tensors() {
        let shape = info.shape.iter().map(|&dimension| dimension as u64).collect();
        let range = data + info.data_offsets.0..data + info.data_offsets.1;
        let component = |name, shape, dtype: String, reason: String| ComponentEntry {
            stored: StoredType::from_safetensors(&dtype),
            otherwise: Unmeasured { name, shape, dtype, reason },
            range: range.clone(),
        };
        match (unknown.get(&name), element(info.dtype)) {
            (Some(declared), _) => {
                let reason = format!("the element type {} is not known to this version", declared.dtype);
                contents.components.push(component(name, declared.shape.clone(), declared.dtype.clone(), reason));
            }
            (None, Ok(element)) => {
                let stored = element.name().to_owned();
                contents.tensors.push(TensorEntry { name, shape, element, stored, data: TensorData::Mapped(range) });
            }
            (None, Err(reason)) => {
                contents.components.push(component(name, shape, format!("{:?}", info.dtype), reason.to_owned()));
            }
        }
    }
    contents
}

/// The element type of a safetensors type, or why it is not measured.
fn element(dtype: Dtype) -> Result<Element, &'static str> {
    Ok(match dtype {
        Dtype::F64 => Element::F64,
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F8_E4M3 => Element::F8E4m3,
        Dtype::F8_E5M2 => Element::F8E5m2,
        Dtype::I64 => Element::I64,
        Dtype::I32 => Element::I32,
        Dtype::I16 => Element::I16,
        Dtype::I8 => Element::I8,
        Dtype::U64 => Element::U64,
        Dtype::U32 => Element::U32,
        Dtype::U16 => Element::U16,
        Dtype::U8 => Element::U8,
        Dtype::BOOL => Element::Bool,
        Dtype::C64 => return Err("complex numbers have no kurtosis in the sense of this tool"),
        Dtype::F4 | Dtype::F6_E2M3 | Dtype::F6_E3M2 => {
            return Err("elements smaller than a byte are not measured by this version");
        }
        Dtype::F8_E8M0 => return Err("elements of this type are powers of two that scale other tensors, not weights"),
        Dtype::F8_E4M3FNUZ | Dtype::F8_E5M2FNUZ => {
            return Err("the FNUZ variants of 8-bit floats are not measured by this version");
        }
        _ => return Err("this element type is not measured by this version"),
    })
}
