//! What can go wrong between the hub and the cache, each with what to do about it.

use std::io;
use std::path::PathBuf;

use crate::select::{FORMATS, IndexError};
use crate::source::SourceError;

/// Why a model could not be fetched from the hub.
///
/// Messages are complete: an underlying error is part of the text and is not repeated by `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// An environment variable cannot be used.
    #[error("{name} {detail}")]
    Setting {
        /// The variable.
        name: &'static str,
        /// What is wrong with it and what to do.
        detail: String,
    },
    /// There is no such repository, or this user may not see it.
    #[error(
        "hf:{repository}: no such model at {endpoint}; check the spelling, or set HF_TOKEN to a token that may read it \
         if it is private"
    )]
    NoRepository {
        /// The repository.
        repository: String,
        /// The hub that was asked.
        endpoint: String,
    },
    /// The repository has no such revision.
    #[error(
        "hf:{repository}: no branch, tag or commit {revision:?}; {endpoint}/{repository}/tree/main lists what there is"
    )]
    NoRevision {
        /// The repository.
        repository: String,
        /// The revision.
        revision: String,
        /// The hub that was asked.
        endpoint: String,
    },
    /// The weights are only for those who accepted the licence.
    #[error(
        "hf:{repository}: access is restricted (HTTP {status}); accept the licence at {endpoint}/{repository}, then {}",
        if *.with_token { "check that HF_TOKEN belongs to the account that did" }
        else { "set HF_TOKEN to a token from https://huggingface.co/settings/tokens" }
    )]
    Gated {
        /// The repository.
        repository: String,
        /// The hub that was asked.
        endpoint: String,
        /// 401 or 403.
        status: u16,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The hub does not know the token.
    #[error(
        "{endpoint} does not accept the token; set HF_TOKEN to a valid one, or unset it and remove the token's file"
    )]
    TokenRefused {
        /// The hub that was asked.
        endpoint: String,
    },
    /// The repository holds no weights in a format that is looked for.
    #[error(
        "{model}: no weights among its {count} files ({files}); looked for {FORMATS} files: name \
         another repository, or a file of this one (hf:ORGANISATION/NAME/FILE)"
    )]
    NoWeights {
        /// The model.
        model: String,
        /// How many files it has.
        count: usize,
        /// The first of them.
        files: String,
    },
    /// Weights are in sub-folders of the repository only.
    #[error(
        "{model}: {}weights are in sub-folders: {folders}; name the file to measure, such as {example}",
        if *is_pipeline { "a pipeline of several models (model_index.json), whose " } else { "" }
    )]
    SubFolders {
        /// The model.
        model: String,
        /// The sub-folders that hold weights.
        folders: String,
        /// Whether a `model_index.json` says that they are the models of one pipeline.
        is_pipeline: bool,
        /// How a file in one of them is named.
        example: String,
    },
    /// There are several models in one repository.
    #[error("{model}: holds {count} {kind} files; name the one to measure, such as {example} (there are {files})")]
    Several {
        /// The model as it was named.
        model: String,
        /// How many.
        count: usize,
        /// `.gguf`, ….
        kind: &'static str,
        /// The model with the first of them named.
        example: String,
        /// Their names.
        files: String,
    },
    /// The file that was named is not there.
    #[error("hf:{repository}: no file {file:?} at {revision}; it holds {files}")]
    NoFile {
        /// The repository.
        repository: String,
        /// The file.
        file: String,
        /// The revision.
        revision: String,
        /// What there is.
        files: String,
    },
    /// The names of files say that there are more of them than the repository holds.
    #[error(
        "{model}: holds {found} of {total} files of the model, {missing} is missing; the repository is damaged: report it \
         there, or name another file of it"
    )]
    Incomplete {
        /// The model.
        model: String,
        /// Files found.
        found: u64,
        /// Files according to their names.
        total: u64,
        /// The first one missing.
        missing: String,
    },
    /// The index of shards cannot be used.
    #[error("{}: {error}", path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong with it, and what to do about it.
        error: IndexError,
    },
    /// The index names a file that the repository does not hold.
    #[error(
        "{}: names {shard}, which the repository lacks; the repository is damaged: report it there, or name one file of it",
        path.display()
    )]
    ShardMissing {
        /// The index.
        path: PathBuf,
        /// The file.
        shard: String,
    },
    /// A file that was downloaded cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No connection.
    #[error(
        "{endpoint} cannot be reached: {detail}; check the network and the proxy, set HF_ENDPOINT for a mirror, or {}",
        if *.cached { "set HF_HUB_OFFLINE=1 to use the copy in the cache" }
        else { "copy the model's folder here and name its path (the cache holds no copy for HF_HUB_OFFLINE=1)" }
    )]
    Unreachable {
        /// The hub.
        endpoint: String,
        /// What failed.
        detail: String,
        /// Whether the cache holds the model.
        cached: bool,
    },
    /// Offline, and the cache does not hold it.
    #[error(
        "{model}: not in the cache at {}, and HF_HUB_OFFLINE forbids to download it; unset that, or set HF_HUB_CACHE \
         to the cache that holds it",
        cache.display()
    )]
    NotCached {
        /// The model.
        model: String,
        /// The cache.
        cache: PathBuf,
    },
    /// The hub answered with an error of its own.
    #[error("{url}: the hub answered {status} {detail}; try again later")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
        /// Its message.
        detail: String,
    },
    /// The hub's answer makes no sense.
    #[error("{url}: {detail}; is HF_ENDPOINT the address of a Hugging Face hub?")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// The connection broke repeatedly.
    #[error(
        "{file}: the download stopped at {received} of {size} bytes: {detail}; run the command again to go on from there"
    )]
    Interrupted {
        /// The file.
        file: String,
        /// Bytes that are here.
        received: u64,
        /// Bytes that it has.
        size: u64,
        /// How the last attempt failed.
        detail: String,
    },
    /// The file is longer or shorter than announced.
    #[error(
        "{file}: announced with {expected} bytes, sent with {found}; it was discarded: run the command again, and report \
         it to the server if that does not help"
    )]
    Size {
        /// The file.
        file: String,
        /// Bytes announced.
        expected: u64,
        /// Bytes sent.
        found: u64,
    },
    /// The bytes are not those that the hub announced.
    #[error(
        "{file}: its SHA-256 is {found}, not {expected}; it was discarded: run the command again, and suspect the proxy or \
         the mirror if that does not help"
    )]
    Checksum {
        /// The file.
        file: String,
        /// The hash announced.
        expected: String,
        /// The hash of what came.
        found: String,
    },
    /// The disk is full.
    #[error(
        "{}: the disk is full: {needed} bytes are needed and {free} are free; make room, or set HF_HUB_CACHE to a folder \
         on another disk",
        folder.display()
    )]
    DiskFull {
        /// The cache's folder.
        folder: PathBuf,
        /// Bytes still to write.
        needed: u64,
        /// Bytes that can be written.
        free: u64,
    },
    /// The cache cannot be read or written.
    #[error("{}: {error}; make it readable and writable, or set HF_HUB_CACHE to a folder that is", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
}

impl HubError {
    /// Where in the cache the system refused what.
    pub(super) fn cache(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Cache { path, error }
    }
}
