//! What the faults of all formats have in common. Which faults there are is defined by each format (`*/fault.rs`).

use std::error::Error;
use std::fmt;

use super::kind::FileKind;
use crate::source::SourceError;

/// Why a file of weights was refused by the reader of its format.
///
/// Displayed, it is a whole sentence without the file's path: what is wrong, with the numbers, and what to do about it.
pub trait FormatFault: Error + Send + Sync + 'static {
    /// The tensor that it is about; `None` where it is about the file's structure.
    fn tensor(&self) -> Option<&str> {
        None
    }

    /// The byte of the file where the fault was found; `None` where it is not in one place.
    fn offset(&self) -> Option<u64> {
        None
    }
}

/// Why a reader could not list a file's tensors.
#[derive(Debug)]
pub(crate) enum FormatError {
    /// The file only looked like the format.
    OtherKind(FileKind),
    /// The system refused to read it.
    Source(SourceError),
    /// It is damaged, or of a form that is not read.
    Fault(Box<dyn FormatFault>),
}

impl<F: FormatFault> From<F> for FormatError {
    fn from(fault: F) -> Self {
        Self::Fault(Box::new(fault))
    }
}

/// A shape as messages show it: `[4, 4]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape(pub(crate) Vec<u64>);

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A damaged header can claim any number of dimensions; a message needs only the first few.
        const SHOWN: usize = 8;
        f.write_str("[")?;
        for (i, dimension) in self.0.iter().take(SHOWN).enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{dimension}")?;
        }
        if self.0.len() > SHOWN {
            write!(f, ", … {} dimensions", self.0.len())?;
        }
        f.write_str("]")
    }
}
