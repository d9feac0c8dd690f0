//! Read-only memory mapping of files, and shared windows into them.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

use super::error::SourceError;

/// How a mapping is about to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Access {
    /// From front to back: read far ahead.
    Sequential,
    /// A little here and there: reading ahead would be wasted.
    Sampling,
}

/// A file in memory. Clones share the mapping.
#[derive(Debug, Clone)]
pub(crate) struct MappedFile {
    path: PathBuf,
    map: Arc<Mmap>,
}

impl MappedFile {
    /// Maps a file; refuses anything that is not a plain file, and an empty one.
    pub(crate) fn open(path: &Path) -> Result<Self, SourceError> {
        // Looked at before it is opened: opening a pipe would wait for a writer.
        if plain_file(path)? == 0 {
            return Err(SourceError::EmptyFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(|error| unreadable(path, error))?;
        // SAFETY: the mapping is read-only and never handed out mutably. Another process that changes the file meanwhile
        // can change the bytes seen, which are treated as untrusted throughout, or, by truncating it, end this process
        // with SIGBUS; `Checkpoint` documents that hazard.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| unreadable(path, error))?;
        Ok(Self { path: path.to_owned(), map: Arc::new(map) })
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// A window that keeps the mapping alive; `None` where the range is not inside the file.
    pub(crate) fn share(&self, range: Range<usize>) -> Option<Bytes> {
        self.map.get(range.clone())?;
        Some(Bytes::from_owner(Window { map: Arc::clone(&self.map), range }))
    }

    /// Advises the operating system how the file is about to be read.
    pub(crate) fn advise(&self, access: Access) {
        #[cfg(unix)]
        {
            let advice = match access {
                Access::Sequential => memmap2::Advice::Sequential,
                Access::Sampling => memmap2::Advice::Random,
            };
            // Advice only changes speed; a system that does not take it is no error.
            let _ = self.map.advise(advice);
        }
        #[cfg(not(unix))]
        let _ = access;
    }
}

/// A part of a mapping that keeps all of it alive.
struct Window {
    map: Arc<Mmap>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Window {
    fn as_ref(&self) -> &[u8] {
        self.map.get(self.range.clone()).unwrap_or_default()
    }
}

/// The length of a plain file; an error for anything else.
pub(super) fn plain_file(path: &Path) -> Result<u64, SourceError> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    let found = if metadata.is_dir() { "a folder" } else { "a device, pipe or socket" };
    Err(SourceError::NotAFile { path: path.to_owned(), found })
}

/// The error for a path that the operating system refused to look at, open or map.
pub(crate) fn unreadable(path: &Path, error: io::Error) -> SourceError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => match fs::read_link(&path) {
            Ok(target) => SourceError::BrokenLink { path, target },
            Err(_) => SourceError::NotFound { path },
        },
        io::ErrorKind::PermissionDenied => SourceError::PermissionDenied { path },
        _ => SourceError::Read { path, error },
    }
}
