//! Reports of a run: on the terminal, as Markdown, as CSV and as the record itself.
//!
//! [`summary`] extracts what there is to say, [`findings`] says it in sentences, [`sections`] lays it out in tables, and
//! the formats write those down. [`hypotheses`] is the report over several runs. [`number`], [`text`] and [`table`] are the only places that format.

pub mod atomic;
pub mod comparison;
pub mod csv;
pub mod deployment;
pub mod findings;
#[cfg(test)]
pub(crate) mod fixture;
pub mod hypotheses;
pub mod json;
pub mod markdown;
pub mod number;
pub mod sections;
pub mod summary;
pub mod table;
pub mod terminal;
pub mod text;

use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::record::Run;

/// The record's file: present only where the run is complete.
pub const RUN_FILE: &str = "run.json";
/// The report's file.
pub const REPORT_FILE: &str = "report.md";
/// The table's file.
pub const TENSORS_FILE: &str = "tensors.csv";

/// What a report is printed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned text for a terminal.
    Table,
    /// Markdown.
    Markdown,
    /// The record itself.
    Json,
}

/// Why a run could not be put into a format.
#[derive(Debug, Error)]
pub enum RenderError {
    /// The record holds what JSON cannot.
    #[error("cannot write the run as JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// The CSV writer failed.
    #[error("cannot write the tensors as CSV: {0}")]
    Csv(#[from] ::csv::Error),
}

/// Why a run's files could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The directory does not exist and could not be created.
    #[error("cannot create the directory {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file, by the name that it was to have.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The run could not be put into a format.
    #[error(transparent)]
    Render(#[from] RenderError),
}

/// Creates the folder that [`write_all`] will write into, so that a folder that cannot be created is found out before
/// anything is measured.
///
/// # Errors
/// [`WriteError::Directory`].
pub fn prepare(directory: &Path) -> Result<(), WriteError> {
    fs::create_dir_all(directory).map_err(|source| WriteError::Directory { path: directory.to_owned(), source })
}

/// `run` in `format`; `style` is the page for [`Format::Table`].
pub fn render(run: &Run, format: Format, style: &terminal::Style) -> Result<String, RenderError> {
    match format {
        Format::Table => Ok(terminal::render(run, style)),
        Format::Markdown => Ok(markdown::render(run)),
        Format::Json => json::render(run),
    }
}

/// The plan's report.
pub const PLAN_FILE: &str = "plan.md";

/// Writes files into `directory`, which is created where it is missing: each whole or not at all, and none before all are
/// complete on disk.
///
/// # Errors
/// When the directory or a file cannot be written.
pub fn write_files(directory: &Path, files: &[(&str, String)]) -> Result<(), WriteError> {
    prepare(directory)?;
    let failed = |path: PathBuf| |source| WriteError::File { path, source };
    let mut staged = Vec::new();
    for (name, content) in files {
        let path = directory.join(name);
        staged.push(atomic::Staged::write(path.clone(), content.as_bytes()).map_err(failed(path))?);
    }
    for file in staged {
        let path = file.target().to_owned();
        file.commit().map_err(failed(path))?;
    }
    atomic::sync_directory(directory);
    Ok(())
}

/// Writes a run's three files into `directory`, which is created where it is missing.
///
/// All three are complete on disk before the first gets its name, and [`RUN_FILE`] gets it last, so its presence means a
/// complete run. On an error before that point nothing new is left behind and older files are untouched; an interruption after
/// it can leave a newer report beside an older record.
pub fn write_all(directory: &Path, run: &Run) -> Result<(), WriteError> {
    let files =
        [(REPORT_FILE, markdown::render(run)), (TENSORS_FILE, csv::render(run)?), (RUN_FILE, json::render(run)?)];
    write_files(directory, &files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("directory");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn all_three_files_and_nothing_else() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("deep/er");
        let run = fixture::full();
        write_all(&path, &run).expect("writable");
        write_all(&path, &run).expect("over older files");
        assert_eq!(names(&path), [REPORT_FILE, RUN_FILE, TENSORS_FILE]);
        assert_eq!(json::read(&path.join(RUN_FILE)).expect("a run"), run);
    }

    #[test]
    fn an_error_leaves_older_files_and_no_temporaries() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path();
        fs::write(path.join(REPORT_FILE), "older").expect("write");
        // A directory in the way of the last file's temporary makes staging fail after the others succeeded.
        let obstacle = path.join(format!(".{RUN_FILE}.{}.tmp", std::process::id()));
        fs::create_dir(&obstacle).expect("directory");
        let error = write_all(path, &fixture::clean()).expect_err("obstacle");
        assert!(error.to_string().contains("run.json: "), "{error}");
        fs::remove_dir(&obstacle).expect("directory");
        assert_eq!(names(path), [REPORT_FILE]);
        assert_eq!(fs::read_to_string(path.join(REPORT_FILE)).expect("older file"), "older");
    }

    #[test]
    fn a_run_without_tensors_has_every_format() {
        let mut run = fixture::clean();
        (run.tensors, run.devices) = (vec![], vec![]);
        for format in [Format::Table, Format::Markdown, Format::Json] {
            let text = render(&run, format, &terminal::Style { width: 80, color: false }).expect("numbers and strings");
            assert!(text.contains("models/tiny-gpt2") && text.ends_with('\n'), "{text}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_is_named() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let file = directory.path().join("file");
        fs::write(&file, "").expect("write");
        let error = write_all(&file.join("runs"), &fixture::clean()).expect_err("a file is in the way");
        assert!(error.to_string().starts_with("cannot create the directory "), "{error}");
    }
}
