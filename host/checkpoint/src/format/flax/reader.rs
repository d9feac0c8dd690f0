//! A reader of MessagePack that knows where in the file it is. Nothing is copied, and no length is believed that the rest of
//! the bytes does not hold.

use rmp::Marker;
use rmp::decode;

use super::fault::FlaxFault;

/// Reads values one after the other from a part of a file.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Where in the file `rest` ends.
    end: usize,
}

/// A value, as far as it has been read.
pub(super) enum Value<'a> {
    /// A map of so many entries, which follow.
    Map(u32),
    /// A value of an application's own type.
    Extension {
        /// The type's number.
        kind: i8,
        /// Its bytes.
        content: Reader<'a>,
    },
    /// Anything else, which has been passed over.
    Other,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, which begin at byte `start` of the file.
    pub(super) fn new(bytes: &'a [u8], start: usize) -> Self {
        Self { rest: bytes, end: start + bytes.len() }
    }

    /// Where in the file the next value begins.
    pub(super) fn offset(&self) -> u64 {
        (self.end - self.rest.len()) as u64
    }

    /// Bytes that have not been read.
    pub(super) fn remaining(&self) -> u64 {
        self.rest.len() as u64
    }

    /// The fault that something else than `expected` is next.
    pub(super) fn unexpected(&self, tensor: &str, expected: &'static str) -> FlaxFault {
        FlaxFault::Unexpected { tensor: tensor.to_owned(), offset: self.offset(), expected }
    }

    /// Whether a map or an extension is next.
    pub(super) fn is_map_or_array(&self) -> bool {
        self.marker().is_some_and(|marker| is_map(marker) || is_extension(marker))
    }

    /// Reads the number of entries if a map is next.
    pub(super) fn map(&mut self, tensor: &str) -> Result<Option<u32>, FlaxFault> {
        match self.marker() {
            Some(marker) if is_map(marker) => self.read(tensor, "a map", decode::read_map_len).map(Some),
            _ => Ok(None),
        }
    }

    /// Reads the number of elements of an array.
    pub(super) fn array(&mut self, tensor: &str, expected: &'static str) -> Result<u32, FlaxFault> {
        self.read(tensor, expected, decode::read_array_len)
    }

    /// Reads an unsigned integer.
    pub(super) fn integer(&mut self, tensor: &str, expected: &'static str) -> Result<u64, FlaxFault> {
        self.read(tensor, expected, decode::read_int::<u64, _>)
    }

    /// Reads a key, which is text.
    pub(super) fn key(&mut self, tensor: &str) -> Result<&'a str, FlaxFault> {
        self.text(tensor, "a key of text")
    }

    /// Reads text.
    pub(super) fn text(&mut self, tensor: &str, expected: &'static str) -> Result<&'a str, FlaxFault> {
        let (text, rest) = decode::read_str_from_slice(self.rest).map_err(|_| self.unexpected(tensor, expected))?;
        self.rest = rest;
        Ok(text)
    }

    /// Passes over bytes; where in the file they are.
    pub(super) fn bytes(&mut self, tensor: &str) -> Result<std::ops::Range<usize>, FlaxFault> {
        let length = self.read(tensor, "the bytes of an array", decode::read_bin_len)?;
        let end = self.take(tensor, length.into())?.end;
        Ok(end - length as usize..end)
    }

    /// Reads a value, of a map its head alone.
    pub(super) fn value(&mut self, tensor: &str) -> Result<Value<'a>, FlaxFault> {
        match self.marker() {
            Some(marker) if is_map(marker) => self.read(tensor, "a map", decode::read_map_len).map(Value::Map),
            Some(marker) if is_extension(marker) => {
                let meta = self.read(tensor, "an extension", decode::read_ext_meta)?;
                Ok(Value::Extension { kind: meta.typeid, content: self.take(tensor, meta.size.into())? })
            }
            _ => self.skip(tensor).map(|()| Value::Other),
        }
    }

    /// Passes over a value with all that it holds, in time proportional to its bytes.
    pub(super) fn skip(&mut self, tensor: &str) -> Result<(), FlaxFault> {
        let mut values = 1_u64;
        while values > 0 {
            values = values.saturating_sub(1).saturating_add(self.skip_head(tensor)?);
        }
        Ok(())
    }

    /// Passes over one value without those that it holds; how many these are.
    fn skip_head(&mut self, tensor: &str) -> Result<u64, FlaxFault> {
        const VALUE: &str = "a value";
        let Some(marker) = self.marker() else { return Err(self.unexpected(tensor, VALUE)) };
        let length = match marker {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => 1,
            Marker::U8 | Marker::I8 => 2,
            Marker::U16 | Marker::I16 => 3,
            Marker::U32 | Marker::I32 | Marker::F32 => 5,
            Marker::U64 | Marker::I64 | Marker::F64 => 9,
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                self.read(tensor, VALUE, decode::read_str_len)?.into()
            }
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => self.read(tensor, VALUE, decode::read_bin_len)?.into(),
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
                return self.read(tensor, VALUE, decode::read_array_len).map(u64::from);
            }
            marker if is_map(marker) => {
                return self.read(tensor, VALUE, decode::read_map_len).map(|count| 2 * u64::from(count));
            }
            marker if is_extension(marker) => self.read(tensor, VALUE, decode::read_ext_meta)?.size.into(),
            _ => return Err(self.unexpected(tensor, VALUE)),
        };
        self.take(tensor, length).map(|_| 0)
    }

    /// The next `length` bytes.
    fn take(&mut self, tensor: &str, length: u64) -> Result<Reader<'a>, FlaxFault> {
        let taken = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((taken, rest)) = taken else {
            let (tensor, offset) = (tensor.to_owned(), self.offset());
            return Err(FlaxFault::Truncated { tensor, offset, needed: length, available: self.remaining() });
        };
        let start = self.end - self.rest.len();
        self.rest = rest;
        Ok(Reader::new(taken, start))
    }

    fn marker(&self) -> Option<Marker> {
        self.rest.first().map(|byte| Marker::from_u8(*byte))
    }

    /// Reads with one of the crate's functions; nothing is consumed where it fails.
    fn read<T, E>(
        &mut self,
        tensor: &str,
        expected: &'static str,
        read: impl FnOnce(&mut &'a [u8]) -> Result<T, E>,
    ) -> Result<T, FlaxFault> {
        let mut rest = self.rest;
        let value = read(&mut rest).map_err(|_| self.unexpected(tensor, expected))?;
        self.rest = rest;
        Ok(value)
    }
}

const fn is_map(marker: Marker) -> bool {
    matches!(marker, Marker::FixMap(_) | Marker::Map16 | Marker::Map32)
}

const fn is_extension(marker: Marker) -> bool {
    matches!(
        marker,
        Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16
            | Marker::Ext8
            | Marker::Ext16
            | Marker::Ext32
    )
}
