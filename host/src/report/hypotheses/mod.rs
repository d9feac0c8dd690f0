//! The report over several models: what was asked, what was found, how sure, and what it means for quantization.
//!
//! [`content`] and `chapters` write it as [`block`]s, with the phrases of [`wording`]; [`markdown`], `html` and
//! [`terminal`] write the blocks down, `plot` draws. [`json`] is the record for programs.

mod axis;
pub mod block;
mod chapters;
pub mod content;
mod html;
pub mod json;
pub mod markdown;
mod plot;
pub mod terminal;
pub mod wording;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::WriteError;
use crate::evidence::{Evidence, Recorded};
use crate::experiment::Experiment;
use crate::files;
use crate::hypothesis::Judgement;

/// The record's file.
pub const HYPOTHESES_FILE: &str = "hypotheses.json";
/// The page's file.
pub const PAGE_FILE: &str = "report.html";

/// Everything that the report is made from.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// What is known.
    pub evidence: &'a Evidence,
    /// The warnings that the report must state.
    pub remarks: &'a [String],
    /// What follows for each hypothesis.
    pub judgements: &'a [Judgement],
    /// The experiments' tables.
    pub experiments: &'a [Experiment],
    /// Where the evidence is the recorded investigation: the document, to hold ours against.
    pub recorded: Option<Against<'a>>,
}

/// The recorded investigation beside ours.
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    /// The document.
    pub document: &'a Recorded,
    /// Our judgements on its earlier figures; [`Material::judgements`] are those on its later ones.
    pub earlier: &'a [Judgement],
}

/// Writes `hypotheses.json`, `report.md` with its plots, and `report.html` into `directory`, which is created where it is
/// missing. Every file appears whole or not at all, the record last.
///
/// # Errors
/// Where a file cannot be written.
pub fn write_all(directory: &Path, material: &Material<'_>) -> Result<(), WriteError> {
    let blocks = content::blocks(material);
    let mut files: Vec<(String, String)> = markdown::plots(&blocks);
    files.push((super::REPORT_FILE.to_owned(), markdown::render(&blocks)));
    files.push((PAGE_FILE.to_owned(), html::render(&blocks)));
    files.push((HYPOTHESES_FILE.to_owned(), json::render(material)?));
    Ok(files::write_all(directory, &files)?)
}
