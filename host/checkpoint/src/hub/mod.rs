//! Models on the Hugging Face hub: finds what to download, brings it into the cache that other tools share, and says where
//! it is.
//!
//! The layout of the cache is the crate `hf-hub`'s; the transfer is our own, because weights are large: it goes on where
//! it stopped, compares hashes, and looks for room on the disk before it begins.

mod cache;
mod choose;
mod client;
mod error;
mod name;
mod settings;
mod transfer;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

pub use error::HubError;
pub use name::{HubModel, NameError, PREFIX};
pub use settings::Settings;

use cache::RepositoryCache;
use choose::{Choice, Weights, choose, folder_of};
use client::{Client, Listing};
use transfer::{Wanted, length, partial, transfer};

/// A model that is on disk now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// What to open: the snapshot's folder, or a file in it.
    pub path: PathBuf,
    /// The commit that the revision meant.
    pub commit: String,
}

/// Someone who watches a download.
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

/// Brings a model to disk: its `config.json`, its index and its weights, and nothing that is there already.
///
/// Of several formats one is taken: safetensors, then `pytorch_model.bin`, then a single `.gguf`, `.onnx` or `.npz`. A file
/// that is [named](HubModel::file) goes before all of them.
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
    let choice = choose(model, &names)?;
    let mut download = Download::new(&client, &cache, &listing, progress);
    download.bring(&choice.beside)?;
    let weights = match &choice.weights {
        Weights::Files(files) => files.clone(),
        Weights::Indexed(index) => {
            let path = cache.snapshot(&listing.commit).join(index);
            let shards = shards(&path, folder_of(index))?;
            if let Some(missing) = shards.iter().find(|shard| !names.contains(shard)) {
                return Err(HubError::Index { path, detail: format!("names {missing}, which the repository lacks") });
            }
            shards
        }
    };
    download.bring(&weights)?;
    cache.remember(&listing.commit)?;
    Ok(fetched(&cache, choice, listing.commit))
}

/// What the cache holds without asking anyone.
fn cached(model: &HubModel, cache: &RepositoryCache) -> Result<Fetched, HubError> {
    let missing = || HubError::NotCached { model: model.to_string(), cache: cache.root().to_owned() };
    let commit = cache.known_commit().ok_or_else(missing)?;
    let names = cache.files(&commit);
    let choice = match choose(model, &names) {
        Err(HubError::NoWeights { .. } | HubError::NoFile { .. }) => return Err(missing()),
        choice => choice?,
    };
    if let Weights::Indexed(index) = &choice.weights {
        let shards = shards(&cache.snapshot(&commit).join(index), folder_of(index))?;
        if !shards.iter().all(|shard| names.contains(shard)) {
            return Err(missing());
        }
    }
    Ok(fetched(cache, choice, commit))
}

fn fetched(cache: &RepositoryCache, choice: Choice, commit: String) -> Fetched {
    let folder = cache.snapshot(&commit);
    // A checkpoint of several files is opened by its folder, where the index is found again.
    let path = match choice.open {
        Some(file) if file.ends_with(".index.json") => folder.join(folder_of(&file)),
        Some(file) => folder.join(file),
        None => folder,
    };
    Fetched { path, commit }
}

/// The files that an index names, sorted, with the index's folder in front.
fn shards(path: &Path, folder: &str) -> Result<Vec<String>, HubError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let wrong = |detail: String| HubError::Index { path: path.to_owned(), detail };
    let text = fs::read(path).map_err(HubError::cache(path))?;
    let index: Index =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("is no index of shards: {error}")))?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    if let Some(outside) = shards.iter().find(|shard| !name::is_inside(shard)) {
        return Err(wrong(format!("names {outside:?}, which is not inside its folder")));
    }
    Ok(shards.into_iter().map(|shard| format!("{folder}{shard}")).collect())
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

    /// Brings these files into the snapshot, those that are not there.
    fn bring(&mut self, names: &[String]) -> Result<(), HubError> {
        let mut wanted = Vec::new();
        for name in names.iter().filter(|name| !self.is_here(name)) {
            let file = Wanted { name: name.clone(), metadata: self.client.metadata(self.commit, name)? };
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
        let there: u64 = wanted.iter().map(|file| self.part_of(file)).sum();
        self.check_room(total.saturating_sub(there))?;
        self.progress.begin(there, total);
        let outcome = self.transfer(&wanted);
        self.progress.finish();
        outcome
    }

    fn transfer(&mut self, wanted: &[Wanted]) -> Result<(), HubError> {
        // What is there of later files counts from the beginning, as it did in `begin`.
        let mut before: u64 = wanted.iter().map(|file| self.part_of(file)).sum();
        for file in wanted {
            before -= self.part_of(file).min(before);
            transfer(self.client, self.cache, self.commit, file, before, self.progress)?;
            self.cache.link(&file.metadata.etag, self.commit, &file.name)?;
            before += file.metadata.size;
        }
        Ok(())
    }

    /// Whether the snapshot has the file, whole as far as the listing tells.
    fn is_here(&self, name: &str) -> bool {
        let here = length(&self.cache.snapshot(self.commit).join(name));
        let listed = self.sizes.get(name).copied().flatten();
        here.is_some_and(|here| listed.is_none_or(|listed| listed == here))
    }

    /// Bytes of a file that an earlier attempt brought.
    fn part_of(&self, file: &Wanted) -> u64 {
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
