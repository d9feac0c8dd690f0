//! Files that appear whole or not at all: written to a temporary file beside them, then renamed. What is in them is the
//! caller's.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why files could not be written.
#[derive(Debug, Error)]
pub enum FilesError {
    /// The directory does not exist and could not be created.
    #[error("cannot create the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    File {
        /// The file, by the name that it was to have.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Creates the directory that [`write_all`] will write into, so that a directory that cannot be created is found out before
/// anything is measured.
///
/// # Errors
/// [`FilesError::Directory`].
pub fn create_directory(directory: &Path) -> Result<(), FilesError> {
    fs::create_dir_all(directory).map_err(|source| FilesError::Directory { path: directory.to_owned(), source })
}

/// Writes files, as name and content, into `directory`, which is created where it is missing: each whole or not at all, and
/// none before all are complete on disk. They get their names in the order given, so the last one's presence means that
/// all are there.
///
/// On an error before the first gets its name nothing new is left behind and older files are untouched; an interruption
/// after that can leave newer files beside older ones.
///
/// # Errors
/// When the directory or a file cannot be written.
pub fn write_all<N: AsRef<Path>>(directory: &Path, files: &[(N, String)]) -> Result<(), FilesError> {
    create_directory(directory)?;
    let failed = |path: PathBuf| |source| FilesError::File { path, source };
    let mut staged = Vec::new();
    for (name, content) in files {
        let path = directory.join(name);
        staged.push(Staged::write(path.clone(), content.as_bytes()).map_err(failed(path))?);
    }
    for file in staged {
        let path = file.target.clone();
        file.commit().map_err(failed(path))?;
    }
    sync_directory(directory);
    Ok(())
}

/// A file that is complete on disk under a temporary name. Dropped without [`commit`](Staged::commit), it is removed.
struct Staged {
    temporary: PathBuf,
    target: PathBuf,
}

impl Staged {
    /// Writes `content` and waits until it is on disk. The temporary file is in the target's directory, so that
    /// renaming it never crosses file systems, and carries the process's number, so that two runs do not meet.
    fn write(target: PathBuf, content: &[u8]) -> io::Result<Self> {
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = target.with_file_name(name);
        // A file of this name can only be left from a process that died. It is removed, never written through: it may be
        // a link by now.
        let _ = fs::remove_file(&temporary);
        let mut file = File::create_new(&temporary)?;
        let staged = Self { temporary, target };
        file.write_all(content)?;
        file.sync_all()?;
        Ok(staged)
    }

    /// Gives the file its name, in the place of an older one.
    fn commit(self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.target)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Renamed, it is gone already; and where removing fails there is nothing better to do.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Waits until the names in `directory` are on disk, where the system can do that. Not every file system can, and the
/// files are in their places by then, so an error is none of the caller's.
pub fn sync_directory(directory: &Path) {
    if cfg!(unix)
        && let Ok(opened) = File::open(directory)
    {
        let _ = opened.sync_all();
    }
}
