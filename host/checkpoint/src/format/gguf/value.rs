//! The values in a GGUF file's metadata: scalars are kept, strings are lent, arrays are walked, counted and lent as they
//! are in the file.

use super::cursor::Cursor;
use super::fault::{GgufFault, HeaderField};

/// How deep arrays may nest. llama.cpp writes none inside another.
const DEPTH: u32 = 4;

/// A value of the metadata.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    /// An unsigned integer of any width.
    Unsigned(u64),
    /// A signed integer of any width.
    Signed(i64),
    /// A float of either width.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A string, which ought to be UTF-8.
    Text(&'a [u8]),
    /// An array.
    Array(Array<'a>),
}

/// An array as it is in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Array<'a> {
    /// How many elements it has.
    pub(super) count: u64,
    /// The number of their type.
    kind: u32,
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// Its strings, where it is one of strings that are UTF-8.
    pub(super) fn texts(&self) -> Option<Vec<&'a str>> {
        let mut cursor = Cursor::new(self.bytes, 0);
        let field = || HeaderField::Start;
        let text = |_| std::str::from_utf8(cursor.bytes(field).ok()?).ok();
        (self.kind == STRING).then(|| (0..self.count).map(text).collect())?
    }
}

impl Scalar<'_> {
    /// The value as a whole number that is not negative.
    pub(super) fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(value) => Some(value),
            Self::Signed(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    /// The value as text.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

/// Reads the type of the value under `key`, and the value.
pub(super) fn read<'a>(cursor: &mut Cursor<'a>, key: &str) -> Result<Scalar<'a>, GgufFault> {
    let field = || HeaderField::Value(key.to_owned());
    let offset = cursor.offset();
    let kind = cursor.u32(field)?;
    let word = |cursor: &mut Cursor<'a>, size: u64| {
        let mut word = [0; 8];
        let bytes = cursor.take(size, field)?;
        word[..bytes.len()].copy_from_slice(bytes);
        Ok(u64::from_le_bytes(word))
    };
    Ok(match kind {
        0 | 2 | 4 | 10 => Scalar::Unsigned(word(cursor, size_of_kind(kind))?),
        1 => Scalar::Signed(i64::from(word(cursor, 1)? as i8)),
        3 => Scalar::Signed(i64::from(word(cursor, 2)? as i16)),
        5 => Scalar::Signed(i64::from(word(cursor, 4)? as i32)),
        11 => Scalar::Signed(word(cursor, 8)? as i64),
        6 => Scalar::Float(f64::from(f32::from_bits(word(cursor, 4)? as u32))),
        12 => Scalar::Float(f64::from_bits(word(cursor, 8)?)),
        7 => Scalar::Bool(word(cursor, 1)? != 0),
        STRING => Scalar::Text(cursor.bytes(field)?),
        ARRAY => Scalar::Array(array(cursor, key)?),
        _ => return Err(GgufFault::ValueType { field: field(), kind, offset }),
    })
}

const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Bytes that a value of this type takes; 0 where it depends on the value or the type is unknown.
const fn size_of_kind(kind: u32) -> u64 {
    match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => 0,
    }
}

/// Walks an array.
fn array<'a>(cursor: &mut Cursor<'a>, key: &str) -> Result<Array<'a>, GgufFault> {
    let start = *cursor;
    let count = skip_array(cursor, key, 1)?;
    let mut inside = start;
    let field = || HeaderField::Value(key.to_owned());
    let kind = inside.u32(field)?;
    inside.u64(field)?;
    let length = cursor.offset() - inside.offset();
    Ok(Array { count, kind, bytes: inside.take(length, field)? })
}

/// Skips an array and returns how many elements it has.
fn skip_array(cursor: &mut Cursor<'_>, key: &str, depth: u32) -> Result<u64, GgufFault> {
    let field = || HeaderField::Value(key.to_owned());
    let offset = cursor.offset();
    if depth > DEPTH {
        return Err(GgufFault::Nesting { field: field(), limit: DEPTH, offset });
    }
    let kind = cursor.u32(field)?;
    let count = cursor.u64(field)?;
    match kind {
        STRING => {
            // A string is at least its length: a count that cannot be met is refused before it is counted to.
            cursor.room(count, 8, field)?;
            for _ in 0..count {
                cursor.bytes(field)?;
            }
        }
        ARRAY => {
            cursor.room(count, 12, field)?;
            for _ in 0..count {
                skip_array(cursor, key, depth + 1)?;
            }
        }
        _ => match size_of_kind(kind) {
            0 => return Err(GgufFault::ValueType { field: field(), kind, offset }),
            size => {
                cursor.room(count, size, field)?;
                cursor.take(count * size, field)?;
            }
        },
    }
    Ok(count)
}
