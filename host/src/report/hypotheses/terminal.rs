//! The report's first chapters for a terminal; the whole is in the files.

use super::block::{Block, Inline, Line};
use super::markdown::more;
use crate::report::terminal::Style;
use crate::text::{plain, wrap};

/// The blocks before the first heading of a chapter in `until`, as text of at most the style's width.
pub fn render(blocks: &[Block], until: &str, style: &Style) -> String {
    let ends = |block: &Block| matches!(block, Block::Heading(2, heading) if heading == until);
    let mut text = String::new();
    for block in blocks.iter().take_while(|block| !ends(block)) {
        let mut lines = match block {
            Block::Heading(_, heading) => vec![bold(&plain(heading), style)],
            Block::Paragraph(content) => wrap(&line(content), "", style.width),
            Block::Warning(label, warning) => {
                let mut lines = vec![bold(label, style)];
                lines.extend(wrap(&plain(warning), "", style.width));
                lines
            }
            Block::List(items) => items.iter().flat_map(|item| wrap(&line(item), "• ", style.width)).collect(),
            Block::Table(table, left_out) => {
                let mut lines = table.lines(style.width);
                lines.extend((*left_out > 0).then(|| more(*left_out)));
                lines
            }
            // Nothing that letters could draw.
            Block::Plot { .. } => continue,
        };
        if !text.is_empty() {
            text.push('\n');
        }
        lines.push(String::new());
        text += &lines.join("\n");
    }
    text
}

fn bold(text: &str, style: &Style) -> String {
    if !style.color {
        return text.to_owned();
    }
    let bold = anstyle::Style::new().bold();
    format!("{bold}{text}{bold:#}")
}

fn line(content: &Line) -> String {
    content
        .iter()
        .map(|piece| match piece {
            Inline::Text(text) | Inline::Name(text) | Inline::Strong(text) => plain(text),
        })
        .collect()
}
