//! Reads one safetensors file that is already in memory: what it holds and where.

use std::path::Path;

use kurtoscope_shared::Element;
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::contents::{Contents, Data, Entry};
use super::diagnosis::diagnose;
use super::error::CheckpointError;
use super::sniff::sniff;
use crate::Unmeasured;

/// Bytes that the header's length takes at the start of the file.
pub(super) const PREFIX: usize = 8;

/// The longest header that the format allows.
const HEADER_LIMIT: u64 = 100_000_000;

/// The key in a file's metadata that marks made-up weights.
const SYNTHETIC: &str = "kurtoscope.synthetic";

/// Reads the header in `file`, the whole content of the file at `path`, and checks all of it.
///
/// The header is parsed by the `safetensors` crate, which also checks that the tensors cover the data without gaps or
/// overlaps. Where it refuses, a second pass finds the tensor and the numbers for the message.
pub(super) fn read(path: &Path, file: &[u8]) -> Result<Contents, CheckpointError> {
    let header = frame(path, file)?;
    let text = std::str::from_utf8(header).map_err(|error| {
        recognised(path, file).unwrap_or_else(|| CheckpointError::HeaderNotUtf8 {
            path: path.to_owned(),
            offset: (PREFIX + error.valid_up_to()) as u64,
        })
    })?;
    let metadata: Metadata = serde_json::from_str(text).map_err(|error| match diagnose(path, text, &error) {
        CheckpointError::HeaderNotJson { path, offset, detail } => {
            recognised(&path, file).unwrap_or(CheckpointError::HeaderNotJson { path, offset, detail })
        }
        diagnosis => diagnosis,
    })?;
    let data = PREFIX + header.len();
    check_length(path, &metadata, data, file.len())?;
    Ok(contents(&metadata, data))
}

/// The header's bytes; an error where its length cannot be right.
fn frame<'a>(path: &Path, file: &'a [u8]) -> Result<&'a [u8], CheckpointError> {
    let length = file.len() as u64;
    let Some((prefix, rest)) = file.split_first_chunk::<PREFIX>() else {
        let too_short = || CheckpointError::TooShort { path: path.to_owned(), length };
        return Err(recognised(path, file).unwrap_or_else(too_short));
    };
    let header = u64::from_le_bytes(*prefix);
    let inside = usize::try_from(header).ok().and_then(|end| rest.get(..end));
    match inside {
        Some(bytes) if header <= HEADER_LIMIT => Ok(bytes),
        Some(_) => Err(recognised(path, file).unwrap_or_else(|| CheckpointError::HeaderTooLong {
            path: path.to_owned(),
            header,
            limit: HEADER_LIMIT,
        })),
        None => Err(recognised(path, file).unwrap_or_else(|| CheckpointError::HeaderPastEnd {
            path: path.to_owned(),
            header,
            length,
        })),
    }
}

/// The error that names the file for what it is, if that can be told.
fn recognised(path: &Path, file: &[u8]) -> Option<CheckpointError> {
    sniff(file).map(|kind| CheckpointError::OtherKind { path: path.to_owned(), kind })
}

/// Checks that the data which the header describes is exactly the rest of the file.
fn check_length(path: &Path, metadata: &Metadata, data: usize, length: usize) -> Result<(), CheckpointError> {
    let available = length - data;
    let described = metadata.data_len();
    if described < available {
        return Err(CheckpointError::TrailingBytes {
            path: path.to_owned(),
            end: (data + described) as u64,
            length: length as u64,
        });
    }
    let cut_off = metadata.offset_keys().into_iter().find_map(|name| {
        match metadata.info(&name).map(|info| info.data_offsets.1) {
            Some(end) if end > available => Some((name, end)),
            _ => None,
        }
    });
    match cut_off {
        None => Ok(()),
        Some((tensor, end)) => Err(CheckpointError::Truncated {
            path: path.to_owned(),
            tensor,
            // Saturating: a header can claim ends close to the largest number there is.
            end: (end as u64).saturating_add(data as u64),
            length: length as u64,
            missing: (described - available) as u64,
        }),
    }
}

/// Sorts a checked header's tensors into those that can be measured and those that cannot.
fn contents(metadata: &Metadata, data: usize) -> Contents {
    let marked = |metadata: &Metadata| metadata.metadata().as_ref()?.get(SYNTHETIC).map(|value| value == "true");
    let mut contents = Contents { synthetic: marked(metadata).unwrap_or(false), ..Contents::default() };
    for (name, info) in metadata.tensors() {
        let shape = info.shape.iter().map(|&dimension| dimension as u64).collect();
        match element(info.dtype) {
            Ok(element) => {
                let range = data + info.data_offsets.0..data + info.data_offsets.1;
                let stored = element.name().to_owned();
                contents.tensors.push(Entry { name, shape, element, stored, data: Data::Mapped(range) });
            }
            Err(reason) => {
                let dtype = format!("{:?}", info.dtype);
                contents.unmeasured.push(Unmeasured { name, shape, dtype, reason: reason.to_owned() });
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
