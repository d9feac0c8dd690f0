//! What the tests of several formats share.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::checkpoint::{Checkpoint, CheckpointError, StoredTensor};

/// Name, stored type, shape and values of a tensor.
pub(crate) type Listed = (String, String, Vec<u64>, Vec<f64>);

/// Writes a file, and opens it as a checkpoint.
pub(crate) fn open_bytes(name: &str, file: &[u8]) -> (TempDir, Checkpoint) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    fs::write(&path, file).expect("a file written");
    let checkpoint = Checkpoint::open(&path).expect("a checkpoint");
    (folder, checkpoint)
}

/// The message for a file of this content, without the path that it begins with.
pub(crate) fn message(name: &str, file: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    fs::write(&path, file).expect("a file written");
    let message = Checkpoint::open(&path).expect_err("an error").to_string();
    message.strip_prefix(&format!("{}: ", path.display())).expect("the path first").to_owned()
}

/// Elements as numbers.
pub(crate) fn values(checkpoint: &Checkpoint, tensor: &StoredTensor, range: Range<u64>) -> Vec<f64> {
    let elements = checkpoint.read(tensor, range).expect("elements");
    elements.chunks(tensor.element.size()).map(|bytes| tensor.element.decode(bytes).expect("whole")).collect()
}

/// All tensors with all values.
pub(crate) fn listed(checkpoint: &Checkpoint) -> Vec<Listed> {
    let of = |tensor: &StoredTensor| {
        let values = values(checkpoint, tensor, 0..tensor.elements());
        (tensor.name.clone(), tensor.stored.clone(), tensor.shape.clone(), values)
    };
    checkpoint.tensors.iter().map(of).collect()
}

/// A safetensors file with this header and this many bytes of data, each its own position modulo 251.
pub(crate) fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..data).map(|i| (i % 251) as u8));
    bytes
}

/// A folder that lives as long as the test.
pub(crate) struct Folder(pub(crate) TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), content).expect("a file written");
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn open(&self) -> Result<Checkpoint, CheckpointError> {
        Checkpoint::open(self.0.path())
    }

    /// The message of the error that opening this gives, with the folder's path taken out.
    pub(crate) fn message(&self, name: &str) -> String {
        let error = Checkpoint::open(&self.path(name)).expect_err("an error");
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// A file of one byte tensor for each name, 700 bytes each.
pub(crate) fn shard(names: &[&str]) -> Vec<u8> {
    let entries: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            format!(r#""{name}":{{"dtype":"U8","shape":[7,100],"data_offsets":[{},{}]}}"#, i * 700, (i + 1) * 700)
        })
        .collect();
    let mut bytes = file(&format!("{{{}}}", entries.join(",")), 0);
    for name in names {
        bytes.extend((0..700u32).map(|i| (i % 251) as u8 ^ name.len() as u8));
    }
    bytes
}
