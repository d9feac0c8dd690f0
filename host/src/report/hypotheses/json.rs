//! `hypotheses.json`, schema 1: `hypotheses` and `experiments`, then the evidence that they rest on.
//!
//! Fields may be added within a schema, never removed or redefined. An undefined number is null.

use serde::Serialize;

use super::Material;
use crate::evidence::Evidence;
use crate::evidence::{Contradiction, RecordedTable, RecordedVerdict};
use crate::experiment::Experiment;
use crate::hypothesis::Judgement;
use crate::report::RenderError;

/// The schema that is written.
pub const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct File<'a> {
    schema: u32,
    hypotheses: &'a [Judgement],
    experiments: &'a [Experiment],
    evidence: &'a Evidence,
    remarks: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<Document<'a>>,
}

/// The recorded investigation.
#[derive(Serialize)]
struct Document<'a> {
    title: &'a str,
    date: &'a str,
    verdicts: &'a [RecordedVerdict],
    /// Judged on the document's earlier figures; `hypotheses` are on the later ones.
    hypotheses_on_earlier_figures: &'a [Judgement],
    tables: Vec<Reproduced<'a>>,
    contradictions: &'a [Contradiction],
}

#[derive(Serialize)]
struct Reproduced<'a> {
    #[serde(flatten)]
    table: &'a RecordedTable,
    /// Null where the document did not keep what it takes.
    reproduced: Option<bool>,
}

/// The record as JSON: indented, with a line break at its end.
///
/// # Errors
/// Where a value cannot be written as JSON.
pub fn render(material: &Material<'_>) -> Result<String, RenderError> {
    let recorded = material.recorded.map(|against| Document {
        title: &against.document.title,
        date: &against.document.date,
        verdicts: &against.document.verdicts,
        hypotheses_on_earlier_figures: against.earlier,
        tables: (against.document.tables.iter())
            .map(|table| Reproduced { table, reproduced: against.document.reproduces(table) })
            .collect(),
        contradictions: &against.document.contradictions,
    });
    let file = File {
        schema: SCHEMA,
        hypotheses: material.judgements,
        experiments: material.experiments,
        evidence: material.evidence,
        remarks: material.remarks,
        recorded,
    };
    let mut text = serde_json::to_string_pretty(&file).map_err(RenderError::Json)?;
    text.push('\n');
    Ok(text)
}
