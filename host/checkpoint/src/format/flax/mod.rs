//! Flax checkpoints (`flax_model.msgpack`): MessagePack maps nested by name, as `flax.serialization.msgpack_serialize` writes
//! them. A tensor's name is its path through the maps, joined by dots. MessagePack is read by the `rmp` crate.

mod array;
mod fault;
mod reader;
#[cfg(test)]
mod tests;

use super::{Format, FormatError};
use crate::format::tensor::FileContents;
use crate::source::MappedFile;
use crate::unmeasured::Unmeasured;

use fault::FlaxFault;
use reader::{Reader, Value};

/// Maps within each other; models nest up to a dozen.
const DEPTH: usize = 32;
/// The longest name, in bytes: what a file can claim must not grow far beyond its own size.
const NAME_LIMIT: usize = 512;
/// The first key of a map that holds one array in chunks.
const CHUNKED: &str = "__msgpack_chunked_array__";

/// Flax's format.
pub(super) struct Flax;

impl Format for Flax {
    fn name(&self) -> &'static str {
        "flax"
    }

    /// MessagePack has no magic number: this is a map that is not empty, whose first key is text and whose first value is a
    /// map or an array.
    fn recognises(&self, file: &[u8]) -> bool {
        let mut reader = Reader::new(file, 0);
        let count = reader.map("").ok().flatten().unwrap_or_default();
        count > 0 && reader.key("").is_ok_and(|key| key.len() <= NAME_LIMIT) && reader.is_map_or_array()
    }

    fn open(&self, file: &MappedFile) -> Result<FileContents, FormatError> {
        let mut walk = Walk { file, name: String::new(), contents: FileContents::default() };
        let mut reader = Reader::new(file.bytes(), 0);
        let Some(count) = reader.map("")? else { return Err(reader.unexpected("", "a map").into()) };
        walk.map(&mut reader, count, 1)?;
        match reader.remaining() {
            0 => Ok(walk.contents),
            remaining => Err(FlaxFault::Trailing { offset: reader.offset(), remaining }.into()),
        }
    }
}

/// The way through the maps.
struct Walk<'a> {
    file: &'a MappedFile,
    /// The keys so far, joined by dots.
    name: String,
    contents: FileContents,
}

impl Walk<'_> {
    /// Adds the arrays of a map of `count` entries, the `depth`th of those within each other.
    fn map(&mut self, reader: &mut Reader<'_>, count: u32, depth: usize) -> Result<(), FlaxFault> {
        if depth > DEPTH {
            return Err(FlaxFault::Depth { tensor: self.name.clone(), offset: reader.offset(), limit: DEPTH });
        }
        for _ in 0..count {
            let (length, offset) = (self.name.len(), reader.offset());
            let key = reader.key(&self.name)?;
            if length + 1 + key.len() > NAME_LIMIT {
                return Err(FlaxFault::Name { tensor: self.name.clone(), offset, limit: NAME_LIMIT });
            }
            if length > 0 {
                self.name.push('.');
            }
            self.name.push_str(key);
            self.value(reader, depth)?;
            self.name.truncate(length);
        }
        Ok(())
    }

    /// Adds what the value at the current name holds. Numbers, text and flags are no tensors and are passed over.
    fn value(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), FlaxFault> {
        match reader.value(&self.name)? {
            Value::Map(count) if reader.clone().key("").is_ok_and(|key| count > 0 && key == CHUNKED) => {
                let read = array::chunked(reader, count, &self.name, self.file)?;
                self.add(read);
            }
            Value::Map(count) => self.map(reader, count, depth + 1)?,
            Value::Extension { kind: array::ARRAY | array::SCALAR, mut content } => {
                let read = array::single(&mut content, &self.name)?;
                self.add(read);
            }
            Value::Extension { kind, .. } => self.contents.unmeasured.push(Unmeasured {
                name: self.name.clone(),
                shape: Vec::new(),
                dtype: format!("extension {kind}"),
                reason: "it is no array of numbers".to_owned(),
            }),
            Value::Other => {}
        }
        Ok(())
    }

    fn add(&mut self, read: array::Read) {
        match read {
            array::Read::Tensor(tensor) => self.contents.tensors.push(tensor),
            array::Read::Unmeasured(tensor) => self.contents.unmeasured.push(tensor),
        }
    }
}
