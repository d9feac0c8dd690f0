//! The report as one HTML page that needs nothing else: style and plots are inside, and nothing is fetched or run.

use super::block::{Block, Inline, Line};
use super::markdown::more;
use super::plot::{self, PlotUse};
use crate::report::table::html as escape;
use crate::text::plain;

/// The page's style.
const STYLE: &str = include_str!("page.css");

/// The report as a page.
pub fn render(blocks: &[Block]) -> String {
    let title = blocks.iter().find_map(|block| match block {
        Block::Heading(1, heading) => Some(words(heading)),
        _ => None,
    });
    let body: String = blocks.iter().map(block).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}{body}</main>\n</body>\n</html>\n",
        title.unwrap_or_default(),
        contents(blocks)
    )
}

fn block(block: &Block) -> String {
    match block {
        Block::Heading(level, heading) => {
            format!("<h{level} id=\"{}\">{}</h{level}>\n", anchor(heading), words(heading))
        }
        Block::Paragraph(content) => format!("<p>{}</p>\n", line(content)),
        Block::Warning(label, warning) => {
            format!("<p class=\"warning\"><strong>{label}.</strong> {}</p>\n", words(warning))
        }
        Block::List(items) => {
            let items: String = items.iter().map(|item| format!("<li>{}</li>\n", line(item))).collect();
            format!("<ul>\n{items}</ul>\n")
        }
        Block::Table(table, 0) => table.html(),
        Block::Table(table, left_out) => format!("{}<p class=\"more\">{}</p>\n", table.html(), more(*left_out)),
        Block::Plot { title, plot, .. } => {
            let drawn = plot::svg(plot, title, PlotUse::Inline);
            format!(
                "<figure>\n<div class=\"plot\">\n{drawn}</div>\n<figcaption>{}</figcaption>\n</figure>\n",
                words(title)
            )
        }
    }
}

/// Links to the chapters. The first heading is the page's own.
fn contents(blocks: &[Block]) -> String {
    let links = blocks.iter().filter_map(|block| match block {
        Block::Heading(2, heading) => Some(format!("<a href=\"#{}\">{}</a>\n", anchor(heading), words(heading))),
        _ => None,
    });
    format!("<nav>\n{}</nav>\n", links.collect::<String>())
}

/// The heading's words in letters that an address can hold.
fn anchor(heading: &str) -> String {
    let letters =
        heading.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' });
    let letters: String = letters.collect();
    letters.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

fn line(content: &Line) -> String {
    content
        .iter()
        .map(|piece| match piece {
            Inline::Text(text) => words(text),
            Inline::Name(name) => format!("<code>{}</code>", words(name)),
            Inline::Strong(text) => format!("<strong>{}</strong>", words(text)),
        })
        .collect()
}

fn words(text: &str) -> String {
    escape(&plain(text))
}
