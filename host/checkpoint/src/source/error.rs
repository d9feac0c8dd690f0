//! What can be wrong with a file or folder before its content is looked at, and with a JSON file beside weights.

use std::io;
use std::path::PathBuf;

/// Why a file or folder could not be read.
///
/// Messages are complete: an underlying error is part of the text and is not returned by `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no such file or folder.
    #[error("{}: no such file or folder; check the spelling and the current folder", path.display())]
    NotFound {
        /// The path that was looked for.
        path: PathBuf,
    },
    /// The path is a link whose target does not exist.
    #[error("{}: the link points to {}, which does not exist; finish or repeat the download", path.display(), target.display())]
    BrokenLink {
        /// The link.
        path: PathBuf,
        /// What it points to.
        target: PathBuf,
    },
    /// Permission to read the file or folder was denied.
    #[error("{}: permission denied; make it readable for this user (chmod u+r, or +rx for a folder)", path.display())]
    PermissionDenied {
        /// The file or folder.
        path: PathBuf,
    },
    /// The operating system failed to read the file or folder.
    #[error("{}: cannot be read: {error}; check the disk or the mount", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// A file was expected, but this is a folder, a device or a pipe.
    #[error("{}: is {found}, not a file; name a file, or move it out of the model's folder", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// `a folder`, or `a device, pipe or socket`.
        found: &'static str,
    },
    /// The file is empty.
    #[error("{}: the file is empty; the download did not finish: download it again", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// A JSON file beside the weights is not JSON.
    #[error("{}: not JSON at line {line}, column {column}: {detail}; repair the file or download it again", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where the parser stopped, counted from 1.
        line: usize,
        /// Where the parser stopped, counted from 1.
        column: usize,
        /// The parser's message.
        detail: String,
    },
    /// A JSON file beside the weights is too long to be what its name says.
    #[error("{}: {length} bytes, at most {limit} are read; this is not what its name says: download it again", path.display())]
    JsonTooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
        /// The largest length that is read, in bytes.
        limit: u64,
    },
}
