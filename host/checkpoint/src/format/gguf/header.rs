//! Parses the header of a GGUF file: metadata and the list of tensors, as the file states them.
//!
//! ```text
//! "GGUF"  version u32  tensors u64  entries u64
//! entries × { key: string, type u32, value }
//! tensors × { name: string, dimensions u32, dimension u64 …, type u32, offset u64 }
//! padding to general.alignment (32), then the data, which the offsets count from
//! ```
//!
//! A string is its length as a u64 and as many bytes. Source: `docs/gguf.md` in ggml-org/ggml.

use std::collections::{BTreeMap, HashSet};

use super::cursor::Cursor;
use super::fault::{GgufFault, HeaderField};
use super::value::{self, Scalar};

/// The first bytes of every GGUF file.
pub(super) const MAGIC: &[u8] = b"GGUF";

/// The alignment of files that do not state another.
const ALIGNMENT: u64 = 32;

/// The largest alignment that is read; llama.cpp writes 32.
const ALIGNMENT_LIMIT: u64 = 1 << 24;

/// The most dimensions that the format allows.
const DIMENSIONS: u32 = 4;

/// Bytes that the shortest entry of the metadata takes: key's length, type and a byte.
const SHORTEST_ENTRY: u64 = 8 + 4 + 1;

/// Bytes that the shortest entry of a tensor takes: name's length, number of dimensions, type and offset.
const SHORTEST_TENSOR: u64 = 8 + 4 + 4 + 8;

/// What the header states.
#[derive(Debug)]
pub(super) struct Header<'a> {
    /// The metadata, arrays only by their lengths.
    pub(super) metadata: BTreeMap<&'a str, Scalar<'a>>,
    /// The tensors in the order of the file. Types and offsets are not checked yet.
    pub(super) tensors: Vec<Tensor<'a>>,
    /// What every offset is a multiple of.
    pub(super) alignment: u64,
    /// Where in the file the data begins; may be behind its end.
    pub(super) data: u64,
}

/// One tensor as the header states it.
#[derive(Debug)]
pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    /// Dimensions, outermost first.
    pub(super) shape: Vec<u64>,
    /// The number of its type.
    pub(super) kind: u32,
    /// Where it is, from the start of the data.
    pub(super) offset: u64,
}

impl<'a> Header<'a> {
    /// Parses the start of `file`, the whole content of a GGUF file.
    pub(super) fn parse(file: &'a [u8]) -> Result<Self, GgufFault> {
        let mut cursor = Cursor::new(file, MAGIC.len());
        check_version(cursor.u32(|| HeaderField::Start)?)?;
        let tensors = cursor.u64(|| HeaderField::Start)?;
        let entries = cursor.u64(|| HeaderField::Start)?;
        let metadata = metadata(&mut cursor, entries)?;
        let tensors = list(&mut cursor, tensors)?;
        let alignment = match metadata.get("general.alignment") {
            None => ALIGNMENT,
            // Anything that is not a whole number is no alignment either.
            Some(value) => value.as_u64().unwrap_or(0),
        };
        if !alignment.is_power_of_two() || alignment > ALIGNMENT_LIMIT {
            return Err(GgufFault::Alignment { alignment, limit: ALIGNMENT_LIMIT });
        }
        let data = cursor.offset().next_multiple_of(alignment);
        Ok(Self { metadata, tensors, alignment, data })
    }

    /// The value under a key as a whole number.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.metadata.get(key)?.as_u64()
    }
}

fn check_version(version: u32) -> Result<(), GgufFault> {
    match version {
        2 | 3 => Ok(()),
        // Versions are small, so the one with its zeros in front was written the other way round.
        _ if version > 0xffff && version.swap_bytes() <= 0xffff => {
            Err(GgufFault::BigEndian { version: version.swap_bytes() })
        }
        _ => Err(GgufFault::Version { version }),
    }
}

fn metadata<'a>(cursor: &mut Cursor<'a>, count: u64) -> Result<BTreeMap<&'a str, Scalar<'a>>, GgufFault> {
    cursor.room(count, SHORTEST_ENTRY, || HeaderField::Metadata(count))?;
    let mut metadata = BTreeMap::new();
    for number in 0..count {
        let key = cursor.text(|| HeaderField::Key(number))?;
        let value = value::read(cursor, key)?;
        if metadata.insert(key, value).is_some() {
            return Err(GgufFault::RepeatedKey { key: key.to_owned() });
        }
    }
    Ok(metadata)
}

fn list<'a>(cursor: &mut Cursor<'a>, count: u64) -> Result<Vec<Tensor<'a>>, GgufFault> {
    cursor.room(count, SHORTEST_TENSOR, || HeaderField::Tensors(count))?;
    let (mut tensors, mut names) = (Vec::new(), HashSet::new());
    for number in 0..count {
        let name = cursor.text(|| HeaderField::Name(number))?;
        let field = || HeaderField::Tensor(name.to_owned());
        if !names.insert(name) {
            return Err(GgufFault::RepeatedTensor { tensor: name.to_owned() });
        }
        let dimensions = cursor.u32(field)?;
        if dimensions > DIMENSIONS {
            return Err(GgufFault::Dimensions { tensor: name.to_owned(), dimensions, limit: DIMENSIONS });
        }
        let mut shape = (0..dimensions).map(|_| cursor.u64(field)).collect::<Result<Vec<_>, _>>()?;
        // The file states them innermost first.
        shape.reverse();
        tensors.push(Tensor { name, shape, kind: cursor.u32(field)?, offset: cursor.u64(field)? });
    }
    Ok(tensors)
}
