//! The cache's folder of one repository, in the layout that Hugging Face's tools share:
//!
//! ```text
//! models--ORGANISATION--NAME/blobs/HASH              contents
//!                           /snapshots/COMMIT/FILE   links to them
//!                           /refs/REVISION           the commit that a branch or tag means
//! .locks/models--ORGANISATION--NAME/HASH.lock
//! ```
//!
//! Source: "Understand caching" in the documentation of huggingface_hub.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::Progress;
use super::error::HubError;
use super::name::{HubModel, is_commit};

/// The folder of one repository in the cache.
pub(super) struct RepositoryCache {
    root: PathBuf,
    /// The repository's name as the cache's folders have it.
    name: String,
    revision: String,
}

impl RepositoryCache {
    pub(super) fn new(root: &Path, model: &HubModel) -> Self {
        let name = format!("models--{}", model.repository.replace('/', "--"));
        Self { root: root.to_owned(), name, revision: model.revision.clone() }
    }

    /// The cache's own folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The repository's folder.
    fn folder(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    /// The file that holds the commit of the revision.
    fn reference(&self) -> PathBuf {
        self.folder().join("refs").join(&self.revision)
    }

    /// The commit that the revision meant when it was last looked up.
    pub(super) fn known_commit(&self) -> Option<String> {
        if is_commit(&self.revision) {
            return Some(self.revision.clone());
        }
        let commit = fs::read_to_string(self.reference()).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Records which commit the revision means.
    pub(super) fn remember(&self, commit: &str) -> Result<(), HubError> {
        // A commit needs no reference, and an unchanged one may be in a cache that cannot be written.
        if self.known_commit().as_deref() == Some(commit) {
            return Ok(());
        }
        let reference = self.reference();
        if let Some(folder) = reference.parent() {
            fs::create_dir_all(folder).map_err(HubError::cache(folder))?;
        }
        fs::write(&reference, commit).map_err(HubError::cache(&reference))
    }

    /// The folder of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder().join("snapshots").join(commit)
    }

    /// The file of content with this hash.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder().join("blobs").join(etag)
    }

    /// The names of a snapshot's files, sorted, as the hub would list them.
    pub(super) fn files(&self, commit: &str) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.snapshot(commit), "", &mut names);
        names.sort();
        names
    }

    /// Puts a blob into a snapshot under a file's name.
    pub(super) fn link(&self, etag: &str, commit: &str, name: &str) -> Result<(), HubError> {
        let (blob, pointer) = (self.blob(etag), self.snapshot(commit).join(name));
        if let Some(folder) = pointer.parent() {
            fs::create_dir_all(folder).map_err(HubError::cache(folder))?;
        }
        // Whatever is there was found to be wrong before.
        match fs::remove_file(&pointer) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(HubError::cache(&pointer)(error)),
            _ => {}
        }
        // From snapshots/COMMIT/… back to the repository's folder, so that the cache can be moved.
        let up = "../".repeat(2 + name.split('/').count() - 1);
        link(&Path::new(&up).join("blobs").join(etag), &blob, &pointer).map_err(HubError::cache(&pointer))
    }

    /// Keeps other programs from downloading the same content until the file is dropped.
    pub(super) fn lock(&self, etag: &str, progress: &mut dyn Progress) -> Result<File, HubError> {
        let folder = self.root.join(".locks").join(&self.name);
        fs::create_dir_all(&folder).map_err(HubError::cache(&folder))?;
        let path = folder.join(format!("{etag}.lock"));
        let file = File::options().create(true).append(true).open(&path).map_err(HubError::cache(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.waiting(&path);
                file.lock().map_err(HubError::cache(&path))?;
            }
            Err(TryLockError::Error(error)) => return Err(HubError::cache(&path)(error)),
        }
        Ok(file)
    }

    /// Bytes that can still be written; none where the system does not say.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        free_bytes(&self.root)
    }
}

fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{name}");
        match fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_dir() => collect(&entry.path(), &format!("{name}/"), names),
            Ok(_) => names.push(name),
            // A link to a blob that is gone.
            Err(_) => {}
        }
    }
}

#[cfg(unix)]
fn link(target: &Path, _blob: &Path, pointer: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, pointer)
}

#[cfg(windows)]
fn link(target: &Path, blob: &Path, pointer: &Path) -> io::Result<()> {
    // Links need a privilege there; other tools move the blob where they lack it.
    std::os::windows::fs::symlink_file(target, pointer).or_else(|_| fs::rename(blob, pointer))
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let status = rustix::fs::statvfs(folder).ok()?;
    Some(status.f_bavail.saturating_mul(status.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}
