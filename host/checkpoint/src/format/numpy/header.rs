//! The header of one array: the type, the shape and the order of its elements.
//!
//! The header is a Python literal, which the `py_literal` crate parses.

use kurtoscope_shared::Element;
use py_literal::Value;

use super::fault::NumpyFault;
use crate::format::Shape;

/// The first bytes of every array.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is read. NumPy itself refuses more than 10 000 bytes.
pub(super) const LIMIT: usize = 64 << 10;

/// Brackets that may be open at once. Records within records need two each; the parser's time grows with the depth.
const DEPTH: usize = 12;

/// What a header says.
#[derive(Debug)]
pub(super) struct Header {
    /// The element type as the header names it.
    pub(super) dtype: String,
    /// How to read the elements, or why they are not measured.
    pub(super) measured: Result<Type, &'static str>,
    /// The first dimension is the innermost.
    pub(super) fortran: bool,
    pub(super) shape: Vec<u64>,
    /// Where the data begins, counted from the start of the array's file.
    pub(super) data: usize,
}

/// The type of elements that can be measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type {
    pub(super) element: Element,
    pub(super) big_endian: bool,
}

impl Header {
    /// How many bytes of data an array that can be measured has.
    pub(super) fn data_len(&self, array: &str) -> Result<u64, NumpyFault> {
        let size = self.measured.map_or(0, |measured| measured.element.size() as u64);
        let dimensions = &self.shape;
        // Without zeros first: strides have to fit even where there are no elements.
        let strides = dimensions.iter().try_fold(size, |product, &dimension| product.checked_mul(dimension.max(1)));
        let length = strides.map(|longest| if dimensions.contains(&0) { 0 } else { longest });
        length.ok_or_else(|| NumpyFault::ShapeOverflow {
            array: array.to_owned(),
            shape: Shape(self.shape.clone()),
            dtype: self.dtype.clone(),
        })
    }
}

/// Parses the header at the start of `file`, which need not go on to the end of the data.
pub(super) fn parse(array: &str, file: &[u8]) -> Result<Header, NumpyFault> {
    interpret(file).map_err(|detail| NumpyFault::Header { array: array.to_owned(), detail })
}

fn interpret(file: &[u8]) -> Result<Header, String> {
    let (text, data) = frame(file)?;
    let text = std::str::from_utf8(text).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
    check_depth(text)?;
    let value: Value = text.trim_end().parse().map_err(|_| "not a Python literal".to_owned())?;
    let entries = value.as_dict().ok_or("not a Python dictionary")?;
    let field = |name: &str| {
        let found = entries.iter().find(|(key, _)| key.as_string().is_some_and(|key| key == name));
        found.map(|(_, value)| value).ok_or_else(|| format!("it has no {name:?}"))
    };
    let fortran = field("fortran_order")?.as_boolean().ok_or("fortran_order is not True or False")?;
    let dimensions = field("shape")?.as_tuple().ok_or("shape is not a tuple")?;
    let shape =
        dimensions.iter().map(dimension).collect::<Option<_>>().ok_or("shape has a dimension that is no size")?;
    let (dtype, measured) = match field("descr")? {
        Value::String(descr) => (descr.clone(), element(descr)?),
        _ => ("structured".to_owned(), Err("records of several fields are not one population of numbers")),
    };
    Ok(Header { dtype, measured, fortran, shape, data })
}

/// The header's text, and where the data behind it begins.
fn frame(file: &[u8]) -> Result<(&[u8], usize), String> {
    let rest = file.strip_prefix(MAGIC).ok_or("it does not begin with \\x93NUMPY")?;
    let (length, start) = match rest {
        [1, 0, low, high, ..] => (usize::from(u16::from_le_bytes([*low, *high])), 10),
        [2 | 3, 0, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 12),
        [major, minor, ..] if !(1..=3).contains(major) || *minor != 0 => {
            return Err(format!("format version {major}.{minor} is not known"));
        }
        _ => return Err("it ends before its length".to_owned()),
    };
    if length > LIMIT {
        return Err(format!("it is {length} bytes long, at most {LIMIT} are read"));
    }
    let text = file.get(start..start + length);
    let text = text.ok_or_else(|| format!("it is {length} bytes long, {} follow", file.len() - start))?;
    Ok((text, start + length))
}

/// Refuses nesting that would take the parser long.
fn check_depth(text: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    for char in text.chars() {
        match char {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return Err(format!("more than {DEPTH} brackets are open at once"));
        }
    }
    Ok(())
}

fn dimension(value: &Value) -> Option<u64> {
    value.as_integer().and_then(|integer| integer.try_into().ok())
}

/// The element type of NumPy's name for it, such as `<f4`; or why it is not measured.
fn element(descr: &str) -> Result<Result<Type, &'static str>, String> {
    let (big_endian, name) = match descr.split_at_checked(1) {
        Some((">", name)) => (true, name),
        Some(("<" | "|" | "=", name)) => (false, name),
        _ => return Err(format!("element type {descr:?} is not known")),
    };
    let element = match name {
        "f8" => Element::F64,
        "f4" => Element::F32,
        "f2" => Element::F16,
        "i8" => Element::I64,
        "i4" => Element::I32,
        "i2" => Element::I16,
        "i1" => Element::I8,
        "u8" => Element::U64,
        "u4" => Element::U32,
        "u2" => Element::U16,
        "u1" => Element::U8,
        "b1" => Element::Bool,
        _ => {
            return Ok(Err(match name.as_bytes().first() {
                Some(b'O') => "Python objects are not numbers, and unpickling them would run the file's code",
                Some(b'S' | b'U' | b'a') => "strings are not numbers",
                Some(b'c') => "complex numbers have no kurtosis in the sense of this tool",
                Some(b'm' | b'M') => "dates and times are not weights",
                Some(b'V') => "raw bytes have no type: where they are bfloat16, save them as float32",
                Some(b'f') => "floats of this width are not measured by this version",
                _ => return Err(format!("element type {descr:?} is not known")),
            }));
        }
    };
    Ok(Ok(Type { element, big_endian }))
}
