//! Lossless compression of a chunk's elements for links that are slower than the compression. The exponents of real
//! weights hold few bits, so one byte of each element carries far less than eight; see [`compress`] and [`decompress`].
//!
//! # Format
//!
//! An element of `size` bytes is cut into `size` planes: plane `p` holds byte `p` of every element, in order. The
//! compressed form is the planes one after another, from plane 0. The number of elements `n` is not stored: the chunk
//! says it. Each plane opens with a byte:
//!
//! | byte | plane | what follows |
//! |---|---|---|
//! | 0 | raw | the `n` bytes |
//! | 1 | constant | one byte, which all `n` are |
//! | 2 | coded | 128 bytes of code lengths, the byte length of each stream as four `u32`, little-endian, then four bit streams |
//!
//! - **Code lengths**, 4 bits for each byte value: value `2i` in the lower half of byte `i`, value `2i + 1` in the upper.
//!   0 marks a value that does not occur, the others are 1 to 11 bits. The code is complete: the sum of
//!   `2^-length` is exactly 1.
//! - **Codes** are canonical: in order of length, then of value, each is the one before plus one, shifted left where the
//!   length grows, beginning with zeros.
//! - **Streams.** With `q = ceil(n / 4)`, stream `s` holds the values from `s * q` up to `(s + 1) * q`, or as far as there
//!   are any. Bits fill each byte from its lowest, a code's leading bit first; the rest of the last byte is 0.
//!
//! # Example
//!
//! Three elements of two bytes, `01 3f`, `01 bf`, `01 3f`: plane 0 is constant, plane 1 is shorter raw than coded:
//!
//! ```text
//! 01 01           plane 0: constant, 01
//! 00 3f bf 3f     plane 1: raw
//! ```

use alloc::vec::Vec;
use core::fmt;

mod code;

use code::{DecodingTable, LENGTHS_BYTES, MAX_BITS, canonical_codes, limited_lengths};

const RAW: u8 = 0;
const CONSTANT: u8 = 1;
const CODED: u8 = 2;
/// Streams of a coded plane.
const STREAMS: usize = 4;
/// Bytes of a coded plane before its streams.
const CODED_HEADER: usize = LENGTHS_BYTES + STREAMS * 4;

/// Why a payload does not decompress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionError {
    /// The output is no whole number of elements.
    Elements {
        /// Bytes of output.
        len: usize,
        /// Bytes of an element.
        size: usize,
    },
    /// The payload ends too early.
    Short {
        /// Bytes that were needed at this place.
        needed: usize,
        /// Bytes that were left.
        left: usize,
    },
    /// A plane opens with a byte that is no mode.
    Mode {
        /// The byte.
        found: u8,
    },
    /// A plane's code lengths make no complete code.
    Code,
    /// A bit stream does not end where its length says.
    Stream {
        /// Bytes that it should have.
        len: usize,
    },
    /// Bytes are left over.
    Trailing {
        /// How many.
        left: usize,
    },
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elements { len, size } => write!(f, "{len} bytes are no whole number of elements of {size}"),
            Self::Short { needed, left } => {
                write!(f, "compressed payload ends early: {needed} bytes needed, {left} left")
            }
            Self::Mode { found } => write!(f, "compressed plane of unknown kind {found}; known are 0 to 2"),
            Self::Code => write!(f, "compressed plane with an incomplete code"),
            Self::Stream { len } => write!(f, "compressed stream does not end with its {len} bytes"),
            Self::Trailing { left } => write!(f, "{left} bytes left over behind the last compressed plane"),
        }
    }
}

impl core::error::Error for CompressionError {}

/// Appends the compressed form of `plain`, elements of `size` bytes. Returns `false` and leaves `output` as it was where
/// that would not be shorter.
pub fn compress(plain: &[u8], size: usize, output: &mut Vec<u8>) -> bool {
    let start = output.len();
    if size == 0 || !plain.len().is_multiple_of(size) {
        return false;
    }
    let mut plane = Vec::with_capacity(plain.len() / size);
    for at in 0..size {
        plane.clear();
        plane.extend(plain.iter().skip(at).step_by(size));
        compress_plane(&plane, output);
        if output.len() - start >= plain.len() {
            output.truncate(start);
            return false;
        }
    }
    true
}

fn compress_plane(plane: &[u8], output: &mut Vec<u8>) {
    let mut counts = [0u32; 256];
    for &value in plane {
        counts[usize::from(value)] += 1;
    }
    match plane.first() {
        Some(&first) if counts[usize::from(first)] as usize == plane.len() => {
            output.extend_from_slice(&[CONSTANT, first]);
            return;
        }
        _ => {}
    }
    let lengths = if plane.is_empty() { [0; 256] } else { limited_lengths(&counts) };
    let bits: u64 = counts.iter().zip(lengths).map(|(&count, length)| u64::from(count) * u64::from(length)).sum();
    // Four streams end in part of a byte each.
    if plane.is_empty() || bits / 8 + (CODED_HEADER + STREAMS) as u64 >= plane.len() as u64 {
        output.push(RAW);
        output.extend_from_slice(plane);
        return;
    }
    output.push(CODED);
    output.extend(lengths.chunks_exact(2).map(|pair| pair[0] | pair[1] << 4));
    let at = output.len();
    output.extend_from_slice(&[0; STREAMS * 4]);
    let codes = canonical_codes(&lengths);
    let quarter = plane.len().div_ceil(STREAMS);
    for stream in 0..STREAMS {
        let before = output.len();
        let values = &plane[(stream * quarter).min(plane.len())..((stream + 1) * quarter).min(plane.len())];
        let (mut buffer, mut held) = (0u64, 0u32);
        for four in values.chunks(4) {
            for &value in four {
                buffer |= u64::from(codes[usize::from(value)]) << held;
                held += u32::from(lengths[usize::from(value)]);
            }
            let whole = (held / 8) as usize;
            output.extend_from_slice(&buffer.to_le_bytes()[..whole]);
            buffer >>= whole * 8;
            held %= 8;
        }
        if held > 0 {
            output.push(buffer as u8);
        }
        let len = (output.len() - before) as u32;
        output[at + stream * 4..at + stream * 4 + 4].copy_from_slice(&len.to_le_bytes());
    }
}

/// Decompresses elements of `size` bytes into `output`, whose length the caller knows from a checked chunk. Nothing is
/// allocated; a table of 4 KiB is on the stack. On an error the output's content is of no use.
///
/// # Errors
/// When the payload is not exactly the compressed form of as many elements.
pub fn decompress(compressed: &[u8], size: usize, output: &mut [u8]) -> Result<(), CompressionError> {
    if size == 0 || !output.len().is_multiple_of(size) {
        return Err(CompressionError::Elements { len: output.len(), size });
    }
    let (output_len, count) = (output.len(), output.len() / size);
    let mut rest = compressed;
    for plane in 0..size {
        match take(&mut rest, 1)?[0] {
            RAW => {
                let values = take(&mut rest, count)?;
                for (place, &value) in output[plane.min(output_len)..].iter_mut().step_by(size).zip(values) {
                    *place = value;
                }
            }
            CONSTANT => {
                let value = take(&mut rest, 1)?[0];
                for place in output[plane.min(output_len)..].iter_mut().step_by(size) {
                    *place = value;
                }
            }
            CODED => decompress_coded(&mut rest, plane, size, count, output)?,
            found => return Err(CompressionError::Mode { found }),
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(CompressionError::Trailing { left: rest.len() }) }
}

fn take<'a>(rest: &mut &'a [u8], needed: usize) -> Result<&'a [u8], CompressionError> {
    let (taken, left) = rest.split_at_checked(needed).ok_or(CompressionError::Short { needed, left: rest.len() })?;
    *rest = left;
    Ok(taken)
}

// Inlined, the table would be on the stack of every caller, whether it decompresses or not.
#[inline(never)]
fn decompress_coded(
    rest: &mut &[u8],
    plane: usize,
    size: usize,
    count: usize,
    output: &mut [u8],
) -> Result<(), CompressionError> {
    let table = DecodingTable::new(take(rest, LENGTHS_BYTES)?).ok_or(CompressionError::Code)?;
    let lens = take(rest, STREAMS * 4)?;
    let quarter = count.div_ceil(STREAMS);
    let mut streams = [Bits::default(); STREAMS];
    for (stream, len) in streams.iter_mut().zip(lens.as_chunks::<4>().0) {
        stream.bytes = take(rest, u32::from_le_bytes(*len) as usize)?;
    }
    let held = |stream: usize| quarter.min(count.saturating_sub(stream * quarter));
    // All four streams have at least as many values as the last one.
    let together = held(STREAMS - 1);
    let mut done = 0;
    while done + 4 <= together {
        for stream in &mut streams {
            stream.refill();
        }
        for step in done..done + 4 {
            for (index, stream) in streams.iter_mut().enumerate() {
                output[(index * quarter + step) * size + plane] = stream.value(&table);
            }
        }
        done += 4;
    }
    for (index, stream) in streams.iter_mut().enumerate() {
        for step in done..held(index) {
            stream.refill();
            output[(index * quarter + step) * size + plane] = stream.value(&table);
        }
        if !stream.is_spent() {
            return Err(CompressionError::Stream { len: stream.bytes.len() });
        }
    }
    Ok(())
}

/// A bit stream being read.
#[derive(Debug, Clone, Copy, Default)]
struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits taken so far; past the end a stream reads as zeros.
    taken: usize,
    /// At least `4 * MAX_BITS` bits that come next, after a refill.
    next: u64,
}

impl Bits<'_> {
    fn refill(&mut self) {
        let from = (self.taken / 8).min(self.bytes.len());
        let rest = &self.bytes[from..];
        let word = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => rest.iter().rev().fold(0, |word, &byte| (word << 8) | u64::from(byte)),
        };
        self.next = word >> (self.taken % 8);
    }

    fn value(&mut self, table: &DecodingTable) -> u8 {
        let (value, length) = table.read(self.next);
        self.next >>= length;
        self.taken += usize::from(length);
        value
    }

    /// Whether the stream ends with the last code, but for zeros that fill its last byte.
    fn is_spent(&self) -> bool {
        let padding = self.bytes.last().is_none_or(|&last| match self.taken % 8 {
            0 => true,
            bits => last >> bits == 0,
        });
        self.taken.div_ceil(8) == self.bytes.len() && padding
    }
}

const _: () = assert!(4 * MAX_BITS as u32 + 7 <= u64::BITS);

#[cfg(test)]
mod tests;
