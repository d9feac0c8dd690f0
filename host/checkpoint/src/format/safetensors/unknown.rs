//! Headers with element types that the `safetensors` crate does not know: such a tensor is listed with its bytes, and the
//! rest of the header is held to the same rules as any other.

use std::collections::HashMap;

use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::Deserialize;
use serde_json::{Value, json};

use super::diagnosis::{Entries, METADATA, numbers};

/// What a header declares about a tensor of an unknown type.
#[derive(Debug)]
pub(super) struct Declared {
    /// The type by the header's name for it.
    pub(super) dtype: String,
    pub(super) shape: Vec<u64>,
}

/// The tensors of unknown types, by name.
pub(super) type UnknownTypes = HashMap<String, Declared>;

/// Parses a header in which tensors of unknown types are taken for as many bytes as their offsets hold.
///
/// `None` where no tensor is of an unknown type, or something else is wrong with the header as well.
pub(super) fn parse_with_unknown_types(header: &str) -> Option<(Metadata, UnknownTypes)> {
    let Entries(mut entries) = serde_json::from_str(header).ok()?;
    let mut unknown = UnknownTypes::new();
    for (name, value) in &mut entries {
        if name == METADATA {
            continue;
        }
        let dtype = value.get("dtype").and_then(Value::as_str)?.to_owned();
        if Dtype::deserialize(Value::from(dtype.as_str())).is_ok() {
            continue;
        }
        let shape = value.get("shape").and_then(numbers)?;
        let offsets = value.get("data_offsets").and_then(numbers)?;
        let [start, end] = *offsets.as_slice() else { return None };
        *value = json!({ "dtype": "U8", "shape": [end.checked_sub(start)?], "data_offsets": [start, end] });
        unknown.insert(name.clone(), Declared { dtype, shape });
    }
    let count = entries.len();
    let entries: serde_json::Map<String, Value> = entries.into_iter().collect();
    // A name that is listed twice is a fault of the header.
    if unknown.is_empty() || entries.len() != count {
        return None;
    }
    Some((Metadata::deserialize(Value::Object(entries)).ok()?, unknown))
}
