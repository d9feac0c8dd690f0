//! Reads the words and strings of a GGUF header, each checked against the bytes that are there.

use super::fault::{GgufFault, HeaderField};

/// The rest of a header. Everything taken from it is lent from the file: nothing is allocated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at byte `at` of the file.
    pub(super) fn new(file: &'a [u8], at: usize) -> Self {
        Self { file, at: at.min(file.len()) }
    }

    /// Where in the file the next byte is.
    pub(super) fn offset(&self) -> u64 {
        self.at as u64
    }

    /// How many bytes the file still has.
    fn left(&self) -> u64 {
        (self.file.len() - self.at) as u64
    }

    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: u64, field: impl Fn() -> HeaderField) -> Result<&'a [u8], GgufFault> {
        let rest = self.file.get(self.at..).unwrap_or_default();
        match usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(self.ends(length, field())),
        }
    }

    /// Checks that there is room for `count` things of at least `size` bytes each.
    pub(super) fn room(&self, count: u64, size: u64, field: impl Fn() -> HeaderField) -> Result<(), GgufFault> {
        let needed = count.saturating_mul(size);
        if needed <= self.left() { Ok(()) } else { Err(self.ends(needed, field())) }
    }

    fn ends(&self, needed: u64, field: HeaderField) -> GgufFault {
        GgufFault::Ends { field, offset: self.offset(), needed, left: self.left() }
    }

    fn array<const N: usize>(&mut self, field: impl Fn() -> HeaderField) -> Result<[u8; N], GgufFault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, field)?);
        Ok(array)
    }

    /// A 32-bit word.
    pub(super) fn u32(&mut self, field: impl Fn() -> HeaderField) -> Result<u32, GgufFault> {
        self.array(field).map(u32::from_le_bytes)
    }

    /// A 64-bit word.
    pub(super) fn u64(&mut self, field: impl Fn() -> HeaderField) -> Result<u64, GgufFault> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A string's bytes, which may be anything.
    pub(super) fn bytes(&mut self, field: impl Fn() -> HeaderField) -> Result<&'a [u8], GgufFault> {
        let length = self.u64(&field)?;
        self.take(length, field)
    }

    /// A string that must be UTF-8.
    pub(super) fn text(&mut self, field: impl Fn() -> HeaderField) -> Result<&'a str, GgufFault> {
        let bytes = self.bytes(&field)?;
        std::str::from_utf8(bytes).map_err(|error| GgufFault::NotUtf8 {
            field: field(),
            offset: self.offset() - (bytes.len() - error.valid_up_to()) as u64,
        })
    }
}
