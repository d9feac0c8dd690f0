//! What the reader of PyTorch checkpoints refuses, in words that say what to do about it.

use std::io::{self, Cursor};
use std::path::Path;

use pytorch_reader::{PickleError, PytorchError};

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::sniff::FileKind;
use crate::source;

/// Why a tensor is not measured that would take more memory than the file has bytes.
pub(super) const MORE_THAN_THE_FILE: &str =
    "it repeats its elements (an expanded view) and would take more memory than the file has bytes";

/// For files that unpack to more than they are.
pub(super) const COMPRESSED: &str = "it is compressed or damaged: load it in PyTorch and save it again";

const DAMAGED: &str = "the file is truncated or damaged: download it again";
const CONVERT: &str = "load it in PyTorch and save its plain, dense weights as safetensors";
const UNCERTAIN: &str = "if PyTorch can load it, save its state_dict as safetensors; otherwise download it again";

/// Where a tar archive has its mark.
const TAR_MARK: std::ops::Range<usize> = 257..262;

/// The error for a file that the crate refused, which was recognised as `kind`.
pub(super) fn refused(path: &Path, kind: FileKind, error: PytorchError) -> CheckpointError {
    // An archive that was recognised by its members is a checkpoint; of another one nothing is known but what it is.
    let unknown = matches!(kind, FileKind::Zip | FileKind::Tar);
    match error {
        PytorchError::InvalidFormat(_) | PytorchError::Zip(_) | PytorchError::Tar(_) if unknown => {
            CheckpointError::OtherKind { path: path.to_owned(), kind }
        }
        PytorchError::Io(error) if error.raw_os_error().is_some() => source::unreadable(path, error).into(),
        PytorchError::InvalidFormat(detail) => unreadable(path, &detail, UNCERTAIN),
        PytorchError::Pickle(error) => {
            let advice = match &error {
                PickleError::UnsupportedType(_) | PickleError::NoDataSource => CONVERT,
                PickleError::Io(_) | PickleError::InvalidOpCode(_) | PickleError::StackUnderflow => DAMAGED,
                PickleError::MemoNotFound(_) => DAMAGED,
                _ => UNCERTAIN,
            };
            unreadable(path, &error.to_string(), advice)
        }
        error => unreadable(path, &error.to_string(), DAMAGED),
    }
}

/// The error for a checkpoint that cannot be read.
pub(super) fn unreadable(path: &Path, detail: &str, advice: &'static str) -> CheckpointError {
    let detail = detail.trim_end_matches('.').to_owned();
    CheckpointError::PyTorch { path: path.to_owned(), detail, advice }
}

/// Checks that the members of a tar archive, which the crate holds in memory, are no longer than the archive: a sparse
/// member takes a few bytes in the file and any number of them in memory.
pub(super) fn check_tar(path: &Path, file: &[u8]) -> Result<(), CheckpointError> {
    if file.get(TAR_MARK) != Some(b"ustar") || file.starts_with(b"PK") {
        return Ok(());
    }
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
            Err(unreadable(path, &format!("its members claim {claimed} bytes of a file of {}", file.len()), COMPRESSED))
        }
        Err(error) => Err(unreadable(path, &error.to_string(), DAMAGED)),
    }
}
