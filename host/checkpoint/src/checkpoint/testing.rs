//! What the tests of several formats share.

use std::fs;
use std::ops::Range;

use tempfile::TempDir;

use super::{Checkpoint, StoredTensor};

/// Name, stored type, shape and values of a tensor.
pub(super) type Listed = (String, String, Vec<u64>, Vec<f64>);

/// Writes a file, and opens it as a checkpoint.
pub(super) fn open_bytes(name: &str, file: &[u8]) -> (TempDir, Checkpoint) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    fs::write(&path, file).expect("a file written");
    let checkpoint = Checkpoint::open(&path).expect("a checkpoint");
    (folder, checkpoint)
}

/// The message for a file of this content, without the path that it begins with.
pub(super) fn message(name: &str, file: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    fs::write(&path, file).expect("a file written");
    let message = Checkpoint::open(&path).expect_err("an error").to_string();
    message.strip_prefix(&format!("{}: ", path.display())).expect("the path first").to_owned()
}

/// Elements as numbers.
pub(super) fn values(checkpoint: &Checkpoint, tensor: &StoredTensor, range: Range<u64>) -> Vec<f64> {
    let elements = checkpoint.read(tensor, range).expect("elements");
    elements.chunks(tensor.element.size()).map(|bytes| tensor.element.decode(bytes).expect("whole")).collect()
}

/// All tensors with all values.
pub(super) fn listed(checkpoint: &Checkpoint) -> Vec<Listed> {
    let of = |tensor: &StoredTensor| {
        let values = values(checkpoint, tensor, 0..tensor.elements());
        (tensor.name.clone(), tensor.stored.clone(), tensor.shape.clone(), values)
    };
    checkpoint.tensors.iter().map(of).collect()
}
