//! Measuring on the processor, in blocks that stay in its first-level cache.
//!
//! Each block is decoded to f32 (or to f64 where f32 would round), summed around a pivot in f64, counted into the
//! histogram and searched for extremes, and its moments are merged into the chunk's. Sums run in a fixed number of lanes
//! with separate multiplications and additions, so that a processor with wider registers gives the same bits.

mod decode;
mod ends;
mod histogram;
mod passes;
mod sums;

use kurtoscope_shared::{
    Element, Moments,
    protocol::{Measurement, Statistics},
};

use decode::Sample;
#[cfg_attr(not(feature = "gpu"), allow(unused_imports))]
pub(super) use ends::Ends;
use histogram::Histogram;

/// Elements in a block. As f32 they take a third of a desktop's first-level cache, or 1 KiB of a microcontroller's stack.
const BLOCK: usize = if cfg!(feature = "std") { 4096 } else { 256 };

/// Measures the elements in `bytes`, little-endian. A last incomplete element is ignored; callers check lengths first.
pub fn measure(bytes: &[u8], element: Element, statistics: Statistics) -> Measurement {
    match element {
        Element::F32 => blocks::<f32>(bytes, element, statistics, decode::f32),
        Element::F16 => blocks::<f32>(bytes, element, statistics, decode::f16),
        Element::Bf16 => blocks::<f32>(bytes, element, statistics, decode::bf16),
        Element::F8E4m3 | Element::F8E5m2 | Element::I16 | Element::I8 | Element::U16 | Element::U8 | Element::Bool => {
            blocks::<f32>(bytes, element, statistics, |bytes, block| decode::scalar(element, bytes, block))
        }
        Element::F64 | Element::I64 | Element::I32 | Element::U64 | Element::U32 => {
            blocks::<f64>(bytes, element, statistics, |bytes, block| decode::scalar(element, bytes, block))
        }
    }
}

fn blocks<S: Sample>(
    bytes: &[u8],
    element: Element,
    statistics: Statistics,
    decode: impl Fn(&[u8], &mut [S]),
) -> Measurement {
    let mut scratch = [S::ZERO; BLOCK];
    let mut total = Moments::EMPTY;
    let mut histogram = statistics.tail.then(Histogram::new);
    let mut ends = Ends::new(usize::from(statistics.top));
    for (number, bytes) in bytes.chunks(BLOCK * element.size()).enumerate() {
        let length = bytes.len() / element.size();
        let block = match S::in_place(bytes, element) {
            Some(block) => block,
            None => {
                decode(bytes, &mut scratch[..length]);
                &scratch[..length]
            }
        };
        let position = (number * BLOCK) as u64;
        let moments = match sums::moments(block, (total.count > 0).then_some(total.mean)) {
            Some(moments) => {
                ends.search(block, position, moments.min, moments.max);
                if let Some(histogram) = &mut histogram {
                    histogram.count(block, moments.zeros);
                }
                moments
            }
            None => {
                // Something in the block is not finite, or too large for its powers: look at every element.
                for (index, sample) in block.iter().enumerate() {
                    ends.offer((*sample).into(), position + index as u64);
                }
                decode(bytes, &mut scratch[..length]);
                let finite = S::gather_finite(&mut scratch[..length]);
                let moments = sums::moments_of_finite(&scratch[..finite], (length - finite) as u64);
                if let Some(histogram) = &mut histogram {
                    histogram.count(&scratch[..finite], moments.zeros);
                }
                moments
            }
        };
        total = total.merge(moments);
    }
    Measurement { moments: total, tail: histogram.map(Histogram::finish).unwrap_or_default(), top: ends.finish() }
}

#[cfg(test)]
mod tests;
