//! What can be wrong with the files that evidence is gathered from.

use std::path::PathBuf;

use thiserror::Error;

use crate::run_file::ReadError;

/// Why evidence could not be gathered.
#[derive(Debug, Error)]
pub enum EvidenceError {
    /// A run could not be read.
    #[error(transparent)]
    Run(#[from] ReadError),
    /// A folder holds no run.
    #[error("{}: neither run.json nor a folder with one in it", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// A folder could not be listed.
    #[error("cannot list {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A facts file could not be used.
    #[error(transparent)]
    Facts(#[from] FactsError),
}

/// Why a facts file could not be used.
#[derive(Debug, Error)]
pub enum FactsError {
    /// The file could not be read.
    #[error("cannot read the facts in {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not TOML, or holds other keys than a facts file.
    #[error("{}: not a facts file: {message}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What the parser expected, with line and column.
        message: String,
    },
    /// A fact has a name that nothing reads.
    #[error("{}: \"{model}\" has the unknown fact \"{key}\"; {advice}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The model that the fact is about.
        model: String,
        /// The name.
        key: String,
        /// What the user may have meant.
        advice: String,
    },
    /// A fact has a value of another kind.
    #[error("{}: \"{model}\": {key} takes {expected}, not {found}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// The model that the fact is about.
        model: String,
        /// The fact's name.
        key: &'static str,
        /// The kind that it takes.
        expected: &'static str,
        /// The value.
        found: String,
    },
    /// A value is no number, text or flag.
    #[error("{}: \"{model}\": {key} is {found}; facts are finite numbers, texts, or true and false", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The model that the fact is about.
        model: String,
        /// The fact's name.
        key: String,
        /// What was found.
        found: &'static str,
    },
}
