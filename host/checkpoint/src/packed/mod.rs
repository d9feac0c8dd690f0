//! Quantized weights as the numbers that the model multiplies with: recognition by names and configuration, and
//! dequantization range by range.
//!
//! [`recognize()`] groups the tensors of a checkpoint, by their names, types and shapes alone, so it does not matter
//! which files they lie in. [`PackedWeight::open`] reads what describes one weight (shapes, group numbers, a few bytes
//! of JSON) and gives a [`PackedTensor`], which makes any range of its elements from the stored bytes of that range.
//!
//! Values are 32-bit floats, as kernels compute them before rounding to their own type. Each scheme's module states its
//! formula; integers times 16-bit scales and all products of MXFP4 are exact, other products are rounded once for each
//! operation of the formula. Elements come in row-major order of the weight as the model's layer holds it, `[outputs,
//! inputs]`, after any stack of experts, whatever the order of the stored codes.
//!
//! | module | scheme |
//! |---|---|
//! | [`gptq`] | GPTQ, v1, v2 and planes |
//! | [`awq`] | AWQ (gemm) |
//! | [`compressed_tensors`] | pack-quantized, int-quantized, float-quantized, MXFP4, MXFP6, NVFP4 of that package |
//! | [`bitsandbytes`] | NF4, FP4, nested absmax, int8 |
//! | [`fp8`] | fp8 with a scale per tensor, channel, group or tile |
//! | [`mxfp4`] | `_blocks` and `_scales` |
//! | [`nvfp4`] | E2M1 with E4M3 scales and a scale of those |
//! | [`mlx`] | affine, mxfp4, nvfp4, mxfp8 |
//! | [`hqq`] | HQQ |
//! | [`torchao`] | int8, fp8, int4 and unpacked integers in flattened state |
//! | [`matmul_nbits`] | ONNX Runtime's `MatMulNBits` |

pub mod awq;
pub mod bitsandbytes;
mod blocks;
mod codes;
mod columns;
mod component;
pub mod compressed_tensors;
mod fault;
pub mod fp8;
pub mod gptq;
mod grid;
mod groups;
pub mod hqq;
mod listing;
pub mod matmul_nbits;
mod members;
pub mod mlx;
pub mod mxfp4;
pub mod nvfp4;
mod recognize;
mod rest;
mod rules;
mod settings;
mod sizes;
#[cfg(test)]
mod tests;
pub mod torchao;
mod types;
mod widths;

use std::ops::Range;

pub use component::{Bytes, Component, StoredType};
pub use fault::{PackedFault, Shape};
pub use listing::{Listed, PackedWeight, Recognition, Scheme, Unexplained};
pub use members::{Members, Role};
pub use recognize::recognize;
pub(crate) use settings::MODELOPT_FILE;
pub use settings::{Configuration, Settings};

use columns::Columns;
use component::product;
use grid::Grid;
use hqq::Hqq;

/// How a weight is stored, as records and reports state it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The scheme: `gptq`, `awq`, `compressed-tensors`, `bitsandbytes-nf4`, …
    pub scheme: &'static str,
    /// Bits of a code.
    pub bits: u64,
    /// Neighbouring elements of a row that share a scale; `None` where a row or the whole tensor does.
    pub group: Option<u64>,
    /// What neither the configuration nor the tensors state and is read as the scheme's tools read it.
    pub assumed: Option<&'static str>,
}

/// A quantized weight, ready to be dequantized.
#[derive(Debug)]
pub struct PackedTensor {
    shape: Vec<u64>,
    stored: Stored,
    engine: Engine,
}

/// Ways to find codes and scales.
#[derive(Debug)]
enum Engine {
    Grid(Box<Grid>),
    Columns(Box<Columns>),
    Hqq(Box<Hqq>),
}

impl PackedTensor {
    /// Dimensions of the weight, outermost first.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// How it is stored.
    pub fn stored(&self) -> Stored {
        self.stored
    }

    /// Elements of the weight.
    pub fn count(&self) -> u64 {
        product(&self.shape)
    }

    /// Writes the elements `range`, counted in row-major order, to `out`, which has as many places.
    ///
    /// Memory beyond `out` stays below half of its size plus 1 MiB.
    ///
    /// # Errors
    ///
    /// If bytes cannot be read, a scale on the way is not finite, or the range is not inside the weight.
    pub fn dequantize(&self, range: Range<u64>, out: &mut [f32]) -> Result<(), PackedFault> {
        let (count, places) = (self.count(), out.len() as u64);
        if range.start > range.end || range.end > count || range.end - range.start != places {
            return Err(PackedFault::OutOfRange { start: range.start, end: range.end, count, places });
        }
        let mut rest = out;
        for (rows, columns) in rectangles(range, self.width()) {
            let length = (rows.end - rows.start) * (columns.end - columns.start);
            let (part, after) = rest.split_at_mut(length as usize);
            match &self.engine {
                Engine::Grid(grid) => grid.rectangle(rows, columns, part)?,
                Engine::Columns(matrix) => matrix.rectangle(rows, columns, part)?,
                Engine::Hqq(matrix) => matrix.range(columns, part)?,
            }
            rest = after;
        }
        Ok(())
    }

    /// Looks at every scale, zero point and offset, in bounded memory: they must be finite.
    ///
    /// # Errors
    ///
    /// The first that is not, or bytes that cannot be read.
    pub fn verify(&self) -> Result<(), PackedFault> {
        let Some(last) = self.count().checked_sub(1) else { return Ok(()) };
        match &self.engine {
            Engine::Grid(grid) => grid.verify()?,
            Engine::Columns(matrix) => matrix.verify()?,
            Engine::Hqq(matrix) => matrix.verify()?,
        }
        // The last element needs the ends of all tensors: a short one is found out here.
        self.dequantize(last..last + 1, &mut [0.0])
    }

    /// Length of the rows that the engine works with.
    fn width(&self) -> u64 {
        match &self.engine {
            Engine::Grid(grid) => grid.columns,
            Engine::Columns(matrix) => matrix.inputs,
            Engine::Hqq(_) => self.count(),
        }
    }
}

/// Cuts a range of elements into at most three rectangles of rows and columns: the end of a row, whole rows, the start
/// of a row.
fn rectangles(range: Range<u64>, width: u64) -> Vec<(Range<u64>, Range<u64>)> {
    if range.is_empty() || width == 0 {
        return Vec::new();
    }
    let (first, last) = (range.start / width, (range.end - 1) / width);
    let (begin, end) = (range.start - first * width, range.end - last * width);
    if first == last {
        return vec![(first..first + 1, begin..end)];
    }
    let whole = first + u64::from(begin > 0)..last + u64::from(end == width);
    let mut cut = Vec::with_capacity(3);
    if begin > 0 {
        cut.push((first..first + 1, begin..width));
    }
    if !whole.is_empty() {
        cut.push((whole, 0..width));
    }
    if end < width {
        cut.push((last..last + 1, 0..end));
    }
    cut
}
