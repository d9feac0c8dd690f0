//! One `TensorProto`: its type, its shape, and where its elements are.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use kurtoscope_shared::Element;
use prost::Message;

use super::external::ExternalFiles;
use super::fault::OnnxFault;
use super::proto::Tensor;
use super::storage::{ElementStorage, Source, typed};
use crate::format::Shape;
use crate::format::cache::LastValue;
use crate::source::MappedFile;

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

/// What reading tensors needs to know of the model.
pub(super) struct Reader<'a> {
    pub(super) file: &'a MappedFile,
    pub(super) beside: ExternalFiles,
    pub(super) cache: Arc<LastValue<Bytes>>,
}

/// A tensor of the model.
#[derive(Debug)]
pub(super) struct GraphTensor {
    /// As reports name it.
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    /// As ONNX names it.
    pub(super) dtype: String,
    /// Its elements, or why they are not measured.
    pub(super) stored: Result<ElementStorage, &'static str>,
    /// Elements of less than a byte, which mean nothing without a scale.
    pub(super) small: Option<SmallStorage>,
}

impl GraphTensor {
    /// Elements, where they can be read.
    pub(super) fn count(&self) -> Option<u64> {
        let small = self.small.as_ref().map(|small| small.count);
        small.or_else(|| self.stored.as_ref().ok().map(|stored| stored.count))
    }
}

/// Elements of less than a byte: their bytes, each of which holds the first of its elements in its lowest bits.
#[derive(Debug, Clone)]
pub(super) struct SmallStorage {
    pub(super) kind: Small,
    pub(super) bytes: ElementStorage,
    /// Elements.
    pub(super) count: u64,
}

/// A type of less than a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Small {
    Unsigned {
        bits: u8,
    },
    Signed {
        bits: u8,
    },
    /// E2M1.
    Float,
}

impl Small {
    /// Bits of an element: 2 or 4.
    pub(super) const fn bits(self) -> u8 {
        match self {
            Self::Unsigned { bits } | Self::Signed { bits } => bits,
            Self::Float => 4,
        }
    }

    fn of(data_type: i32) -> Option<Self> {
        Some(match data_type {
            21 => Self::Unsigned { bits: 4 },
            22 => Self::Signed { bits: 4 },
            23 => Self::Float,
            25 => Self::Unsigned { bits: 2 },
            26 => Self::Signed { bits: 2 },
            _ => return None,
        })
    }
}

impl Reader<'_> {
    /// Where in the model's file a message is that was decoded from it.
    pub(super) fn place(&self, message: &[u8]) -> Option<Range<usize>> {
        let file = self.file.bytes();
        let start = message.as_ptr().addr().checked_sub(file.as_ptr().addr())?;
        let range = start..start.checked_add(message.len())?;
        file.get(range.clone()).map(|_| range)
    }

    /// Where a message begins; 0 for an empty one, which has no place.
    pub(super) fn offset(&self, message: &[u8]) -> u64 {
        self.place(message).map_or(0, |range| range.start as u64)
    }

    /// Decodes a tensor's message, without its elements.
    pub(super) fn decode(&self, message: &Bytes) -> Result<Tensor, OnnxFault> {
        Tensor::decode(message.clone()).map_err(|error| OnnxFault::Wire {
            what: "a tensor".to_owned(),
            offset: self.offset(message),
            detail: error.to_string(),
        })
    }

    /// Checks a decoded tensor and finds its elements. `name` is the one that reports use.
    pub(super) fn find(&mut self, name: String, message: &Bytes, tensor: Tensor) -> Result<GraphTensor, OnnxFault> {
        let offset = self.offset(message);
        let shape = shape(&name, offset, &tensor.dims)?;
        let (dtype, element) = element(tensor.data_type);
        if let Some(kind) = Small::of(tensor.data_type) {
            return self.find_small(name, message, tensor, kind);
        }
        let element = match element {
            Ok(element) => element,
            Err(reason) => return Ok(GraphTensor { name, shape, dtype, stored: Err(reason), small: None }),
        };
        let product = |first: u64| shape.iter().try_fold(first, |product, &dimension| product.checked_mul(dimension));
        let (Some(count), Some(needed)) = (product(1), product(element.size() as u64)) else {
            let shape = Shape(shape);
            return Err(OnnxFault::ShapeOverflow { tensor: name, offset, shape, dtype });
        };
        let layout = Layout { name: &name, dtype: &dtype, shape: &shape, element, count, needed };
        let source = self.source(&layout, message, tensor)?;
        let stored = Ok(ElementStorage { source, element, count });
        Ok(GraphTensor { stored, name, shape, dtype, small: None })
    }

    /// The same for elements of less than a byte.
    fn find_small(
        &mut self,
        name: String,
        message: &Bytes,
        tensor: Tensor,
        kind: Small,
    ) -> Result<GraphTensor, OnnxFault> {
        let offset = self.offset(message);
        let shape = shape(&name, offset, &tensor.dims)?;
        let (dtype, _) = element(tensor.data_type);
        let reason = Err("packed codes: no node of the graph states their scale");
        let product = |product: u64, &dimension: &u64| product.checked_mul(dimension);
        let Some(count) = shape.iter().try_fold(1, product).filter(|count| count.checked_mul(8).is_some()) else {
            return Err(OnnxFault::ShapeOverflow { tensor: name, offset, shape: Shape(shape), dtype });
        };
        let needed = (count * u64::from(kind.bits())).div_ceil(8);
        let layout = Layout { name: &name, dtype: &dtype, shape: &shape, element: Element::U8, count: needed, needed };
        let source = self.source(&layout, message, tensor)?;
        let bytes = ElementStorage { source, element: Element::U8, count: needed };
        Ok(GraphTensor { name, shape, dtype, stored: reason, small: Some(SmallStorage { kind, bytes, count }) })
    }

    /// Where the elements are, of which there are as many as type and shape call for.
    fn source(&mut self, layout: &Layout<'_>, message: &Bytes, tensor: Tensor) -> Result<Source, OnnxFault> {
        let &Layout { name, dtype, shape, element, count, needed } = layout;
        let offset = self.offset(message);
        let wrong = |unit, needed, found| {
            let (tensor, shape, dtype) = (name.to_owned(), Shape(shape.to_vec()), dtype.to_owned());
            OnnxFault::Length { tensor, offset, shape, dtype, unit, needed, found }
        };
        let source = if needed == 0 {
            Source::Inline(Bytes::new())
        } else if tensor.data_location == EXTERNAL {
            let (file, range) = self.beside.find(name, offset, &tensor.external_data, needed)?;
            Source::External { file, range }
        } else if let Some(raw) = tensor.raw_data.filter(|raw| !raw.is_empty()) {
            if raw.len() as u64 != needed {
                return Err(wrong("bytes", needed, raw.len() as u64));
            }
            match self.place(&raw) {
                Some(range) => Source::Raw { file: self.file.clone(), range },
                None => Source::Inline(raw),
            }
        } else {
            let place = self.place(message).unwrap_or_default();
            let failed = |detail| OnnxFault::Wire { what: format!("tensor {name:?}"), offset, detail };
            let found = typed(self.file, place.clone(), element).map_err(failed)?.len() / element.size();
            if found as u64 != count {
                return Err(wrong("elements", count, found as u64));
            }
            Source::Typed { file: self.file.clone(), message: place, cache: Arc::clone(&self.cache) }
        };
        Ok(source)
    }
}

/// What type and shape of a tensor call for.
struct Layout<'a> {
    name: &'a str,
    dtype: &'a str,
    shape: &'a [u64],
    element: Element,
    /// Elements.
    count: u64,
    /// Bytes.
    needed: u64,
}

/// Dimensions that are sizes.
pub(super) fn shape(tensor: &str, offset: u64, dims: &[i64]) -> Result<Vec<u64>, OnnxFault> {
    let size = |&dimension: &i64| {
        u64::try_from(dimension).map_err(|_| OnnxFault::Dimension { tensor: tensor.to_owned(), offset, dimension })
    };
    dims.iter().map(size).collect()
}

/// ONNX's name of a `TensorProto.DataType`, and the element type or why it is not measured.
fn element(data_type: i32) -> (String, Result<Element, &'static str>) {
    const FNUZ: &str = "the FNUZ variants of 8-bit floats are not measured by this version";
    const SMALL: &str = "elements smaller than a byte are not measured by this version";
    const COMPLEX: &str = "complex numbers have no kurtosis in the sense of this tool";
    let (name, element) = match data_type {
        1 => ("FLOAT", Ok(Element::F32)),
        2 => ("UINT8", Ok(Element::U8)),
        3 => ("INT8", Ok(Element::I8)),
        4 => ("UINT16", Ok(Element::U16)),
        5 => ("INT16", Ok(Element::I16)),
        6 => ("INT32", Ok(Element::I32)),
        7 => ("INT64", Ok(Element::I64)),
        8 => ("STRING", Err("strings are not numbers")),
        9 => ("BOOL", Ok(Element::Bool)),
        10 => ("FLOAT16", Ok(Element::F16)),
        11 => ("DOUBLE", Ok(Element::F64)),
        12 => ("UINT32", Ok(Element::U32)),
        13 => ("UINT64", Ok(Element::U64)),
        14 => ("COMPLEX64", Err(COMPLEX)),
        15 => ("COMPLEX128", Err(COMPLEX)),
        16 => ("BFLOAT16", Ok(Element::Bf16)),
        17 => ("FLOAT8E4M3FN", Ok(Element::F8E4m3)),
        18 => ("FLOAT8E4M3FNUZ", Err(FNUZ)),
        19 => ("FLOAT8E5M2", Ok(Element::F8E5m2)),
        20 => ("FLOAT8E5M2FNUZ", Err(FNUZ)),
        21 => ("UINT4", Err(SMALL)),
        22 => ("INT4", Err(SMALL)),
        23 => ("FLOAT4E2M1", Err(SMALL)),
        24 => ("FLOAT8E8M0", Err("elements of this type are powers of two that scale other tensors, not weights")),
        25 => ("UINT2", Err(SMALL)),
        26 => ("INT2", Err(SMALL)),
        other => return (format!("type {other}"), Err("this element type is not known to this version")),
    };
    (name.to_owned(), element)
}
