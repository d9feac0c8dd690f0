//! One stored tensor of a packed weight: its type, shape and bytes, read piece by piece.
//!
//! Where the bytes lie (a mapped file, a range over HTTP, memory) is left to whoever implements [`Bytes`].

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use kurtoscope_shared::Element;

use super::fault::{PackedFault, Shape};

/// The most elements that are computed with, so that no number of bits or bytes of them overflows.
pub(super) const MOST: u64 = 1 << 48;

/// The stored bytes of one tensor.
pub trait Bytes: fmt::Debug + Send + Sync {
    /// The bytes `range`, counted from the tensor's first byte.
    ///
    /// # Errors
    ///
    /// If they cannot be read, or the tensor has fewer bytes.
    fn range(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>>;
}

impl Bytes for Vec<u8> {
    fn range(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        bounds
            .and_then(|(start, end)| self.get(start..end))
            .map(Cow::Borrowed)
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }
}

/// The type of a stored element, with those that only packed weights use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StoredType {
    /// A type that is measured as it is.
    Element(Element),
    /// A power of two, 2^(byte - 127); 255 is NaN (OCP Microscaling Formats 1.0, section 5.4.1).
    E8m0,
    /// E2M1, two elements a byte, the first in the lower half; shapes count elements.
    F4,
    /// Another type, by the file's name for it.
    Other(String),
}

impl StoredType {
    /// The type that a safetensors header calls `name`.
    pub fn from_safetensors(name: &str) -> Self {
        Self::Element(match name {
            "F64" => Element::F64,
            "F32" => Element::F32,
            "F16" => Element::F16,
            "BF16" => Element::Bf16,
            "F8_E4M3" => Element::F8E4m3,
            "F8_E5M2" => Element::F8E5m2,
            "I64" => Element::I64,
            "I32" => Element::I32,
            "I16" => Element::I16,
            "I8" => Element::I8,
            "U64" => Element::U64,
            "U32" => Element::U32,
            "U16" => Element::U16,
            "U8" => Element::U8,
            "BOOL" => Element::Bool,
            "F8_E8M0" => return Self::E8m0,
            "F4" => return Self::F4,
            other => return Self::Other(other.to_owned()),
        })
    }

    /// Whether it is a floating-point type of 16 bits or more, as scales are.
    pub(super) fn is_wide_float(&self) -> bool {
        matches!(self, Self::Element(Element::F64 | Element::F32 | Element::F16 | Element::Bf16))
    }

    /// Whether it is an 8-bit floating-point type with a mantissa.
    pub(super) fn is_f8(&self) -> bool {
        matches!(self, Self::Element(Element::F8E4m3 | Element::F8E5m2))
    }

    /// Whether it is an integer type.
    pub(super) fn is_integer(&self) -> bool {
        use Element::{I8, I16, I32, I64, U8, U16, U32, U64};
        matches!(self, Self::Element(I64 | I32 | I16 | I8 | U64 | U32 | U16 | U8))
    }

    /// Whether it is this element type.
    pub(super) fn is(&self, element: Element) -> bool {
        *self == Self::Element(element)
    }

    /// Bytes of one element, where they are whole and known.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Element(element) => Some(element.size() as u64),
            Self::E8m0 => Some(1),
            Self::F4 | Self::Other(_) => None,
        }
    }
}

impl fmt::Display for StoredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element(element) => element.fmt(f),
            Self::E8m0 => f.pad("f8_e8m0"),
            Self::F4 => f.pad("f4"),
            Self::Other(name) => f.pad(name),
        }
    }
}

/// One stored tensor of a packed weight.
#[derive(Debug, Clone)]
pub struct Component {
    /// The checkpoint's name for it.
    pub name: String,
    /// The type of its elements.
    pub stored: StoredType,
    /// Its dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Its bytes, little-endian, in row-major order.
    pub bytes: Arc<dyn Bytes>,
}

impl Component {
    /// Elements of it; saturates, which no later size check accepts.
    pub(super) fn count(&self) -> u64 {
        product(&self.shape)
    }

    /// Bytes of it; saturates, which no later size check accepts.
    pub(super) fn byte_length(&self) -> Result<u64, PackedFault> {
        match (&self.stored, self.stored.size()) {
            (_, Some(size)) => Ok(self.count().saturating_mul(size)),
            (StoredType::F4, None) => Ok(self.count().div_ceil(2)),
            (_, None) => Err(self.wrong_type("a type of known size")),
        }
    }

    /// The bytes `range`, exactly as many.
    pub(super) fn read(&self, range: Range<u64>) -> Result<Cow<'_, [u8]>, PackedFault> {
        let length = range.end.saturating_sub(range.start);
        let failed = |source| PackedFault::Read { name: self.name.clone(), source };
        let bytes = self.bytes.range(range).map_err(failed)?;
        if bytes.len() as u64 != length {
            return Err(failed(io::Error::from(io::ErrorKind::UnexpectedEof)));
        }
        Ok(bytes)
    }

    /// The elements `range`, as 32-bit floats (64-bit ones are rounded to them).
    pub(super) fn values(&self, range: Range<u64>, out: &mut Vec<f32>) -> Result<(), PackedFault> {
        let Some(size) = self.stored.size() else {
            return Err(self.wrong_type("a float or integer type"));
        };
        let bytes = self.read(range.start.saturating_mul(size)..range.end.saturating_mul(size))?;
        match self.stored {
            StoredType::Element(element) => {
                let decoded = bytes.chunks_exact(size as usize).filter_map(|bytes| element.decode(bytes));
                out.extend(decoded.map(|value| value as f32));
            }
            _ => out.extend(bytes.iter().map(|&byte| e8m0(byte))),
        }
        Ok(())
    }

    /// All elements, which must be at most `limit` integers.
    pub(super) fn integers(&self, limit: u64) -> Result<Vec<i64>, PackedFault> {
        let element = match self.stored {
            StoredType::Element(element) if self.stored.is_integer() => element,
            _ => return Err(self.wrong_type("an integer type")),
        };
        if self.count() > limit {
            return Err(PackedFault::Shapes {
                name: self.name.clone(),
                found: Shape(self.shape.clone()),
                expected: Shape(vec![limit]),
            });
        }
        let bytes = self.read(0..self.count() * element.size() as u64)?;
        Ok(bytes.chunks_exact(element.size()).filter_map(|bytes| element.decode(bytes)).map(|v| v as i64).collect())
    }

    /// The 32-bit words `range`, whatever their sign.
    pub(super) fn words(&self, range: Range<u64>, out: &mut Vec<u32>) -> Result<(), PackedFault> {
        let bytes = self.read(range.start.saturating_mul(4)..range.end.saturating_mul(4))?;
        out.extend(bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)));
        Ok(())
    }

    /// A fault: the shape is not `expected`.
    pub(super) fn expect_shape(&self, expected: &[u64]) -> Result<(), PackedFault> {
        if self.shape == expected {
            return Ok(());
        }
        Err(self.wrong_shape(expected))
    }

    /// A fault that states this tensor's shape beside the right one.
    pub(super) fn wrong_shape(&self, expected: &[u64]) -> PackedFault {
        PackedFault::Shapes {
            name: self.name.clone(),
            found: Shape(self.shape.clone()),
            expected: Shape(expected.to_vec()),
        }
    }

    /// A fault that states this tensor's shape beside the right number of dimensions.
    pub(super) fn wrong_dimensions(&self, expected: &'static str) -> PackedFault {
        PackedFault::Dimensions { name: self.name.clone(), found: Shape(self.shape.clone()), expected }
    }

    /// A fault that states this tensor's type beside the right one.
    pub(super) fn wrong_type(&self, expected: impl Into<String>) -> PackedFault {
        PackedFault::Type { name: self.name.clone(), found: self.stored.to_string(), expected: expected.into() }
    }

    /// A fault: there are no elements.
    pub(super) fn expect_elements(&self) -> Result<(), PackedFault> {
        match self.count() {
            0 => Err(PackedFault::Empty { name: self.name.clone(), found: Shape(self.shape.clone()) }),
            _ => Ok(()),
        }
    }

    /// A fault: `shape`, which this tensor has or calls for, has more elements than are computed with.
    pub(super) fn expect_size(&self, shape: &[u64]) -> Result<(), PackedFault> {
        // A dimension of 0 must not hide what the others would overflow.
        let elements = shape.iter().fold(1, |product: u64, &dimension| product.saturating_mul(dimension.max(1)));
        if elements <= MOST {
            return Ok(());
        }
        Err(PackedFault::Huge { name: self.name.clone(), found: Shape(shape.to_vec()) })
    }

    /// The dimensions that this tensor holds as its elements: all positive, of at most 2^48 elements together.
    pub(super) fn dimensions(&self) -> Result<Vec<u64>, PackedFault> {
        let dimensions = self.integers(8)?;
        let positive = |&dimension: &i64| u64::try_from(dimension).ok().filter(|&dimension| dimension > 0);
        let shape = dimensions.iter().map(positive).collect::<Option<Vec<u64>>>();
        let shape = shape.filter(|shape| !shape.is_empty()).ok_or_else(|| PackedFault::Description {
            name: self.name.clone(),
            detail: format!("{dimensions:?} is not a shape"),
        })?;
        self.expect_size(&shape).map(|()| shape)
    }
}

/// The product of dimensions; saturates.
pub(super) fn product(shape: &[u64]) -> u64 {
    shape.iter().fold(1, |product, &dimension| product.saturating_mul(dimension))
}

/// The value of an E8M0 byte: exact, 2^-127 being subnormal.
pub(super) const fn e8m0(byte: u8) -> f32 {
    match byte {
        0 => f32::from_bits(1 << 22),
        255 => f32::NAN,
        exponent => f32::from_bits((exponent as u32) << 23),
    }
}
