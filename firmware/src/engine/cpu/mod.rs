//! Measuring on the processor, in blocks that stay in its first-level cache.
//!
//! Each block is decoded to f32 (or to f64 where f32 would round), summed around a pivot in f64, counted into the
//! histogram, searched for extremes and quantized, and its moments are merged into the chunk's. Sums run in a fixed number of lanes
//! with separate multiplications and additions, so that a processor with wider registers gives the same bits.

mod collect;
mod column_error;
mod decode;
mod extremes;
mod histogram;
mod passes;
mod prefetch;
mod quantize;
mod row_column;
mod rows;
mod single;
mod sums;

#[cfg(feature = "gpu")]
use alloc::vec::Vec;

use kurtoscope_shared::{
    ColumnErrors, Element, Extremes, MagnitudeHistogram, Measurement, Moments, QuantizationErrors, RowColumnSums,
};

pub use collect::{Block, Collect, Collector, Collectors, StatisticList};
pub use decode::Sample;
#[cfg(feature = "gpu")]
pub(super) use extremes::ExtremesCollector;
pub use single::{TOLERANCE as SINGLE_TOLERANCE, measure as measure_single};

use super::ChunkSpec;

/// All that this engine measures.
pub type Everything = (Extremes, MagnitudeHistogram, QuantizationErrors, RowColumnSums, ColumnErrors);
/// What goes by the tensor's rows.
#[cfg(feature = "gpu")]
type ByRow = (QuantizationErrors, RowColumnSums, ColumnErrors);
/// What takes little memory.
pub type Small = (Extremes,);

/// Elements in a block. As f32 they take a third of a desktop's first-level cache, or 256 bytes of a microcontroller's stack.
const BLOCK: usize = if cfg!(feature = "std") { 4096 } else { 64 };

/// In how many parts a block is counted, with a part of the next one asked for before each: as many lines as memory has
/// on their way at a time.
const PARTS: usize = if cfg!(feature = "std") { 16 } else { 1 };

/// Measures the elements in `bytes`, little-endian: the moments, and of the statistics in the list `L` what `spec` asks for.
/// A last incomplete element is ignored; callers check lengths first, and the chunk's position in its tensor.
pub fn measure<L: StatisticList>(bytes: &[u8], spec: ChunkSpec) -> Measurement {
    let element = spec.element;
    match element {
        Element::F32 => blocks::<f32, L>(bytes, spec, decode::f32),
        Element::F16 => blocks::<f32, L>(bytes, spec, decode::f16),
        Element::Bf16 => blocks::<f32, L>(bytes, spec, decode::bf16),
        Element::F8E4m3 | Element::F8E5m2 | Element::I16 | Element::I8 | Element::U16 | Element::U8 | Element::Bool => {
            blocks::<f32, L>(bytes, spec, |bytes, block| decode::scalar(element, bytes, block))
        }
        Element::F64 | Element::I64 | Element::I32 | Element::U64 | Element::U32 => measure_in_f64::<L>(bytes, spec),
    }
}

/// The same in f64 whatever the type: for engines that seldom need it.
fn measure_in_f64<L: StatisticList>(bytes: &[u8], spec: ChunkSpec) -> Measurement {
    blocks::<f64, L>(bytes, spec, |bytes, block| decode::scalar(spec.element, bytes, block))
}

/// Adds what is measured by row alone to `measurement`, for an engine that measures the rest elsewhere.
#[cfg(feature = "gpu")]
pub(super) fn measure_by_row(bytes: &[u8], spec: ChunkSpec, measurement: &mut Measurement) {
    if spec.requests.goes_by_row() {
        collect_finite::<ByRow>(bytes, spec, measurement);
    }
}

/// Gathers the statistics in the list `L`, which go by the elements alone; what is not finite counts as zero.
#[cfg(feature = "gpu")]
fn collect_finite<L: StatisticList>(bytes: &[u8], spec: ChunkSpec, measurement: &mut Measurement) {
    let mut collectors = L::Collectors::<'_, f32>::new(&spec, bytes);
    let (mut samples, mut position) = (Vec::new(), 0);
    for bytes in bytes.chunks(BLOCK * spec.element.size()) {
        decode::finite(spec.element, bytes, &mut samples);
        let block =
            Block { samples: &samples, position, min: f32::MIN, max: f32::MAX, zeros: 0, next: Default::default() };
        collectors.take(&block);
        position += samples.len() as u64;
    }
    collectors.finish(measurement);
}

/// Measures block by block.
// Inlined, the blocks of all element types would be on the stack at once.
#[cfg_attr(not(feature = "std"), inline(never))]
fn blocks<S: Sample, L: StatisticList>(bytes: &[u8], spec: ChunkSpec, decode: impl Fn(&[u8], &mut [S])) -> Measurement {
    let element = spec.element;
    let mut collectors = L::Collectors::<'_, S>::new(&spec, bytes);
    let mut scratch = [S::ZERO; BLOCK];
    let mut total = Moments::EMPTY;
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
                collectors.take(&Block {
                    samples: block,
                    position,
                    min: S::from_f64(moments.min),
                    max: S::from_f64(moments.max),
                    zeros: moments.zeros,
                    next: chunks.peek().copied().unwrap_or_default(),
                });
                moments
            }
            None => {
                // Something in the block is not finite, or too large for its powers.
                collectors.take_irregular(block, position);
                decode(bytes, &mut scratch[..length]);
                let finite = S::gather_finite(&mut scratch[..length]);
                let moments = sums::moments_of_finite(&scratch[..finite], (length - finite) as u64);
                collectors.take_finite(&scratch[..finite], moments.zeros);
                moments
            }
        };
        total = total.merge(moments);
        position += length as u64;
    }
    let mut found = Measurement { moments: total, ..Measurement::default() };
    collectors.finish(&mut found);
    found
}

#[cfg(test)]
mod tests;
