//! The second pass over a safetensors header that was refused: finds the tensor, the offsets and the numbers.

use std::collections::HashSet;
use std::fmt;

use safetensors::Dtype;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::PREFIX;
use super::fault::{SafetensorsFault, TensorFault};
use crate::format::Shape;
use crate::source::json;

/// The key of a header that is not a tensor.
pub(super) const METADATA: &str = "__metadata__";

/// Why `header` was refused with `error`. Reports the first fault in the order of the data.
pub(super) fn diagnose(header: &str, error: &serde_json::Error) -> SafetensorsFault {
    let entries = match serde_json::from_str::<Entries>(header) {
        Ok(Entries(entries)) => entries,
        Err(error) if error.is_data() => return structure("it is JSON, but not an object"),
        Err(error) => {
            return SafetensorsFault::NotJson {
                offset: offset(header, error.line(), error.column()),
                detail: json::message(&error),
            };
        }
    };
    let mut seen = HashSet::new();
    let mut tensors = Vec::new();
    for (name, value) in &entries {
        if !seen.insert(name.as_str()) {
            return fault(name, TensorFault::Repeated);
        }
        if name == METADATA {
            if !is_string_map(value) {
                return structure("__metadata__ is not an object of strings");
            }
            continue;
        }
        match DeclaredTensor::read(value) {
            Ok(declared) => tensors.push((name.as_str(), declared)),
            Err(wrong) => return fault(name, wrong),
        }
    }
    tensors.sort_by(|(a_name, a), (b_name, b)| (a.start, a.end, a_name).cmp(&(b.start, b.end, b_name)));
    let mut previous = ("", 0);
    for (name, declared) in &tensors {
        if let Some(wrong) = declared.misplaced(previous.0, previous.1).or_else(|| declared.size_mismatch()) {
            return fault(name, wrong);
        }
        previous = (name, declared.end);
    }
    // Nothing that this pass knows of: the parser's own message.
    structure(&json::message(error))
}

fn fault(tensor: &str, fault: TensorFault) -> SafetensorsFault {
    SafetensorsFault::Tensor { tensor: tensor.to_owned(), fault }
}

fn structure(detail: &str) -> SafetensorsFault {
    SafetensorsFault::Structure { detail: detail.to_owned() }
}

/// Where in the file a line and column of the header are.
fn offset(header: &str, line: usize, column: usize) -> u64 {
    let before: usize = header.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (PREFIX + before + column.saturating_sub(1)) as u64
}

fn is_string_map(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(Value::is_string),
        _ => false,
    }
}

/// What the header declares about one tensor.
struct DeclaredTensor {
    dtype: String,
    /// Bits of an element; `None` where the type is not known.
    bits: Option<u64>,
    shape: Vec<u64>,
    start: u64,
    end: u64,
}

impl DeclaredTensor {
    /// Reads an entry field by field.
    fn read(value: &Value) -> Result<Self, TensorFault> {
        let wrong = |detail: &str| TensorFault::TensorEntry { detail: detail.to_owned() };
        let entry = value.as_object().ok_or_else(|| wrong("it is not an object"))?;
        let dtype = entry.get("dtype").and_then(Value::as_str).ok_or_else(|| wrong("dtype is not a string"))?;
        let bits = Dtype::deserialize(Value::from(dtype)).ok().map(|known| known.bitsize() as u64);
        let shape = entry
            .get("shape")
            .and_then(numbers)
            .ok_or_else(|| wrong("shape is not an array of whole numbers from 0 to 2^64 - 1"))?;
        let offsets = entry.get("data_offsets").and_then(numbers);
        let Some([start, end]) = offsets.as_deref() else {
            return Err(wrong("data_offsets is not a pair of whole numbers from 0 to 2^64 - 1"));
        };
        Ok(Self { dtype: dtype.to_lowercase(), bits, start: *start, end: *end, shape })
    }

    /// Whether the data begins anywhere but where that of the tensor before it ended.
    fn misplaced(&self, previous: &str, expected: u64) -> Option<TensorFault> {
        let (start, end) = (self.start, self.end);
        if end < start {
            Some(TensorFault::Backwards { start, end })
        } else if start < expected {
            Some(TensorFault::Overlap { start, end, previous: previous.to_owned(), expected })
        } else if start > expected {
            Some(TensorFault::Gap { start, end, expected })
        } else {
            None
        }
    }

    /// Whether shape and type, if it is known, need another number of bytes than the offsets hold.
    fn size_mismatch(&self) -> Option<TensorFault> {
        let bits = self.bits?;
        let (shape, dtype) = (Shape(self.shape.clone()), self.dtype.clone());
        let elements = self.shape.iter().try_fold(1u64, |product, &dimension| product.checked_mul(dimension));
        let Some(bits) = elements.and_then(|elements| elements.checked_mul(bits)) else {
            return Some(TensorFault::ShapeOverflow { shape, dtype });
        };
        if bits % 8 != 0 {
            return Some(TensorFault::PartialByte { shape, dtype, bits });
        }
        let (start, end) = (self.start, self.end);
        (end - start != bits / 8).then_some(TensorFault::SizeMismatch { shape, dtype, needed: bits / 8, start, end })
    }
}

/// An array of whole numbers from 0 to 2^64 - 1.
pub(super) fn numbers(value: &Value) -> Option<Vec<u64>> {
    value.as_array()?.iter().map(Value::as_u64).collect()
}

/// A header's entries in the order of the text, repeated names included.
pub(super) struct Entries(pub(super) Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}
