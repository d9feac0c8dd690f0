//! What the hypotheses' report consists of, before it is written as Markdown, HTML or text: paragraphs, lists, tables and
//! plots, in which trusted words are kept separate from names from files.

use serde_json::Value;

use crate::experiment::Plot;
use crate::number;
use crate::report::table::{Cell, Column, Table};
use crate::text::plain;

/// Rows of a table that are shown; the record holds all.
pub const SHOWN: usize = 40;

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inline {
    /// Words. They may hold names, so writers escape them.
    Text(String),
    /// A name from a file.
    Name(String),
    /// Words that matter.
    Strong(String),
}

/// A line of pieces.
pub type Line = Vec<Inline>;

/// A part of the report.
#[derive(Debug, Clone)]
pub enum Block {
    /// A heading of this level, 1 for the title.
    Heading(u8, String),
    /// A paragraph.
    Paragraph(Line),
    /// What must be known before any number: a word in capitals, and what it means.
    Warning(&'static str, String),
    /// A list.
    List(Vec<Line>),
    /// A table, and how many of its rows are left out.
    Table(Table, usize),
    /// A plot: the name of its file, what it shows, and its points.
    Plot {
        /// Name of the file, without its ending.
        file: String,
        /// What is seen, for those who do not see it.
        title: String,
        /// The points.
        plot: Plot,
    },
}

/// Words as a line.
pub fn words(text: impl Into<String>) -> Line {
    vec![Inline::Text(text.into())]
}

/// A label and the text under it.
pub fn labelled(label: &str, text: impl Into<String>) -> Line {
    vec![Inline::Strong(format!("{label}.")), Inline::Text(format!(" {}", text.into()))]
}

/// A table of values, at most [`SHOWN`] rows of it; `None` without rows or columns.
pub fn table(columns: &[String], rows: &[Vec<Value>]) -> Option<Block> {
    if rows.is_empty() || columns.is_empty() {
        return None;
    }
    let kind = |place: usize| {
        let values = || rows.iter().filter_map(|row| row.get(place)).filter(|value| !value.is_null());
        if values().next().is_some() && values().all(Value::is_number) {
            Column::Numbers
        } else if is_name(&columns[place]) {
            Column::Names
        } else {
            Column::Words
        }
    };
    let headers = columns.iter().enumerate().map(|(place, column)| (column.clone(), kind(place)));
    let mut table = Table::with_headers(headers);
    for row in rows.iter().take(SHOWN) {
        let cells = columns.iter().enumerate();
        table.push(cells.map(|(place, column)| cell(column, row.get(place))).collect::<Vec<_>>());
    }
    Some(Block::Table(table, rows.len().saturating_sub(SHOWN)))
}

/// A table of rows that name their columns; the columns are those of the first row, with model and tensor in front.
pub fn table_of_maps(rows: &[serde_json::Map<String, Value>]) -> Option<Block> {
    let mut columns: Vec<String> = rows.first()?.keys().cloned().collect();
    columns.sort_by_key(|column| match column.as_str() {
        "model" => 0,
        "tensor" => 1,
        _ => 2,
    });
    let rows: Vec<Vec<Value>> = rows
        .iter()
        .map(|row| columns.iter().map(|column| row.get(column).cloned().unwrap_or(Value::Null)).collect())
        .collect();
    table(&columns, &rows)
}

fn is_name(column: &str) -> bool {
    matches!(column, "model" | "tensor" | "fact")
}

/// A value in the column of this name.
fn cell(column: &str, value: Option<&Value>) -> Cell {
    match value.unwrap_or(&Value::Null) {
        Value::Null if column.contains("kurtosis") || column.contains("correlation") => number::UNDEFINED.into(),
        Value::Null => "—".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Number(value) => written(column, value).into(),
        Value::String(name) if is_name(column) => Cell::name(name),
        Value::String(text) => plain(text).into(),
        other => plain(&other.to_string()).into(),
    }
}

fn written(column: &str, value: &serde_json::Number) -> String {
    let float = value.as_f64();
    if column.contains("kurtosis") && !column.contains(" per ") && !column.contains("correlation") {
        return number::kurtosis(float);
    }
    match value.as_u64() {
        Some(count) if column.contains("parameters") || column.contains("size") => number::scaled(count),
        Some(count) => number::count(count),
        None => number::significant(float.unwrap_or(f64::NAN), 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn markdown(block: Option<Block>) -> String {
        match block {
            Some(Block::Table(table, left_out)) => format!("{}+{left_out}", table.markdown()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_are_written_by_what_their_column_holds() {
        let columns = ["model", "parameters", "layer", "kurtosis", "correlation with depth", "precision", "flag"];
        let columns = columns.map(str::to_owned);
        let rows = [
            vec![
                json!("a|b"),
                json!(125_239_296),
                json!(3),
                json!(562.34),
                json!(-0.456_78),
                json!("fp16"),
                json!(true),
            ],
            vec![json!("c"), Value::Null, Value::Null, Value::Null, Value::Null, Value::Null],
        ];
        assert_eq!(
            markdown(table(&columns, &rows)),
            "| model | parameters | layer | kurtosis | correlation with depth | precision | flag |\n\
             | :--- | ---: | ---: | ---: | ---: | :--- | :--- |\n\
             | a\\|b | 125M | 3 | 562.3 | -0.457 | fp16 | yes |\n\
             | `c` | — | — | n/a | n/a | — | — |\n+0"
        );
    }

    #[test]
    fn long_tables_are_cut_and_say_by_how_much() {
        let rows: Vec<Vec<Value>> = (0..100).map(|number| vec![json!(number)]).collect();
        let text = markdown(table(&["n".to_owned()], &rows));
        assert!(text.ends_with("| 39 |\n+60"), "{text}");
        assert!(table(&["n".to_owned()], &[]).is_none() && table_of_maps(&[]).is_none());
    }
}
