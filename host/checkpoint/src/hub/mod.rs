//! Models on the Hugging Face hub: finds what to download, brings it into the shared cache, and returns where
//! it is.
//!
//! The transfer is our own, because weights are large: it resumes after a stop, compares hashes, checks the space on
//! the disk before it begins.

mod cache;
mod choose;
mod client;
mod error;
mod name;
mod settings;
mod transfer;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

pub use error::HubError;
pub use name::{HubModel, NameError, PREFIX};
pub use settings::Settings;

use cache::RepositoryCache;
use choose::choose;
use client::{Client, Listing};
use transfer::{RemoteFile, length, partial, transfer};

use crate::packed::MODELOPT_FILE;
use crate::select::{Index, Selection, Weights, folder_of};
use crate::source::json;

/// A model that is on disk now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// What to open: the snapshot's folder, or a file in it.
    pub path: PathBuf,
    /// The commit that the revision meant.
    pub commit: String,
}

/// Receives the progress of a download.
pub trait Progress {
    /// Downloading begins: `there` of `total` bytes were here before.
    fn begin(&mut self, there: u64, total: u64);
    /// So many of the bytes are here; the last ones belong to `file`.
    fn at(&mut self, bytes: u64, file: &str);
    /// Another program downloads the same file and holds this lock.
    fn waiting(&mut self, lock: &Path);
    /// All bytes are here, or an error ended it.
    fn finish(&mut self);
}

/// Brings a model to disk: its `config.json`, what ModelOpt says beside it, its index and its weights, and nothing that is
/// there already.
///
/// [`select`](fn@crate::select) decides which files are the model, unless one is [named](HubModel::file).
///
/// # Errors
/// See [`HubError`]. What was downloaded until then stays in the cache, and the next call goes on from there.
pub fn fetch(model: &HubModel, settings: &Settings, progress: &mut dyn Progress) -> Result<Fetched, HubError> {
    let cache = RepositoryCache::new(&settings.cache, model);
    if settings.offline {
        return cached(model, &cache);
    }
    let client = Client::new(settings, model);
    let listing = client.listing().map_err(|error| match error {
        HubError::Unreachable { endpoint, detail, .. } => {
            HubError::Unreachable { endpoint, detail, cached: cached(model, &cache).is_ok() }
        }
        other => other,
    })?;
    let names: Vec<String> = listing.files.iter().map(|file| file.name.clone()).collect();
    let selection = choose(model, &names)?;
    let mut job = Download::new(&client, &cache, &listing, progress);
    let index = match &selection.weights {
        Weights::Index(index) => Some(index),
        Weights::File(_) | Weights::Files(_) => None,
    };
    let beside = |config: &String| format!("{}{MODELOPT_FILE}", folder_of(config));
    let modelopt = selection.config.iter().map(beside).filter(|name| names.contains(name));
    let small: Vec<String> = selection.config.iter().chain(index).cloned().chain(modelopt).collect();
    job.download(&small)?;
    let mut weights = match &selection.weights {
        Weights::File(file) => vec![file.clone()],
        Weights::Files(files) => files.clone(),
        Weights::Index(index) => {
            let path = cache.snapshot(&listing.commit).join(index);
            let shards = shards(&path, folder_of(index))?;
            if let Some(missing) = shards.iter().find(|shard| !names.contains(shard)) {
                return Err(HubError::ShardMissing { path, shard: missing.clone() });
            }
            shards
        }
    };
    weights.extend(selection.external.iter().cloned());
    job.download(&weights)?;
    cache.remember(&listing.commit)?;
    Ok(fetched(&cache, &selection, listing.commit))
}

/// What the cache holds without asking anyone.
fn cached(model: &HubModel, cache: &RepositoryCache) -> Result<Fetched, HubError> {
    let missing = || HubError::NotCached { model: model.to_string(), cache: cache.root().to_owned() };
    let commit = cache.known_commit().ok_or_else(missing)?;
    let names = cache.files(&commit);
    let selection = match choose(model, &names) {
        Err(HubError::NoWeights { .. } | HubError::NoFile { .. } | HubError::Incomplete { .. }) => {
            return Err(missing());
        }
        selection => selection?,
    };
    if let Weights::Index(index) = &selection.weights {
        let shards = shards(&cache.snapshot(&commit).join(index), folder_of(index))?;
        if !shards.iter().all(|shard| names.contains(shard)) {
            return Err(missing());
        }
    }
    Ok(fetched(cache, &selection, commit))
}

fn fetched(cache: &RepositoryCache, selection: &Selection, commit: String) -> Fetched {
    let folder = cache.snapshot(&commit);
    // Joining the empty path would add a slash.
    let path = if selection.path().is_empty() { folder } else { folder.join(selection.path()) };
    Fetched { path, commit }
}

/// The files that an index names, sorted, with the index's folder in front.
fn shards(path: &Path, folder: &str) -> Result<Vec<String>, HubError> {
    let index = Index::parse(&json::read(path)?).map_err(|error| HubError::Index { path: path.to_owned(), error })?;
    Ok(index.shards.into_keys().map(|shard| format!("{folder}{shard}")).collect())
}

/// The download of one commit's files.
struct Download<'a> {
    client: &'a Client<'a>,
    cache: &'a RepositoryCache,
    commit: &'a str,
    sizes: HashMap<&'a str, Option<u64>>,
    progress: &'a mut dyn Progress,
}

impl<'a> Download<'a> {
    fn new(
        client: &'a Client<'a>,
        cache: &'a RepositoryCache,
        listing: &'a Listing,
        progress: &'a mut dyn Progress,
    ) -> Self {
        let sizes = listing.files.iter().map(|file| (file.name.as_str(), file.size)).collect();
        Self { client, cache, commit: &listing.commit, sizes, progress }
    }

    /// Downloads those of these files that are not in the snapshot.
    fn download(&mut self, names: &[String]) -> Result<(), HubError> {
        let mut wanted = Vec::new();
        for name in names.iter().filter(|name| !self.is_here(name)) {
            let file = RemoteFile { name: name.clone(), metadata: self.client.metadata(self.commit, name)? };
            if length(&self.cache.blob(&file.metadata.etag)) == Some(file.metadata.size) {
                self.cache.link(&file.metadata.etag, self.commit, name)?;
            } else {
                wanted.push(file);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let total: u64 = wanted.iter().fold(0, |total, file| total.saturating_add(file.metadata.size));
        let there: u64 = wanted.iter().map(|file| self.partial_length(file)).sum();
        self.check_room(total.saturating_sub(there))?;
        self.progress.begin(there, total);
        let outcome = self.transfer(&wanted);
        self.progress.finish();
        outcome
    }

    fn transfer(&mut self, wanted: &[RemoteFile]) -> Result<(), HubError> {
        // What is there of later files counts from the beginning, as it did in `begin`.
        let mut before: u64 = wanted.iter().map(|file| self.partial_length(file)).sum();
        for file in wanted {
            before -= self.partial_length(file).min(before);
            transfer(self.client, self.cache, self.commit, file, before, self.progress)?;
            self.cache.link(&file.metadata.etag, self.commit, &file.name)?;
            before += file.metadata.size;
        }
        Ok(())
    }

    /// Whether the snapshot has the file, in the length that the listing states.
    fn is_here(&self, name: &str) -> bool {
        let here = length(&self.cache.snapshot(self.commit).join(name));
        let listed = self.sizes.get(name).copied().flatten();
        here.is_some_and(|here| listed.is_none_or(|listed| listed == here))
    }

    /// Bytes of a file that an earlier attempt brought.
    fn partial_length(&self, file: &RemoteFile) -> u64 {
        length(&partial(&self.cache.blob(&file.metadata.etag))).unwrap_or(0).min(file.metadata.size)
    }

    fn check_room(&self, needed: u64) -> Result<(), HubError> {
        let folder = self.cache.root();
        fs::create_dir_all(folder).map_err(HubError::cache(folder))?;
        match self.cache.free_bytes() {
            Some(free) if free < needed => Err(HubError::DiskFull { folder: folder.to_owned(), needed, free }),
            _ => Ok(()),
        }
    }
}
