//! Files that appear whole or not at all: written beside their place, then renamed into it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that is complete on disk under a temporary name. Dropped without [`commit`](Staged::commit), it is removed.
pub struct Staged {
    temporary: PathBuf,
    target: PathBuf,
}

impl Staged {
    /// Writes `content` and waits until it is on disk. The temporary file lies in the target's directory, so that
    /// renaming it never crosses file systems, and carries the process's number, so that two runs do not meet.
    pub fn write(target: PathBuf, content: &[u8]) -> io::Result<Self> {
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

    /// The path that the file will have.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the file its name, in the place of an older one.
    pub fn commit(self) -> io::Result<()> {
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
