//! The structure of a pickle that `torch.save` wrote: dictionaries, and in them tensors by storage, offset, shape and strides.
//! Nothing that it names is run.
//!
//! Source: Python's `pickletools.py`; `torch/_utils.py` for how tensors are rebuilt.

use std::collections::HashMap;

/// The most values that are made. A file of weights has a few dozen a tensor.
const LIMIT: usize = 1 << 22;

/// A value, by its number in [`Pickle::values`].
pub(super) type Id = usize;

/// A value of a pickle; what has no part in a state dict is `Other`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Other,
    Int(i64),
    Text(String),
    /// A tuple or list.
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function: module and name with a dot between.
    Global(String),
    Storage(Storage),
    Tensor(TensorLayout),
}

/// A storage: a member of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Storage {
    /// Its class: `torch.FloatStorage`.
    pub(super) class: String,
    /// The name of its member.
    pub(super) key: String,
}

/// Where a tensor's elements are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorLayout {
    /// Its type as PyTorch names it, `float8_e8m0fnu`, or the class of its storage.
    pub(super) dtype: String,
    pub(super) key: String,
    /// Elements of the storage before it; `None` for tensors that are more than a view of a storage.
    pub(super) offset: Option<u64>,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<u64>,
}

/// Everything that a pickle makes.
#[derive(Debug, Default)]
pub(super) struct Pickle {
    pub(super) values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl Pickle {
    /// Reads a pickle; gives what it is of. `None` for one that is damaged or has operations that `torch.save` does not write.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, Id)> {
        let mut pickle = Self::default();
        let mut rest = Rest(bytes);
        loop {
            if pickle.values.len() > LIMIT {
                return None;
            }
            match rest.byte()? {
                b'.' => {
                    let root = pickle.stack.pop()?;
                    return Some((pickle, root));
                }
                operation => pickle.step(operation, &mut rest)?,
            }
        }
    }

    fn step(&mut self, operation: u8, rest: &mut Rest<'_>) -> Option<()> {
        match operation {
            0x80 => drop(rest.take(1)?),
            0x95 => drop(rest.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'}' => self.push(Value::Dict(Vec::new())),
            b')' | b']' => self.push(Value::Sequence(Vec::new())),
            b'N' | 0x88 | 0x89 => self.push(Value::Other),
            b'K' => self.integer(rest.take(1)?, false),
            b'M' => self.integer(rest.take(2)?, false),
            b'J' => self.integer(rest.take(4)?, true),
            0x8a => {
                let length = rest.byte()?;
                self.integer(rest.take(length.into())?, true);
            }
            b'G' => {
                rest.take(8)?;
                self.push(Value::Other);
            }
            b'X' => self.text(rest, 4)?,
            0x8c | b'U' => self.text(rest, 1)?,
            b'c' => {
                let (module, name) = (rest.line()?, rest.line()?);
                self.push(Value::Global(format!("{module}.{name}")));
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.push(Value::Global(format!("{module}.{name}")));
            }
            b'q' => self.remember(rest.number(1)?)?,
            b'r' => self.remember(rest.number(4)?)?,
            0x94 => self.remember(self.memo.len() as u64)?,
            b'h' => self.recall(rest.number(1)?)?,
            b'j' => self.recall(rest.number(4)?)?,
            b'0' => drop(self.stack.pop()?),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Sequence(items));
            }
            0x85..=0x87 => {
                let items = self.stack.split_off(self.stack.len().checked_sub(usize::from(operation - 0x84))?);
                self.push(Value::Sequence(items));
            }
            b'a' | b'e' => self.append(operation)?,
            b's' | b'u' => self.set(operation)?,
            b'Q' => self.storage()?,
            b'R' | 0x81 => self.call()?,
            b'b' => self.build()?,
            _ => return None,
        }
        Some(())
    }

    /// A value.
    pub(super) fn get(&self, id: Id) -> &Value {
        self.values.get(id).unwrap_or(&Value::Other)
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn integer(&mut self, bytes: &[u8], is_signed: bool) {
        let mut whole = if is_signed && bytes.last().is_some_and(|last| *last >= 0x80) { [0xff; 8] } else { [0; 8] };
        let value = match whole.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(whole))
            }
            None => Value::Other,
        };
        self.push(value);
    }

    fn text(&mut self, rest: &mut Rest<'_>, width: usize) -> Option<()> {
        let length = usize::try_from(rest.number(width)?).ok()?;
        let text = String::from_utf8_lossy(rest.take(length)?).into_owned();
        self.push(Value::Text(text));
        Some(())
    }

    fn pop_text(&mut self) -> Option<String> {
        let id = self.stack.pop()?;
        match self.get(id) {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn remember(&mut self, number: u64) -> Option<()> {
        self.memo.insert(number, *self.stack.last()?);
        Some(())
    }

    fn recall(&mut self, number: u64) -> Option<()> {
        self.stack.push(*self.memo.get(&number)?);
        // A value that is remembered once may be recalled without end.
        (self.stack.len() < LIMIT).then_some(())
    }

    fn pop_to_mark(&mut self) -> Option<Vec<Id>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn append(&mut self, operation: u8) -> Option<()> {
        let items = if operation == b'a' { vec![self.stack.pop()?] } else { self.pop_to_mark()? };
        if let Value::Sequence(list) = self.values.get_mut(*self.stack.last()?)? {
            list.extend(items);
        }
        Some(())
    }

    fn set(&mut self, operation: u8) -> Option<()> {
        let items = match operation {
            b's' => self.stack.split_off(self.stack.len().checked_sub(2)?),
            _ => self.pop_to_mark()?,
        };
        if let Value::Dict(entries) = self.values.get_mut(*self.stack.last()?)? {
            entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        }
        Some(())
    }

    /// `('storage', class, key, location, elements)`.
    fn storage(&mut self) -> Option<()> {
        let id = self.stack.pop()?;
        let Value::Sequence(items) = self.get(id) else { return None };
        let (Value::Global(class), Value::Text(key)) = (self.get(*items.get(1)?), self.get(*items.get(2)?)) else {
            return None;
        };
        let storage = Storage { class: class.clone(), key: key.clone() };
        self.push(Value::Storage(storage));
        Some(())
    }

    /// A function's result: a tensor or an empty dictionary where it is known to be one.
    fn call(&mut self) -> Option<()> {
        let (arguments, function) = (self.stack.pop()?, self.stack.pop()?);
        let Value::Sequence(arguments) = self.get(arguments) else {
            self.push(Value::Other);
            return Some(());
        };
        let name = match self.get(function) {
            Value::Global(name) => name.as_str(),
            _ => "",
        };
        let value = match name {
            "collections.OrderedDict" => Value::Dict(Vec::new()),
            "torch._utils._rebuild_parameter" => arguments.first().map_or(Value::Other, |id| self.get(*id).clone()),
            _ => {
                let tensor = self.tensor(name, arguments).or_else(|| self.made_of_tensors(name, arguments));
                tensor.map_or(Value::Other, Value::Tensor)
            }
        };
        self.push(value);
        Some(())
    }

    /// Attributes of an object. Those of a state dict are no tensors; what else has attributes may have tensors among them.
    fn build(&mut self) -> Option<()> {
        let attributes = self.stack.pop()?;
        let is_empty = match self.get(attributes) {
            Value::Dict(entries) => entries.is_empty(),
            Value::Sequence(items) => items.is_empty(),
            _ => true,
        };
        let is_dict = matches!(self.get(*self.stack.last()?), Value::Dict(_));
        (is_empty || is_dict).then_some(())
    }

    /// What an unknown function makes of tensors: a tensor that is not known to be a view of a storage.
    fn made_of_tensors(&self, function: &str, arguments: &[Id]) -> Option<TensorLayout> {
        let inner = arguments.iter().flat_map(|id| match self.get(*id) {
            Value::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(id),
        });
        let (key, shape) = inner.into_iter().find_map(|id| match self.get(*id) {
            Value::Tensor(tensor) => Some((tensor.key.clone(), tensor.shape.clone())),
            Value::Storage(storage) => Some((storage.key.clone(), Vec::new())),
            _ => None,
        })?;
        Some(TensorLayout { dtype: function.to_owned(), key, offset: None, shape, strides: Vec::new() })
    }

    /// The tensor that a function makes of a storage.
    fn tensor(&self, function: &str, arguments: &[Id]) -> Option<TensorLayout> {
        let Value::Storage(storage) = self.get(*arguments.first()?) else { return None };
        let number = |at: usize| match self.get(*arguments.get(at)?) {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        let numbers = |at: usize| match self.get(*arguments.get(at)?) {
            Value::Sequence(items) => items.iter().map(|id| self.size(*id)).collect::<Option<Vec<u64>>>(),
            _ => None,
        };
        let is_view = matches!(
            function,
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor_v3"
        );
        let stated = match arguments.get(6).map(|id| self.get(*id)) {
            Some(Value::Global(dtype)) if function.ends_with("_v3") => Some(dtype),
            _ => None,
        };
        Some(TensorLayout {
            dtype: stated.unwrap_or(&storage.class).trim_start_matches("torch.").to_owned(),
            key: storage.key.clone(),
            offset: number(1).filter(|_| is_view),
            shape: numbers(2)?,
            strides: numbers(3)?,
        })
    }

    fn size(&self, id: Id) -> Option<u64> {
        match self.get(id) {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }
}

/// What is left of the bytes.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self, width: usize) -> Option<u64> {
        let mut whole = [0; 8];
        whole.get_mut(..width)?.copy_from_slice(self.take(width)?);
        Some(u64::from_le_bytes(whole))
    }

    fn line(&mut self) -> Option<String> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let line = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.take(1)?;
        Some(line)
    }
}
