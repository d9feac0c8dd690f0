//! The values that codes with a scale encode: `(code - zero) * scale`, in 32-bit floats as runtimes compute them.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use kurtoscope_shared::Element;

use super::codes::Codes;
use super::quantized::Quantization;
use super::storage::ElementStorage;
use super::walk::Constant;
use crate::format::Shape;
use crate::format::cache::LastValue;
use crate::format::tensor::{ElementSource, TensorData, TensorEntry};
use crate::packed::Stored;
use crate::source::MappedFile;

/// The scheme in reports: what ONNX calls linear quantization.
const SCHEME: &str = "onnx-linear";

/// A tensor of codes and what they are multiplied with.
#[derive(Debug)]
pub(super) struct Dequantized {
    codes: Codes,
    scale: ElementStorage,
    zero: Option<Codes>,
    spread: ScaleLayout,
    group: Option<u64>,
    key: usize,
    cache: Arc<LastValue<Arc<Parameters>>>,
}

/// Scales and zero points; zero points are one or none for all where there are fewer.
#[derive(Debug)]
pub(super) struct Parameters {
    scales: Vec<f32>,
    zeros: Vec<f32>,
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
    /// The values of the codes at this position; looks at every scale and zero point.
    ///
    /// # Errors
    /// Why codes, scales and zero points do not go together.
    pub(super) fn new(
        codes: usize,
        tensors: &[Constant],
        quantization: &Quantization,
        cache: Arc<LastValue<Arc<Parameters>>>,
    ) -> Result<Self, String> {
        let tensor = |index: usize| tensors.get(index).map(|constant| &constant.tensor).ok_or("it is not in the model");
        let (found, scale_found) = (tensor(codes)?, tensor(quantization.scale)?);
        let of = |text: String| format!("packed codes of {}: {text}", found.name);
        let shapes = |name: &str, shape: &[u64]| {
            let (shape, codes) = (Shape(shape.to_vec()), Shape(found.shape.clone()));
            of(format!("{name} has the shape {shape}, which does not go with {codes}"))
        };
        let scale = scale_found.stored.as_ref().map_err(|reason| of(format!("{}: {reason}", scale_found.name)))?;
        if !matches!(scale.element, Element::F32 | Element::F16 | Element::Bf16 | Element::F64) {
            return Err(of(format!("{} is of the type {}, not a float", scale_found.name, scale_found.dtype)));
        }
        let spread = ScaleLayout::new(&found.shape, &scale_found.shape, quantization);
        let spread = spread.ok_or_else(|| shapes(&scale_found.name, &scale_found.shape))?;
        let zero = quantization.zero.map(tensor).transpose()?;
        if let Some(zero) = zero
            && !matches!(zero.count(), Some(count) if count == 1 || count == scale.count)
        {
            return Err(shapes(&zero.name, &zero.shape));
        }
        let zero = zero.map(Codes::of).transpose()?;
        let group = (quantization.block > 0).then_some(quantization.block);
        let dequantized =
            Self { codes: Codes::of(found)?, scale: scale.clone(), zero, spread, group, key: codes, cache };
        let parameters = dequantized.parameters().map_err(of)?;
        match parameters.scales.iter().position(|scale| !scale.is_finite()) {
            None => Ok(dequantized),
            Some(at) => Err(of(format!("{}[{at}] is {}", scale_found.name, parameters.scales[at]))),
        }
    }

    /// How the codes are stored.
    pub(super) fn stored(&self) -> Stored {
        Stored { scheme: SCHEME, bits: self.codes.bits(), group: self.group, assumed: None }
    }

    /// What is measured under the codes' name.
    pub(super) fn entry(self, name: String, shape: Vec<u64>, file: &MappedFile) -> TensorEntry {
        let stored = format!("{SCHEME} {} bits", self.codes.bits());
        let from = self.codes.storage().from(file);
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
            let zeros = self.zero.as_ref().map(Codes::all).transpose()?.unwrap_or_default();
            let bytes = self.scale.read(0..self.scale.count)?;
            let scales = bytes.chunks_exact(self.scale.element.size());
            let scales =
                scales.filter_map(|scale| self.scale.element.decode(scale)).map(|scale| scale as f32).collect();
            Ok(Arc::new(Parameters { scales, zeros }))
        })
    }
}

impl ElementSource for Dequantized {
    fn read(&self, range: Range<u64>) -> Result<Bytes, String> {
        let Parameters { scales, zeros } = &*self.parameters()?;
        let codes = self.codes.read(range.clone())?;
        let mut values = Vec::with_capacity(codes.len() * size_of::<f32>());
        for (position, code) in range.zip(codes) {
            let index = self.spread.of(position) as usize;
            let scale = scales.get(index).copied().unwrap_or(f32::NAN);
            let zero = zeros.get(index).or(zeros.first()).copied().unwrap_or(0.0);
            // Runtimes subtract integers, then multiply in 32 bits.
            values.extend_from_slice(&((code - zero) * scale).to_le_bytes());
        }
        Ok(values.into())
    }

    fn elsewhere(&self) -> Option<(&MappedFile, Range<usize>)> {
        self.codes.storage().elsewhere()
    }
}
