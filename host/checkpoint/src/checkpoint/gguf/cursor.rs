//! Reads the words and strings of a GGUF header, each checked against the bytes that are there.

use super::fault::{GgufFault, Place};

/// The rest of a header. Everything taken from it is lent from the file: nothing is allocated.
#[derive(Debug)]
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
    pub(super) fn take(&mut self, length: u64, place: impl Fn() -> Place) -> Result<&'a [u8], GgufFault> {
        let rest = self.file.get(self.at..).unwrap_or_default();
        match usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(self.ends(length, place())),
        }
    }

    /// Checks that there is room for `count` things of at least `size` bytes each.
    pub(super) fn room(&self, count: u64, size: u64, place: impl Fn() -> Place) -> Result<(), GgufFault> {
        let needed = count.saturating_mul(size);
        if needed <= self.left() { Ok(()) } else { Err(self.ends(needed, place())) }
    }

    fn ends(&self, needed: u64, place: Place) -> GgufFault {
        GgufFault::Ends { place, offset: self.offset(), needed, left: self.left() }
    }

    fn array<const N: usize>(&mut self, place: impl Fn() -> Place) -> Result<[u8; N], GgufFault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, place)?);
        Ok(array)
    }

    /// A 32-bit word.
    pub(super) fn u32(&mut self, place: impl Fn() -> Place) -> Result<u32, GgufFault> {
        self.array(place).map(u32::from_le_bytes)
    }

    /// A 64-bit word.
    pub(super) fn u64(&mut self, place: impl Fn() -> Place) -> Result<u64, GgufFault> {
        self.array(place).map(u64::from_le_bytes)
    }

    /// A string's bytes, which may be anything.
    pub(super) fn bytes(&mut self, place: impl Fn() -> Place) -> Result<&'a [u8], GgufFault> {
        let length = self.u64(&place)?;
        self.take(length, place)
    }

    /// A string that must be UTF-8.
    pub(super) fn text(&mut self, place: impl Fn() -> Place) -> Result<&'a str, GgufFault> {
        let bytes = self.bytes(&place)?;
        std::str::from_utf8(bytes).map_err(|error| GgufFault::NotUtf8 {
            place: place(),
            offset: self.offset() - (bytes.len() - error.valid_up_to()) as u64,
        })
    }
}
