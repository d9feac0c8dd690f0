//! Measuring on the processor, in blocks that stay in its first-level cache.
//!
//! Each block is decoded to f32 (or to f64 where f32 would round), summed around a pivot in f64, counted into the
//! histogram, searched for extremes and quantized, and its moments are merged into the chunk's. Sums run in a fixed number of lanes
//! with separate multiplications and additions, so that a processor with wider registers gives the same bits.

mod decode;
mod ends;
mod histogram;
mod lines;
mod passes;
mod prefetch;
mod quantize;
mod rows;
mod single;
mod sums;

#[cfg(feature = "gpu")]
use alloc::vec::Vec;

use kurtoscope_shared::{Element, Moments, protocol::Measurement};
#[cfg(feature = "gpu")]
use kurtoscope_shared::{Lines, Noise};

use decode::Sample;
pub(super) use ends::Ends;
use histogram::Histogram;
use prefetch::prefetch;
use rows::Rows;
pub use single::{TOLERANCE as SINGLE_TOLERANCE, measure as measure_single};

use super::Piece;

/// Elements in a block. As f32 they take a third of a desktop's first-level cache, or 256 bytes of a microcontroller's stack.
const BLOCK: usize = if cfg!(feature = "std") { 4096 } else { 64 };

/// In how many parts a block is counted, with a part of the next one asked for before each: as many lines as memory has
/// on their way at a time.
const PARTS: usize = if cfg!(feature = "std") { 16 } else { 1 };

/// Measures the elements in `bytes`, little-endian. A last incomplete element is ignored; callers check lengths first, and
/// how the piece lies in its tensor.
pub fn measure(bytes: &[u8], piece: Piece) -> Measurement {
    let element = piece.element;
    match element {
        Element::F32 => blocks::<f32, true>(bytes, piece, decode::f32),
        Element::F16 => blocks::<f32, true>(bytes, piece, decode::f16),
        Element::Bf16 => blocks::<f32, true>(bytes, piece, decode::bf16),
        Element::F8E4m3 | Element::F8E5m2 | Element::I16 | Element::I8 | Element::U16 | Element::U8 | Element::Bool => {
            blocks::<f32, true>(bytes, piece, |bytes, block| decode::scalar(element, bytes, block))
        }
        Element::F64 | Element::I64 | Element::I32 | Element::U64 | Element::U32 => {
            blocks::<f64, true>(bytes, piece, |bytes, block| decode::scalar(element, bytes, block))
        }
    }
}

/// Moments and ends alone, in f64 whatever the type, and in little memory: for engines that seldom need it.
fn measure_in_f64(bytes: &[u8], piece: Piece) -> Measurement {
    blocks::<f64, false>(bytes, piece, |bytes, block| decode::scalar(piece.element, bytes, block))
}

/// What is measured by row alone, for an engine that measures the rest elsewhere.
#[cfg(feature = "gpu")]
pub(super) fn by_row(bytes: &[u8], piece: Piece) -> (Noise, Lines) {
    let Some(mut rows) = Rows::new(piece, bytes) else { return Default::default() };
    let mut block = Vec::new();
    for bytes in bytes.chunks(BLOCK * piece.element.size()) {
        decode::finite(piece.element, bytes, &mut block);
        rows.take(&block);
    }
    rows.finish()
}

/// Measures block by block. Where `ALL` is not set, what a microcontroller has no memory for is not even in its program.
// Inlined, the blocks of all element types would be on the stack at once.
#[cfg_attr(not(feature = "std"), inline(never))]
fn blocks<S: Sample, const ALL: bool>(bytes: &[u8], piece: Piece, decode: impl Fn(&[u8], &mut [S])) -> Measurement {
    let Piece { element, statistics, .. } = piece;
    let mut rows = if ALL { Rows::new(piece, bytes) } else { None };
    let mut scratch = [S::ZERO; BLOCK];
    let mut total = Moments::EMPTY;
    let mut histogram = (ALL && statistics.tail).then(Histogram::new);
    let mut ends = Ends::new(usize::from(statistics.top));
    let mut chunks = bytes.chunks(BLOCK * element.size()).peekable();
    let mut position = 0;
    while let Some(bytes) = chunks.next() {
        let length = bytes.len() / element.size();
        let block = match S::in_place(bytes, element) {
            Some(block) => block,
            None => {
                decode(bytes, &mut scratch[..length]);
                &scratch[..length]
            }
        };
        let moments = match sums::moments(block, (total.count > 0).then_some(total.mean)) {
            Some(moments) => {
                ends.search(block, position, S::from_f64(moments.min), S::from_f64(moments.max));
                if ALL && let Some(histogram) = &mut histogram {
                    // The slowest of the passes: meanwhile the next block comes into the cache.
                    let mut next = chunks.peek().copied().unwrap_or_default().chunks(BLOCK / PARTS * element.size());
                    for part in block.chunks(BLOCK / PARTS) {
                        prefetch(next.next().unwrap_or_default());
                        histogram.count(part);
                    }
                    histogram.leave_out(moments.zeros);
                }
                if ALL && let Some(rows) = &mut rows {
                    rows.take(block);
                }
                moments
            }
            None => {
                // Something in the block is not finite, or too large for its powers: look at every element.
                for (index, sample) in block.iter().enumerate() {
                    ends.offer(*sample, position + index as u64);
                }
                decode(bytes, &mut scratch[..length]);
                if ALL && let Some(rows) = &mut rows {
                    rows.take_finite(&scratch[..length]);
                }
                let finite = S::gather_finite(&mut scratch[..length]);
                let moments = sums::moments_of_finite(&scratch[..finite], (length - finite) as u64);
                if ALL && let Some(histogram) = &mut histogram {
                    histogram.count(&scratch[..finite]);
                    histogram.leave_out(moments.zeros);
                }
                moments
            }
        };
        total = total.merge(moments);
        position += length as u64;
    }
    let found = Measurement { moments: total, top: ends.finish(), ..Measurement::default() };
    if !ALL {
        return found;
    }
    let tail = histogram.map(Histogram::finish).unwrap_or_default();
    let (noise, lines) = rows.map(Rows::finish).unwrap_or_default();
    Measurement { tail, noise, lines, ..found }
}

#[cfg(test)]
mod tests;
