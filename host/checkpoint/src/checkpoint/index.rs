//! The index of a checkpoint that is split into shards: `model.safetensors.index.json`,
//! `pytorch_model.bin.index.json`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::CheckpointError;
use crate::source::{is_inside, json};

/// Which shard each tensor should be in.
#[derive(Debug)]
pub(super) struct Index {
    /// The index itself.
    pub(super) path: PathBuf,
    /// For each shard, as a path that can be opened, the tensors it should hold.
    pub(super) shards: BTreeMap<PathBuf, Vec<String>>,
}

impl Index {
    /// Reads an index and checks that the shards it names lie in its folder and exist.
    pub(super) fn read(path: &Path) -> Result<Self, CheckpointError> {
        let wrong = |detail: String| CheckpointError::IndexStructure { path: path.to_owned(), detail };
        let json = json::read(path)?;
        let map = json
            .get("weight_map")
            .and_then(Value::as_object)
            .ok_or_else(|| wrong("it has no object \"weight_map\"".to_owned()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut shards = BTreeMap::<PathBuf, Vec<String>>::new();
        for (tensor, shard) in map {
            let shard = shard
                .as_str()
                .ok_or_else(|| wrong(format!("weight_map does not name a file for tensor {tensor:?}")))?;
            if !is_inside(shard) {
                let (index, tensor, shard) = (path.to_owned(), tensor.clone(), shard.to_owned());
                return Err(CheckpointError::ShardOutside { index, tensor, shard });
            }
            shards.entry(folder.join(shard)).or_default().push(tensor.clone());
        }
        if shards.is_empty() {
            return Err(CheckpointError::NoTensors { path: path.to_owned() });
        }
        for (shard, tensors) in &shards {
            let absent = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
            if fs::symlink_metadata(shard).is_err_and(absent) {
                return Err(CheckpointError::ShardMissing {
                    index: path.to_owned(),
                    shard: shard.clone(),
                    tensors: tensors.len(),
                    example: tensors.first().cloned().unwrap_or_default(),
                });
            }
        }
        Ok(Self { path: path.to_owned(), shards })
    }
}
