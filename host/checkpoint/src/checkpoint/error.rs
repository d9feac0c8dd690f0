//! What can be wrong with a checkpoint, each with the file, the numbers and what to do about it.
//!
//! Messages are complete: an underlying error is part of the text and is not repeated by `source()`.

use std::path::{Path, PathBuf};

use crate::format::{FileKind, FormatError, FormatFault};
use crate::select::{FORMATS, IndexError, SelectError};
use crate::source::SourceError;

/// Why a checkpoint could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file or folder, or a JSON file beside the weights, could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The file is recognisably something that is not read.
    #[error("{}: this is {kind}; {}", path.display(), kind.advice())]
    OtherKind {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: FileKind,
    },
    /// The file is damaged, or of a form of its format that is not read.
    #[error("{}: {fault}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it: the tensor and the offset where it is known, the numbers and the advice.
        fault: Box<dyn FormatFault>,
    },
    /// Elements of a tensor cannot be read.
    #[error("{}: tensor {tensor:?}: elements {first}..{last} cannot be read: {detail}", path.display())]
    Elements {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Position of the first element asked for.
        first: u64,
        /// Position behind the last.
        last: u64,
        /// What is wrong.
        detail: String,
    },
    /// Two files of one checkpoint hold a tensor of the same name.
    #[error(
        "tensor {tensor:?} is in {} and in {}; where these are two models or two precisions, name the file to measure \
         instead of its folder",
        first.display(), second.display()
    )]
    DuplicateTensor {
        /// The tensor.
        tensor: String,
        /// A file that holds it.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// The index of shards cannot be used.
    #[error("{}: {error}", path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong with it, and what to do about it.
        error: IndexError,
    },
    /// The index names a shard that is not there.
    #[error(
        "{}: shard {} is missing (it should hold {tensors} tensors, {example:?} among them); finish the download{}",
        index.display(), shard.display(), or_measure(others)
    )]
    ShardMissing {
        /// The index.
        index: PathBuf,
        /// Where the shard should be.
        shard: PathBuf,
        /// How many tensors it should hold.
        tensors: usize,
        /// One of them.
        example: String,
        /// Files of weights beside the index that it does not name.
        others: Vec<String>,
    },
    /// The shards' names say that there are more of them than the folder holds.
    #[error(
        "{}: {found} of {total} shards are here, {missing} is missing; finish the download, or name one file to \
         measure it alone",
        folder.display()
    )]
    ShardsIncomplete {
        /// The folder.
        folder: PathBuf,
        /// Shards found.
        found: u64,
        /// Shards according to their names.
        total: u64,
        /// The first one missing.
        missing: String,
    },
    /// The parts' names say that there are more of them than the folder holds, and none can be read alone.
    #[error("{}: {found} of {total} parts are here, {missing} is missing; finish the download", folder.display())]
    PartsIncomplete {
        /// The folder.
        folder: PathBuf,
        /// Parts found.
        found: u64,
        /// Parts according to their names.
        total: u64,
        /// The first one missing.
        missing: String,
    },
    /// The index names a tensor that its shard does not hold.
    #[error(
        "{}: tensor {tensor:?} should be in {}, which does not hold it; index and shards are not of one model: \
         download all of them again",
        index.display(), shard.display()
    )]
    IndexedTensorMissing {
        /// The index.
        index: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shard that should hold it.
        shard: PathBuf,
    },
    /// The folder is empty.
    #[error("{}: the folder is empty; download a model into it, or name another", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds files, but no weights.
    #[error(
        "{}: no weights here: looked for {FORMATS} files among {entries} entries; name the \
         folder that holds them (in a Hugging Face cache: snapshots/REVISION)",
        path.display()
    )]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// How many entries it has.
        entries: usize,
    },
    /// The folder holds several files in one format, each of which would be a model.
    #[error("{}: {} models are here: {}; name the one to measure", path.display(), files.len(), files.join(", "))]
    SeveralModels {
        /// The folder.
        path: PathBuf,
        /// The files.
        files: Vec<String>,
    },
    /// Weights are in sub-folders of the folder only.
    #[error(
        "{}: {}weights are in sub-folders: {}; name the one to measure, such as {}",
        path.display(), if *is_pipeline { "a pipeline of several models (model_index.json), whose " } else { "" },
        folders.join(", "), path.join(folders.first().map_or("", String::as_str)).display()
    )]
    SubFolders {
        /// The folder.
        path: PathBuf,
        /// Its sub-folders that hold weights.
        folders: Vec<String>,
        /// Whether a `model_index.json` says that they are the models of one pipeline.
        is_pipeline: bool,
    },
    /// The folder holds weights only in a format that this version does not read.
    #[error(
        "{}: found {file} ({format}), a format that this version does not read yet; \
         download or convert the model as safetensors",
        path.display()
    )]
    FormatNotRead {
        /// The folder.
        path: PathBuf,
        /// The first such file.
        file: String,
        /// Its format.
        format: &'static str,
    },
    /// The checkpoint holds no tensors at all.
    #[error("{}: holds no tensors; it was saved from an empty model: save or download it again", path.display())]
    NoTensors {
        /// What was opened.
        path: PathBuf,
    },
}

impl CheckpointError {
    /// A reader's error about the file at `path`.
    pub(super) fn of_file(path: &Path, error: FormatError) -> Self {
        let path = path.to_owned();
        match error {
            FormatError::OtherKind(kind) => Self::OtherKind { path, kind },
            FormatError::Source(error) => Self::Source(error),
            FormatError::Fault(fault) => Self::Format { path, fault },
        }
    }

    /// Why none of the `entries` files in a folder were selected.
    pub(super) fn of_folder(folder: &Path, entries: usize, error: SelectError) -> Self {
        let path = folder.to_owned();
        match error {
            SelectError::NoWeights { .. } if entries == 0 => Self::EmptyFolder { path },
            SelectError::NoWeights { other: None } => Self::NoWeights { path, entries },
            SelectError::NoWeights { other: Some((file, format)) } => Self::FormatNotRead { path, file, format },
            SelectError::Several { files, .. } => Self::SeveralModels { path, files },
            SelectError::SubFolders { folders, is_pipeline, .. } => Self::SubFolders { path, folders, is_pipeline },
            SelectError::Incomplete { found, total, missing, readable_alone: true } => {
                Self::ShardsIncomplete { folder: path, found, total, missing }
            }
            SelectError::Incomplete { found, total, missing, readable_alone: false } => {
                Self::PartsIncomplete { folder: path, found, total, missing }
            }
        }
    }
}

/// What else can be done where a shard is missing.
fn or_measure(others: &[String]) -> String {
    match others {
        [] => String::new(),
        others => format!(", or name a file that the index does not, to measure it alone ({})", others.join(", ")),
    }
}
