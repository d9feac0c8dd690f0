//! One array: (shape, NumPy's name of the element type, the elements), whole or in chunks.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kurtoscope_shared::Element;

use super::fault::FlaxFault;
use super::reader::{Reader, Value};
use crate::format::Shape;
use crate::format::tensor::{ElementSource, TensorData, TensorEntry};
use crate::source::MappedFile;
use crate::unmeasured::Unmeasured;

/// The extension type of an array.
pub(super) const ARRAY: i8 = 1;
/// The extension type of a NumPy scalar: an array without dimensions.
pub(super) const SCALAR: i8 = 3;

/// An array with its place in the model.
pub(super) enum Read {
    /// It can be measured.
    Tensor(TensorEntry),
    /// Its elements are of a type that is not measured.
    Unmeasured(Unmeasured),
}

/// What the bytes of an array's extension say.
struct Array<'a> {
    shape: Vec<u64>,
    dtype: &'a str,
    /// Where in the file the elements are: as many bytes as shape and type call for.
    data: Range<usize>,
}

/// Reads the array that the bytes of an extension hold.
pub(super) fn single(content: &mut Reader<'_>, tensor: &str) -> Result<Read, FlaxFault> {
    let Array { shape, dtype, data } = array(content, tensor)?;
    Ok(entry(tensor, shape, dtype, TensorData::Mapped(data)))
}

/// Reads a map of `count` entries, which holds one array as a shape and flat chunks.
pub(super) fn chunked(reader: &mut Reader<'_>, count: u32, tensor: &str, file: &MappedFile) -> Result<Read, FlaxFault> {
    let offset = reader.offset();
    let (mut shape, mut chunks) = (None, Vec::new());
    for _ in 0..count {
        match reader.key(tensor)? {
            "shape" => shape = Some(numbered(reader, tensor, |reader| reader.integer(tensor, "a dimension"))?),
            "chunks" => chunks = numbered(reader, tensor, |reader| chunk(reader, tensor))?,
            _ => reader.skip(tensor)?,
        }
    }
    let invalid = |detail| FlaxFault::Chunks { tensor: tensor.to_owned(), offset, detail };
    let shape = shape.ok_or_else(|| invalid("it has no shape"))?;
    let Some(dtype) = chunks.first().map(|chunk| chunk.dtype) else { return Err(invalid("it has no chunks")) };
    if chunks.iter().any(|chunk| chunk.dtype != dtype) {
        return Err(invalid("its chunks differ in type"));
    }
    let Some(element) = element(dtype) else { return Ok(unmeasured(tensor, shape, dtype)) };
    let needed = byte_len(tensor, offset, &shape, dtype, element)?;
    let available = chunks.iter().map(|chunk| chunk.data.len() as u64).sum();
    if needed != available {
        return Err(FlaxFault::Length { tensor: tensor.to_owned(), offset, needed, available });
    }
    let mut parts = Vec::with_capacity(chunks.len());
    let mut first = 0;
    for chunk in &chunks {
        parts.push((first, chunk.data.clone()));
        first += (chunk.data.len() / element.size()) as u64;
    }
    let start = chunks.iter().map(|chunk| chunk.data.start).min().unwrap_or_default();
    let end = chunks.iter().map(|chunk| chunk.data.end).max().unwrap_or_default();
    let elements = Arc::new(ChunkedArray { file: file.clone(), size: element.size(), parts });
    Ok(entry(tensor, shape, dtype, TensorData::Computed { elements, from: start..end }))
}

/// An array in parts that are apart in the file.
#[derive(Debug)]
struct ChunkedArray {
    file: MappedFile,
    /// Bytes of an element.
    size: usize,
    /// Each part's first element, and where its bytes are; in order.
    parts: Vec<(u64, Range<usize>)>,
}

impl ElementSource for ChunkedArray {
    /// Lent from the file, except for ranges that go over the end of a chunk.
    fn read(&self, range: Range<u64>) -> Result<Bytes, String> {
        let mut shared = self.parts.iter().filter_map(|(first, data)| {
            let last = first + (data.len() / self.size) as u64;
            let (from, to) = (range.start.max(*first), range.end.min(last));
            let at = |position: u64| data.start + (position - first) as usize * self.size;
            (from < to).then(|| self.file.share(at(from)..at(to)))
        });
        let changed = || "the file has changed".to_owned();
        let Some(first) = shared.next() else { return Ok(Bytes::new()) };
        let first = first.ok_or_else(changed)?;
        let Some(second) = shared.next() else { return Ok(first) };
        let mut joined = BytesMut::with_capacity((range.end - range.start) as usize * self.size);
        joined.extend_from_slice(&first);
        for part in std::iter::once(second).chain(shared) {
            joined.extend_from_slice(&part.ok_or_else(changed)?);
        }
        Ok(joined.freeze())
    }
}

/// Reads a chunk: an array in an extension.
fn chunk<'a>(reader: &mut Reader<'a>, tensor: &str) -> Result<Array<'a>, FlaxFault> {
    let unexpected = reader.unexpected(tensor, "a chunk");
    match reader.value(tensor)? {
        Value::Extension { kind: ARRAY, mut content } => array(&mut content, tensor),
        _ => Err(unexpected),
    }
}

/// Reads the bytes of an array's extension, and checks that its elements are all there.
fn array<'a>(content: &mut Reader<'a>, tensor: &str) -> Result<Array<'a>, FlaxFault> {
    const PARTS: &str = "shape, type and elements of an array";
    if content.array(tensor, PARTS)? != 3 {
        return Err(content.unexpected(tensor, PARTS));
    }
    let offset = content.offset();
    let mut shape = Vec::new();
    for _ in 0..content.array(tensor, "a shape")? {
        shape.push(content.integer(tensor, "a dimension")?);
    }
    let dtype = content.text(tensor, "an element type")?;
    let data = content.bytes(tensor)?;
    if content.remaining() > 0 {
        return Err(content.unexpected(tensor, "the end of an array"));
    }
    if let Some(element) = element(dtype) {
        let (needed, available) = (byte_len(tensor, offset, &shape, dtype, element)?, data.len() as u64);
        if needed != available {
            let offset = data.start as u64;
            return Err(FlaxFault::Length { tensor: tensor.to_owned(), offset, needed, available });
        }
    }
    Ok(Array { shape, dtype, data })
}

/// Reads a map whose keys number its values from "0", in any order.
fn numbered<'a, T>(
    reader: &mut Reader<'a>,
    tensor: &str,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, FlaxFault>,
) -> Result<Vec<T>, FlaxFault> {
    let offset = reader.offset();
    let invalid = |detail| FlaxFault::Chunks { tensor: tensor.to_owned(), offset, detail };
    let count = reader.map(tensor)?.ok_or_else(|| invalid("its shape or its chunks are no map"))?;
    let mut values = BTreeMap::new();
    for _ in 0..count {
        let number = reader.key(tensor)?.parse::<u32>().ok().filter(|number| *number < count);
        let number = number.ok_or_else(|| invalid("its shape or its chunks are not numbered from 0"))?;
        if values.insert(number, read(reader)?).is_some() {
            return Err(invalid("its shape or its chunks have a number twice"));
        }
    }
    Ok(values.into_values().collect())
}

/// How many bytes the elements take.
fn byte_len(tensor: &str, offset: u64, shape: &[u64], dtype: &str, element: Element) -> Result<u64, FlaxFault> {
    // Without zeros first: strides have to fit even where there are no elements.
    let strides = shape.iter().try_fold(element.size() as u64, |product, &length| product.checked_mul(length.max(1)));
    let length = strides.map(|longest| if shape.contains(&0) { 0 } else { longest });
    length.ok_or_else(|| FlaxFault::ShapeOverflow {
        tensor: tensor.to_owned(),
        offset,
        shape: Shape(shape.to_vec()),
        dtype: dtype.to_owned(),
    })
}

fn entry(tensor: &str, shape: Vec<u64>, dtype: &str, data: TensorData) -> Read {
    let Some(element) = element(dtype) else { return unmeasured(tensor, shape, dtype) };
    let stored = element.name().to_owned();
    Read::Tensor(TensorEntry { name: tensor.to_owned(), shape, element, stored, data })
}

fn unmeasured(tensor: &str, shape: Vec<u64>, dtype: &str) -> Read {
    let reason = "elements of this type are not measured by this version".to_owned();
    Read::Unmeasured(Unmeasured { name: tensor.to_owned(), shape, dtype: dtype.to_owned(), reason })
}

/// The element type of NumPy's name for it. Flax writes elements in the machine's byte order, which its name does not hold;
/// every machine that runs it is little-endian.
fn element(dtype: &str) -> Option<Element> {
    Some(match dtype {
        "float64" => Element::F64,
        "float32" => Element::F32,
        "float16" => Element::F16,
        "bfloat16" => Element::Bf16,
        "float8_e4m3fn" => Element::F8E4m3,
        "float8_e5m2" => Element::F8E5m2,
        "int64" => Element::I64,
        "int32" => Element::I32,
        "int16" => Element::I16,
        "int8" => Element::I8,
        "uint64" => Element::U64,
        "uint32" => Element::U32,
        "uint16" => Element::U16,
        "uint8" => Element::U8,
        "bool" => Element::Bool,
        _ => return None,
    })
}
