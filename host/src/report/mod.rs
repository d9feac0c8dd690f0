//! Reports of a run: on the terminal, as Markdown, as CSV and as the record itself.
//!
//! [`summary`] extracts the results, [`findings`] states them in sentences, `sections` lays them out in tables, and
//! the formats write both. [`hypotheses`] is the report over several runs. [`number`](crate::number),
//! [`text`](crate::text) and `table` are the only places that format.

pub mod comparison;
mod csv;
pub mod deployment;
pub mod findings;
pub mod hypotheses;
pub mod markdown;
mod sections;
pub mod summary;
mod table;
pub mod terminal;

use std::path::Path;

use thiserror::Error;

use crate::files::{self, FilesError};
use crate::record::Run;
use crate::run_file::{self, RUN_FILE};

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
    #[error("cannot write the run as JSON")]
    Json(#[source] serde_json::Error),
    /// The CSV writer failed.
    #[error("cannot write the tensors as CSV")]
    Csv(#[from] ::csv::Error),
}

/// Why a run's files could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The directory could not be created, or a file not be written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The run could not be put into a format.
    #[error(transparent)]
    Render(#[from] RenderError),
}

/// `run` in `format`; `style` is the page for [`Format::Table`].
pub fn render(run: &Run, format: Format, style: &terminal::Style) -> Result<String, RenderError> {
    match format {
        Format::Table => Ok(terminal::render(run, style)),
        Format::Markdown => Ok(markdown::render(run)),
        Format::Json => run_file::to_json(run).map_err(RenderError::Json),
    }
}

/// The plan's report.
pub const PLAN_FILE: &str = "plan.md";

/// Writes a run's three files into `directory`, which is created where it is missing: each whole or not at all, and
/// [`RUN_FILE`] last, so its presence means a complete run.
///
/// # Errors
/// When the run cannot be put into a format, or the directory or a file cannot be written.
pub fn write_all(directory: &Path, run: &Run) -> Result<(), WriteError> {
    let json = run_file::to_json(run).map_err(RenderError::Json)?;
    let files = [(REPORT_FILE, markdown::render(run)), (TENSORS_FILE, csv::render(run)?), (RUN_FILE, json)];
    Ok(files::write_all(directory, &files)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fixture;

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
        assert_eq!(run_file::read(&path.join(RUN_FILE)).expect("a run"), run);
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
        assert!(error.to_string().ends_with("run.json"), "{error}");
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
