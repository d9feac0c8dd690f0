//! Reads the JSON files beside weights: the configuration and the index of shards.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::error::SourceError;
use super::mapped::{plain_file, unreadable};

/// The longest JSON file that is read. Indexes of the largest public models take a few MiB.
const LIMIT: u64 = 256 << 20;

/// Reads and parses a JSON file.
pub(crate) fn read(path: &Path) -> Result<Value, SourceError> {
    let length = plain_file(path)?;
    if length > LIMIT {
        return Err(SourceError::JsonTooLong { path: path.to_owned(), length, limit: LIMIT });
    }
    let text = fs::read(path).map_err(|error| unreadable(path, error))?;
    serde_json::from_slice(&text).map_err(|error| SourceError::Json {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
        detail: message(&error),
    })
}

/// Reads and parses a JSON file that need not be there.
pub(crate) fn read_if_present(path: &Path) -> Result<Option<Value>, SourceError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => read(path).map(Some),
    }
}

/// A parser's message without the position that it ends with.
pub(crate) fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
