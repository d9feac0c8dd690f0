//! `run.json`, the record as a file: put into JSON and read back. Its content is [`record`](crate::record)'s, writing it to
//! disk [`files`](crate::files)'.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::record::{Run, SCHEMA};

/// The record's file: present only where the run is complete.
pub const RUN_FILE: &str = "run.json";

/// Why a `run.json` could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file could not be opened or read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not JSON, or not that of a run.
    #[error("{}, line {line}, column {column}: not a run of kurtoscope", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Counted from 1; 0 where the file is empty.
        line: usize,
        /// Counted from 1; 0 where the line is empty.
        column: usize,
        /// What the parser expected.
        source: serde_json::Error,
    },
    /// The file follows another schema than this version's.
    #[error("{} has schema {found}; this version of kurtoscope reads schema {SCHEMA}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The file's schema.
        found: u64,
    },
}

/// The run as JSON: indented, with a line break at its end.
///
/// # Errors
/// Where the record holds what JSON cannot, such as a map whose keys are no strings in `config`.
pub fn to_json(run: &Run) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(run)?;
    text.push('\n');
    Ok(text)
}

/// Reads a run from the file at `path`.
///
/// The schema is judged before the rest, so a file of another schema is refused as such and not for some field that it
/// lacks.
///
/// # Errors
/// Where the file cannot be read, is no run, or follows another schema.
pub fn read(path: &Path) -> Result<Run, ReadError> {
    /// The one field that every schema has.
    #[derive(Deserialize)]
    struct Versioned {
        schema: u64,
    }
    let bytes = std::fs::read(path).map_err(|source| ReadError::File { path: path.to_owned(), source })?;
    let content = |source: serde_json::Error| ReadError::Content {
        path: path.to_owned(),
        line: source.line(),
        column: source.column(),
        source,
    };
    let Versioned { schema: found } = serde_json::from_slice(&bytes).map_err(content)?;
    if found != u64::from(SCHEMA) {
        return Err(ReadError::Schema { path: path.to_owned(), found });
    }
    serde_json::from_slice(&bytes).map_err(content)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::fixture;

    fn read_text(text: &str) -> Result<Run, String> {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("run.json");
        std::fs::write(&path, text).expect("write");
        let shown = format!("{}/", directory.path().display());
        read(&path).map_err(|error| {
            let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
            format!("{error}{cause}").replace(&shown, "")
        })
    }

    #[test]
    fn runs_survive_the_round_trip() {
        for mut run in [fixture::full(), fixture::clean()] {
            run.tensors[0].kurtosis = Some(0.1 + 0.2);
            run.seconds = 1.0 / 3.0;
            let text = to_json(&run).expect("numbers and strings");
            assert!(text.ends_with("}\n"));
            assert_eq!(read_text(&text), Ok(run));
        }
    }

    #[test]
    fn undefined_is_null() {
        let text = to_json(&fixture::full()).expect("numbers and strings");
        assert!(text.contains("\"kurtosis\": null"));
    }

    #[test]
    fn another_schema_is_refused_with_both_numbers() {
        assert_eq!(
            read_text("{ \"schema\": 7, \"nothing\": \"else\" }"),
            Err("run.json has schema 7; this version of kurtoscope reads schema 1".to_owned())
        );
    }

    #[test]
    fn errors_name_line_and_column() {
        let error = read_text("{\n  \"schema\": 1,\n  \"tool\" 3\n}").expect_err("no colon");
        assert!(error.starts_with("run.json, line 3, column 10: not a run of kurtoscope: expected `:`"), "{error}");
        let error = read_text("{ \"schema\": 1 }").expect_err("no tool");
        assert!(error.contains("missing field `tool`"), "{error}");
        assert!(read_text("").expect_err("empty").contains("EOF"));
        assert!(read_text("{}").expect_err("any JSON").contains("missing field `schema`"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("/nonexistent/run.json")).expect_err("missing");
        assert_eq!(error.to_string(), "cannot read /nonexistent/run.json");
        assert!(error.source().is_some_and(|cause| cause.is::<std::io::Error>()));
    }
}
