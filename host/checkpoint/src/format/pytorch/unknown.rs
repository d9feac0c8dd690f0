//! Zip archives with tensors of types that the parser of PyTorch's pickles refuses: those tensors are listed as not measured,
//! the others are read where they lie in the file.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::ops::Range;

use kurtoscope_shared::Element;
use pytorch_reader::PickleValue;
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{Id, Pickle, TensorLayout, Value};
use super::state_dict::descend;
use crate::format::tensor::{FileContents, TensorData, TensorEntry};
use crate::source::MappedFile;
use crate::unmeasured::Unmeasured;

/// How deep dictionaries may lie in each other.
const DEPTH: usize = 32;

/// How many values are looked at.
const VISITS: usize = 1 << 20;

/// The longest pickle that is read.
const LONGEST: u64 = 256 << 20;

/// What the archive holds; `None` where it is damaged, or no archive of a state dict with plain storages.
pub(super) fn read(file: &MappedFile) -> Option<FileContents> {
    let bytes = file.share(0..file.bytes().len())?;
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    let names = archive.file_names().filter_map(Result::ok);
    let name = names.map(|name| name.into_owned()).find(|name| name.ends_with("/data.pkl"))?;
    let folder = name.strip_suffix("data.pkl")?.to_owned();
    let mut member = archive.by_name(&name).ok()?;
    if member.size() > LONGEST || member.compression() != CompressionMethod::Stored {
        return None;
    }
    let mut text = Vec::new();
    member.read_to_end(&mut text).ok()?;
    drop(member);
    let is_big_endian = archive.by_name(&format!("{folder}byteorder")).is_ok_and(|mut member| {
        let mut order = String::new();
        member.by_ref().take(16).read_to_string(&mut order).is_ok() && order.trim() == "big"
    });
    if is_big_endian {
        return None;
    }
    let (pickle, root) = Pickle::read(&text)?;
    let mut walk = Walk { pickle: &pickle, visits: 0, tensors: Vec::new() };
    walk.collect(root, "", 0);
    let weights_at = walk.keys(root, 0);
    let tensors = walk.tensors;
    let names: Vec<&str> = tensors.iter().map(|(path, _)| path.as_str()).collect();
    let weights = descend(&weights_at, |prefix| names.iter().any(|name| name.starts_with(prefix)));
    let mut contents = FileContents::default();
    for (path, tensor) in &tensors {
        let Some(name) = weights.name_of(path) else { continue };
        let storage = || range(file, &mut archive, &format!("{folder}data/{}", tensor.key));
        match place(tensor, storage) {
            Ok((element, range)) => contents.tensors.push(TensorEntry {
                name: name.to_owned(),
                shape: tensor.shape.clone(),
                element,
                stored: element.name().to_owned(),
                data: TensorData::Mapped(range),
            }),
            Err(reason) => contents.unmeasured.push(Unmeasured {
                name: name.to_owned(),
                shape: tensor.shape.clone(),
                dtype: tensor.dtype.clone(),
                reason: reason.to_owned(),
            }),
        }
    }
    Some(contents)
}

/// A walk over dictionaries and lists, which may hold each other more than once.
struct Walk<'a> {
    pickle: &'a Pickle,
    visits: usize,
    /// The tensors, with their keys joined by dots.
    tensors: Vec<(String, &'a TensorLayout)>,
}

impl<'a> Walk<'a> {
    /// A value, unless it lies too deep or too many were looked at.
    fn visit(&mut self, id: Id, depth: usize) -> &'a Value {
        self.visits += 1;
        if depth > DEPTH || self.visits > VISITS { &Value::Other } else { self.pickle.get(id) }
    }

    fn collect(&mut self, id: Id, path: &str, depth: usize) {
        let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match self.visit(id, depth) {
            Value::Tensor(tensor) => self.tensors.push((path.to_owned(), tensor)),
            Value::Dict(entries) => {
                for (key, value) in entries {
                    match self.pickle.get(*key) {
                        Value::Text(text) => self.collect(*value, &inner(text), depth + 1),
                        Value::Int(number) => self.collect(*value, &inner(&number.to_string()), depth + 1),
                        _ => {}
                    }
                }
            }
            Value::Sequence(items) => {
                for (position, item) in items.iter().enumerate() {
                    self.collect(*item, &inner(&position.to_string()), depth + 1);
                }
            }
            _ => {}
        }
    }

    /// The dictionaries by their keys, as the search for the state dict wants them.
    fn keys(&mut self, id: Id, depth: usize) -> PickleValue {
        match self.visit(id, depth) {
            Value::Dict(entries) => {
                let mut keys = HashMap::new();
                for (key, value) in entries {
                    if let Value::Text(text) = self.pickle.get(*key) {
                        keys.insert(text.clone(), self.keys(*value, depth + 1));
                    }
                }
                PickleValue::Dict(keys)
            }
            Value::Sequence(_) => PickleValue::List(Vec::new()),
            _ => PickleValue::None,
        }
    }
}

/// The bytes of a storage.
fn range<R: Read + std::io::Seek>(
    file: &MappedFile,
    archive: &mut ZipArchive<R>,
    member: &str,
) -> Option<Range<usize>> {
    let member = archive.by_name(member).ok()?;
    let (start, size) = (usize::try_from(member.data_start()?).ok()?, usize::try_from(member.size()).ok()?);
    let range = start..start.checked_add(size)?;
    let is_plain = member.compression() == CompressionMethod::Stored && member.compressed_size() == member.size();
    (is_plain && file.bytes().get(range.clone()).is_some()).then_some(range)
}

/// Type and place of a tensor's elements, or why they are not measured.
fn place(
    tensor: &TensorLayout,
    storage: impl FnOnce() -> Option<Range<usize>>,
) -> Result<(Element, Range<usize>), &'static str> {
    let offset =
        tensor.offset.ok_or("it is more than a view of its elements: quantized, sparse or of another class")?;
    let element = element(&tensor.dtype).ok_or("this element type is not known to this version")?;
    if !is_contiguous(&tensor.shape, &tensor.strides) {
        return Err("its elements are not in order, and a type in the file is not known to this version");
    }
    let storage = storage().ok_or("its storage is missing, compressed or damaged")?;
    let size = element.size() as u64;
    let count = tensor.shape.iter().try_fold(1u64, |product, &length| product.checked_mul(length));
    let inside = || {
        let (start, length) = (offset.checked_mul(size)?, count?.checked_mul(size)?);
        let end = usize::try_from(start.checked_add(length)?).ok()?;
        (end <= storage.len()).then(|| storage.start + start as usize..storage.start + end)
    };
    inside().map(|range| (element, range)).ok_or("its storage is too short for its shape")
}

/// Whether elements follow each other in rows.
fn is_contiguous(shape: &[u64], strides: &[u64]) -> bool {
    let mut step = 1u64;
    let mut in_order = shape.len() == strides.len();
    for (&length, &stride) in shape.iter().zip(strides).rev() {
        in_order &= length <= 1 || stride == step;
        step = step.saturating_mul(length);
    }
    in_order || shape.contains(&0)
}

/// The element type of a PyTorch type or a storage class.
fn element(dtype: &str) -> Option<Element> {
    Some(match dtype {
        "DoubleStorage" | "float64" => Element::F64,
        "FloatStorage" | "float32" => Element::F32,
        "HalfStorage" | "float16" => Element::F16,
        "BFloat16Storage" | "bfloat16" => Element::Bf16,
        "float8_e4m3fn" => Element::F8E4m3,
        "float8_e5m2" => Element::F8E5m2,
        "LongStorage" | "int64" => Element::I64,
        "IntStorage" | "int32" => Element::I32,
        "ShortStorage" | "int16" => Element::I16,
        "CharStorage" | "int8" => Element::I8,
        "uint64" => Element::U64,
        "uint32" => Element::U32,
        "uint16" => Element::U16,
        "ByteStorage" | "uint8" => Element::U8,
        "BoolStorage" | "bool" => Element::Bool,
        _ => return None,
    })
}
