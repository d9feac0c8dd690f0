//! The report as Markdown, with its plots as files beside it.

use super::block::{Block, Inline, Line};
use super::plot::{self, PlotUse};
use crate::report::table::{code, escape};
use crate::text::plain;

/// The report as Markdown.
pub fn render(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks {
        if !text.is_empty() {
            text.push('\n');
        }
        text += &match block {
            Block::Heading(level, heading) => format!("{} {}\n", "#".repeat(usize::from(*level)), words(heading)),
            Block::Paragraph(content) => format!("{}\n", line(content)),
            Block::Warning(label, warning) => format!("> **{label}.** {}\n", words(warning)),
            Block::List(items) => items.iter().map(|item| format!("- {}\n", line(item))).collect(),
            Block::Table(table, 0) => table.markdown(),
            Block::Table(table, left_out) => format!("{}\n{}\n", table.markdown(), more(*left_out)),
            Block::Plot { file, title, .. } => format!("![{}]({file}.svg)\n", words(title).replace(['[', ']'], "")),
        };
    }
    text
}

/// The plots' files: name and content.
pub fn plots(blocks: &[Block]) -> Vec<(String, String)> {
    let plots = blocks.iter().filter_map(|block| match block {
        Block::Plot { file, title, plot } => Some((format!("{file}.svg"), plot::svg(plot, title, PlotUse::File))),
        _ => None,
    });
    plots.collect()
}

/// What stands under a table that was cut.
pub fn more(rows: usize) -> String {
    format!("{rows} more {} in hypotheses.json.", if rows == 1 { "row is" } else { "rows are" })
}

fn line(content: &Line) -> String {
    content
        .iter()
        .map(|piece| match piece {
            Inline::Text(text) => words(text),
            Inline::Name(name) => code(name),
            Inline::Strong(text) => format!("**{}**", words(text)),
        })
        .collect()
}

fn words(text: &str) -> String {
    escape(&plain(text))
}
