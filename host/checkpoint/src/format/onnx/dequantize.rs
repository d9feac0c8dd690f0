//! The values that quantized integers encode: `(code - zero) * scale`, in 32-bit floats as runtimes compute them.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use kurtoscope_shared::Element;

use super::quantized::Quantization;
use super::storage::ElementStorage;
use super::tensor::GraphTensor;
use crate::format::cache::LastValue;
use crate::format::tensor::{ElementSource, TensorData, TensorEntry};
use crate::source::MappedFile;

/// A tensor of codes and what they are multiplied with.
#[derive(Debug)]
pub(super) struct Dequantized {
    codes: ElementStorage,
    scale: ElementStorage,
    zero: Option<ElementStorage>,
    spread: ScaleLayout,
    key: usize,
    cache: Arc<LastValue<Arc<Parameters>>>,
}

/// Scales and zero points; zero points are one or none for all where there are fewer.
#[derive(Debug)]
pub(super) struct Parameters {
    scales: Vec<f64>,
    zeros: Vec<f64>,
}

/// Which scale an element has.
#[derive(Debug, Clone, Copy)]
enum ScaleLayout {
    /// All elements have the same.
    One,
    /// One for each step along an axis of this length, each step of which has `inner` elements.
    Axis { inner: u64, length: u64 },
    /// One for each run of `block` steps along such an axis, and for each element in it.
    Blocks { inner: u64, length: u64, block: u64 },
}

impl ScaleLayout {
    /// How scales of this shape go with codes of that one; `None` if they do not.
    fn new(codes: &[u64], scales: &[u64], quantization: &Quantization) -> Option<Self> {
        let count: u64 = scales.iter().try_fold(1, |product: u64, &dimension| product.checked_mul(dimension))?;
        let &Quantization { axis, block, .. } = quantization;
        if block == 0 && count == 1 {
            return Some(Self::One);
        }
        let length = *codes.get(axis)?;
        let inner = codes.get(axis + 1..)?.iter().product();
        if block == 0 {
            return (count == length).then_some(Self::Axis { inner, length });
        }
        let mut blocks = codes.to_vec();
        *blocks.get_mut(axis)? = length.div_ceil(block);
        (blocks == scales).then_some(Self::Blocks { inner, length, block })
    }

    fn of(self, position: u64) -> u64 {
        match self {
            Self::One => 0,
            Self::Axis { inner, length } => position / inner % length,
            Self::Blocks { inner, length, block } => {
                let (row, within) = (position / inner, position % inner);
                let (outer, step) = (row / length, row % length);
                (outer * length.div_ceil(block) + step / block) * inner + within
            }
        }
    }
}

impl Dequantized {
    /// The values of tensor `codes`; `None` where scales and zero points do not fit its shape.
    pub(super) fn new(
        codes: usize,
        tensors: &[GraphTensor],
        quantization: &Quantization,
        cache: Arc<LastValue<Arc<Parameters>>>,
    ) -> Option<Self> {
        let stored = |index: usize| Some((tensors.get(index)?, tensors.get(index)?.stored.as_ref().ok()?));
        let (codes_found, codes_stored) = stored(codes)?;
        let (scale_found, scale) = stored(quantization.scale)?;
        if !matches!(scale.element, Element::F32 | Element::F16 | Element::Bf16 | Element::F64) || scale.count == 0 {
            return None;
        }
        let zero = match quantization.zero {
            None => None,
            Some(zero) => Some(stored(zero)?.1.clone()).filter(|zero| zero.count == 1 || zero.count == scale.count),
        };
        if quantization.zero.is_some() && zero.is_none() {
            return None;
        }
        let spread = ScaleLayout::new(&codes_found.shape, &scale_found.shape, quantization)?;
        Some(Self { codes: codes_stored.clone(), scale: scale.clone(), zero, spread, key: codes, cache })
    }

    /// What is measured under the codes' name.
    pub(super) fn entry(self, name: String, shape: Vec<u64>, file: &MappedFile) -> TensorEntry {
        let stored = format!("{} dequantized", self.codes.element);
        let from = self.codes.from(file);
        TensorEntry {
            name,
            shape,
            element: Element::F32,
            stored,
            data: TensorData::Computed { elements: Arc::new(self), from },
        }
    }

    fn parameters(&self) -> Result<Arc<Parameters>, String> {
        self.cache.get_or(self.key, || {
            let zeros = self.zero.as_ref().map(numbers).transpose()?.unwrap_or_default();
            Ok(Arc::new(Parameters { scales: numbers(&self.scale)?, zeros }))
        })
    }
}

impl ElementSource for Dequantized {
    fn read(&self, range: Range<u64>) -> Result<Bytes, String> {
        let Parameters { scales, zeros } = &*self.parameters()?;
        let codes = self.codes.read(range.clone())?;
        let mut values = Vec::with_capacity(codes.len() / self.codes.element.size() * size_of::<f32>());
        for (position, code) in range.zip(codes.chunks_exact(self.codes.element.size())) {
            let code = self.codes.element.decode(code).unwrap_or(f64::NAN);
            let index = self.spread.of(position) as usize;
            let scale = scales.get(index).copied().unwrap_or(f64::NAN);
            let zero = zeros.get(index).or(zeros.first()).copied().unwrap_or(0.0);
            // Runtimes subtract integers, then multiply in 32 bits; a product of two such floats is exact in 64.
            let value = (f64::from((code - zero) as f32) * scale) as f32;
            values.extend_from_slice(&value.to_le_bytes());
        }
        Ok(values.into())
    }

    fn elsewhere(&self) -> Option<(&MappedFile, Range<usize>)> {
        self.codes.elsewhere()
    }
}

/// All elements of a tensor as numbers.
fn numbers(stored: &ElementStorage) -> Result<Vec<f64>, String> {
    let bytes = stored.read(0..stored.count)?;
    Ok(bytes.chunks_exact(stored.element.size()).filter_map(|element| stored.element.decode(element)).collect())
}
