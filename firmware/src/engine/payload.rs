//! The payload of a chunk as an engine receives it: the elements, in the buffer that brought them, passed on without a copy.

use alloc::vec::Vec;
use core::ops::Deref;

/// The elements of a chunk, little-endian, at the end of the buffer that they arrived in.
///
/// Owns the buffer, so that an engine which works beside the processor can keep it, and gives it back for reuse.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payload {
    buffer: Vec<u8>,
    /// Bytes before the elements.
    start: usize,
}

impl Payload {
    /// The bytes of `buffer` from `start` on; none where it is shorter.
    pub const fn new(buffer: Vec<u8>, start: usize) -> Self {
        Self { buffer, start }
    }

    /// The whole buffer, for reuse.
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}

impl From<Vec<u8>> for Payload {
    fn from(buffer: Vec<u8>) -> Self {
        Self::new(buffer, 0)
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }
}
