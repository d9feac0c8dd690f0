//! The files on disk that make up the checkpoint that a user named. Which of a folder's files they are is `select`'s decision.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use crate::select::{Index, Selection, Weights, gguf_part, is_index, select, select_file};
use crate::source::{SourceError, json, unreadable};

/// The files of one checkpoint.
#[derive(Debug)]
pub(super) struct CheckpointFiles {
    /// Where `config.json` would be.
    pub(super) folder: PathBuf,
    /// The files of weights, in a fixed order.
    pub(super) files: Vec<PathBuf>,
    /// The index, where there is one.
    pub(super) index: Option<IndexFile>,
    /// Names of files of weights in the same folder that are not part of the checkpoint.
    pub(super) left_out: Vec<String>,
}

/// An index of shards on disk.
#[derive(Debug)]
pub(super) struct IndexFile {
    pub(super) path: PathBuf,
    pub(super) index: Index,
    /// The shard of each tensor.
    holders: HashMap<String, String>,
}

impl CheckpointFiles {
    /// Finds the files of the checkpoint at `path`: a file, an index, or a folder (see [`Checkpoint::open`]).
    ///
    /// [`Checkpoint::open`]: super::Checkpoint::open
    pub(super) fn find(path: &Path) -> Result<Self, CheckpointError> {
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
        if metadata.is_dir() {
            let names = list(path)?;
            let selection = select(&names).map_err(|error| CheckpointError::of_folder(path, names.len(), error))?;
            return Self::of_selection(path.to_owned(), &selection);
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Ok(Self { folder, files: vec![path.to_owned()], index: None, left_out: Vec::new() });
        };
        // Files beside one that is named are no part of it, but for the parts of a split file and what an index names. The
        // folder of a bare file name is the current one.
        let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        let names = if gguf_part(name).is_some() || is_index(name) { list(listed)? } else { Vec::new() };
        let selection =
            select_file(name, &names).map_err(|error| CheckpointError::of_folder(&folder, names.len(), error))?;
        Self::of_selection(folder, &selection)
    }

    fn of_selection(folder: PathBuf, selection: &Selection) -> Result<Self, CheckpointError> {
        let mut left_out = selection.left_out.clone();
        let (files, index) = match &selection.weights {
            Weights::File(file) => (vec![folder.join(file)], None),
            Weights::Files(files) => (files.iter().map(|file| folder.join(file)).collect(), None),
            Weights::Index(file) => {
                let index = IndexFile::read(folder.join(file), &left_out)?;
                left_out.retain(|file| !index.index.shards.contains_key(file));
                (index.index.shards.keys().map(|shard| index.shard(shard)).collect(), Some(index))
            }
        };
        Ok(Self { folder, files, index, left_out })
    }
}

impl IndexFile {
    /// Reads an index and checks that the shards it names exist; `others` are all files of weights beside it.
    fn read(path: PathBuf, others: &[String]) -> Result<Self, CheckpointError> {
        let index =
            Index::parse(&json::read(&path)?).map_err(|error| CheckpointError::Index { path: path.clone(), error })?;
        let holder = |shard: &String, tensor: &String| (tensor.clone(), shard.clone());
        let holders =
            index.shards.iter().flat_map(|(shard, tensors)| tensors.iter().map(move |tensor| holder(shard, tensor)));
        let file = Self { path, holders: holders.collect(), index };
        let stray = || others.iter().filter(|other| !file.index.shards.contains_key(*other)).cloned().collect();
        for (shard, tensors) in &file.index.shards {
            let shard = file.shard(shard);
            let absent = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
            if fs::symlink_metadata(&shard).is_err_and(absent) {
                return Err(CheckpointError::ShardMissing {
                    index: file.path.clone(),
                    shard,
                    tensors: tensors.len(),
                    example: tensors.first().cloned().unwrap_or_default(),
                    others: stray(),
                });
            }
        }
        Ok(file)
    }

    /// The shard that a tensor should be in, where the index lists it.
    pub(super) fn shard_of(&self, tensor: &str) -> Option<PathBuf> {
        self.holders.get(tensor).map(|shard| self.shard(shard))
    }

    /// Where a shard is.
    pub(super) fn shard(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }
}

/// The names in a folder, and in its sub-folders the names of files, as `unet/model.safetensors`. Names that are not UTF-8,
/// which no tool gives to weights, are left out, and so are sub-folders that cannot be read.
fn list(folder: &Path) -> Result<Vec<String>, SourceError> {
    let failed = |error| unreadable(folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let Ok(name) = entry.map_err(failed)?.file_name().into_string() else { continue };
        let inside = fs::read_dir(folder.join(&name)).into_iter().flatten().flatten();
        let inside = inside.filter_map(|file| file.file_name().into_string().ok());
        names.extend(inside.map(|file| format!("{name}/{file}")));
        names.push(name);
    }
    Ok(names)
}
