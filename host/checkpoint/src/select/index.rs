//! The index of a model that is split into shards: `model.safetensors.index.json`, `pytorch_model.bin.index.json`. Whether
//! the shards exist is looked at where they are opened or downloaded.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::source::is_inside;

/// Which shard each tensor should be in.
#[derive(Debug)]
pub(crate) struct Index {
    /// For each shard, by its path relative to the index's folder, the tensors that it should hold; never empty.
    pub(crate) shards: BTreeMap<String, Vec<String>>,
}

/// Why an index cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// It is JSON, but not an index.
    #[error("not an index of shards: {detail}; download it again, or remove it to read every shard")]
    Structure {
        /// What is wrong.
        detail: String,
    },
    /// It names a shard outside its own folder.
    #[error(
        "tensor {tensor:?} is said to be in {shard:?}, which is not inside the index's folder; \
         do not use this checkpoint unless you trust where it is from"
    )]
    ShardOutside {
        /// The first tensor said to be there.
        tensor: String,
        /// The shard as the index names it.
        shard: String,
    },
    /// It names no tensors.
    #[error("holds no tensors; it was saved from an empty model: save or download it again")]
    NoTensors,
}

impl Index {
    /// Takes the index from its JSON, and checks that the shards it names are inside its folder.
    pub(crate) fn parse(json: &Value) -> Result<Self, IndexError> {
        let wrong = |detail: String| IndexError::Structure { detail };
        let map = json
            .get("weight_map")
            .and_then(Value::as_object)
            .ok_or_else(|| wrong("it has no object \"weight_map\"".to_owned()))?;
        let mut shards = BTreeMap::<String, Vec<String>>::new();
        for (tensor, shard) in map {
            let shard = shard
                .as_str()
                .ok_or_else(|| wrong(format!("weight_map does not name a file for tensor {tensor:?}")))?;
            if !is_inside(shard) {
                return Err(IndexError::ShardOutside { tensor: tensor.clone(), shard: shard.to_owned() });
            }
            shards.entry(shard.to_owned()).or_default().push(tensor.clone());
        }
        if shards.is_empty() { Err(IndexError::NoTensors) } else { Ok(Self { shards }) }
    }
}
