//! What can be wrong with a PyTorch checkpoint, with what to do about it.

use std::io::{self, Cursor};
use std::path::Path;

use pytorch_reader::{PickleError, PytorchError};

use super::Container;
use crate::format::{FormatError, FormatFault};
use crate::source;

/// Why a tensor is not measured that would take more memory than the file has bytes.
pub(super) const MORE_THAN_THE_FILE: &str =
    "it repeats its elements (an expanded view) and would take more memory than the file has bytes";

/// For files that unpack to more than they are.
pub(super) const COMPRESSED: &str = "it is compressed or damaged: load it in PyTorch and save it again";

const DAMAGED: &str = "the file is truncated or damaged: download it again";
const CONVERT: &str = "load it in PyTorch and save its plain, dense weights as safetensors";
const UNCERTAIN: &str = "if PyTorch can load it, save its state_dict as safetensors; otherwise download it again";

/// Why a checkpoint was refused. The parser's messages hold what is known of tensors and offsets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot be read as a PyTorch checkpoint: {detail}; {advice}")]
pub(super) struct PyTorchFault {
    /// What is wrong.
    detail: String,
    /// What to do about it.
    advice: &'static str,
}

impl FormatFault for PyTorchFault {}

impl PyTorchFault {
    /// A fault with this detail, which may end in a full stop.
    pub(super) fn new(detail: &str, advice: &'static str) -> Self {
        Self { detail: detail.trim_end_matches('.').to_owned(), advice }
    }
}

/// The error for a file that the crate refused.
pub(super) fn refused(path: &Path, container: Container, error: PytorchError) -> FormatError {
    match error {
        // An archive without a checkpoint's members is nothing but an archive.
        PytorchError::InvalidFormat(_) | PytorchError::Zip(_) | PytorchError::Tar(_)
            if let Container::Archive(kind) = container =>
        {
            FormatError::OtherKind(kind)
        }
        PytorchError::Io(error) if error.raw_os_error().is_some() => {
            FormatError::Source(source::unreadable(path, error))
        }
        PytorchError::InvalidFormat(detail) => PyTorchFault::new(&detail, UNCERTAIN).into(),
        PytorchError::Pickle(error) => {
            let advice = match &error {
                PickleError::UnsupportedType(_) | PickleError::NoDataSource => CONVERT,
                PickleError::Io(_) | PickleError::InvalidOpCode(_) | PickleError::StackUnderflow => DAMAGED,
                PickleError::MemoNotFound(_) => DAMAGED,
                _ => UNCERTAIN,
            };
            PyTorchFault::new(&error.to_string(), advice).into()
        }
        error => PyTorchFault::new(&error.to_string(), DAMAGED).into(),
    }
}

/// Checks that the members of a tar archive, which the crate holds in memory, are no longer than the archive: a sparse
/// member takes a few bytes in the file and any number of them in memory.
pub(super) fn check_tar(file: &[u8]) -> Result<(), PyTorchFault> {
    let claimed = |file| -> io::Result<u64> {
        let mut claimed = 0u64;
        for member in tar::Archive::new(Cursor::new(file)).entries()? {
            claimed = claimed.saturating_add(member?.size());
        }
        Ok(claimed)
    };
    match claimed(file) {
        Ok(claimed) if claimed <= file.len() as u64 => Ok(()),
        Ok(claimed) => {
            let detail = format!("its members claim {claimed} bytes of a file of {}", file.len());
            Err(PyTorchFault::new(&detail, COMPRESSED))
        }
        Err(error) => Err(PyTorchFault::new(&error.to_string(), DAMAGED)),
    }
}
