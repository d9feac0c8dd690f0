//! The one table of all reports: built once, written as aligned text for a terminal, as Markdown or as HTML.

use std::borrow::Cow;

use comfy_table::{Cell as TextCell, CellAlignment, LineStyle, presets};

use crate::text::{plain, shorten, width};

/// The narrowest that a column of names is shortened to.
const NARROWEST: usize = 8;

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Words and numbers of our own.
    Text(String),
    /// A name from a file or a device: never trusted to be printable, or free of Markdown.
    Name(String),
}

impl Cell {
    /// A cell with a name.
    pub fn name(name: &str) -> Self {
        Self::Name(name.to_owned())
    }

    /// The cell for a terminal.
    fn plain(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Name(name) => plain(name),
        }
    }

    /// The cell for a Markdown table.
    fn markdown(&self) -> String {
        match self {
            Self::Text(text) => escape(text),
            Self::Name(name) => code(name),
        }
    }

    /// The cell for an HTML table.
    fn html(&self) -> String {
        match self {
            Self::Text(text) => html(text),
            Self::Name(name) => format!("<code>{}</code>", html(&plain(name))),
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Where a column's text stands, and whether it may be shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Words, to the left.
    Words,
    /// Names, to the left, shortened in the middle where the table is too wide.
    Names,
    /// Numbers, to the right.
    Numbers,
}

/// A table with a header.
#[derive(Debug, Clone, Default)]
pub struct Table {
    columns: Vec<(Cow<'static, str>, Column)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl Into<Vec<(&'static str, Column)>>) -> Self {
        let columns = columns.into().into_iter().map(|(header, column)| (Cow::Borrowed(header), column)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// A table without rows whose headers are not known beforehand, and as little to be trusted as names.
    pub fn with_headers(columns: impl IntoIterator<Item = (String, Column)>) -> Self {
        let columns = columns.into_iter().map(|(header, column)| (Cow::Owned(plain(&header)), column)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row with one cell a column.
    pub fn push(&mut self, row: impl Into<Vec<Cell>>) {
        self.rows.push(row.into());
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Columns that the table takes on a terminal when nothing is shortened.
    pub fn natural_width(&self) -> usize {
        self.column_widths(&self.texts()).iter().map(|columns| columns + 2).sum()
    }

    /// The table as lines of at most `columns` columns if shortening names can do it: a header, a rule, then one line a
    /// row.
    pub fn lines(&self, columns: usize) -> Vec<String> {
        let mut rows = self.texts();
        self.shorten_names(&mut rows, columns);
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING.header_separator(LineStyle::none().fill('─')));
        table.set_header(self.columns.iter().map(|(header, column)| aligned(header.to_string(), *column)));
        for row in rows {
            let kinds = self.columns.iter().map(|(_, column)| *column);
            table.add_row(row.into_iter().zip(kinds).map(|(text, column)| aligned(text, column)));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// The table as Markdown, with a line break behind every row.
    pub fn markdown(&self) -> String {
        let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = row(self.columns.iter().map(|(header, _)| escape(header)).collect());
        text += &row(self
            .columns
            .iter()
            .map(|(_, column)| if *column == Column::Numbers { "---:" } else { ":---" }.to_owned())
            .collect());
        for cells in &self.rows {
            text += &row(cells.iter().map(Cell::markdown).collect());
        }
        text
    }

    /// The table as HTML.
    pub fn html(&self) -> String {
        let class = |column: Column| if column == Column::Numbers { " class=\"number\"" } else { "" };
        let cell = |tag: &str, column: Column, content: String| format!("<{tag}{}>{content}</{tag}>", class(column));
        let header: String = self.columns.iter().map(|(header, column)| cell("th", *column, html(header))).collect();
        let mut text = format!("<div class=\"table\"><table>\n<thead><tr>{header}</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            let cells = row.iter().zip(&self.columns);
            let cells: String = cells.map(|(content, (_, column))| cell("td", *column, content.html())).collect();
            text += &format!("<tr>{cells}</tr>\n");
        }
        text + "</tbody>\n</table></div>\n"
    }

    fn texts(&self) -> Vec<Vec<String>> {
        self.rows.iter().map(|row| row.iter().map(Cell::plain).collect()).collect()
    }

    fn column_widths(&self, rows: &[Vec<String>]) -> Vec<usize> {
        let cells = |place: usize| rows.iter().filter_map(move |row| row.get(place));
        let widest = |place| cells(place).map(|text| width(text)).max().unwrap_or(0);
        self.columns.iter().enumerate().map(|(place, (header, _))| width(header).max(widest(place))).collect()
    }

    /// Takes the columns that are too many from the widest column of names, repeatedly.
    fn shorten_names(&self, rows: &mut [Vec<String>], columns: usize) {
        let mut widths = self.column_widths(rows);
        let mut excess = widths.iter().map(|width| width + 2).sum::<usize>().saturating_sub(columns);
        while excess > 0 {
            let names = self.columns.iter().zip(&mut widths).filter(|((_, column), _)| *column == Column::Names);
            match names.map(|(_, width)| width).max() {
                Some(width) if *width > NARROWEST => *width -= 1,
                _ => break,
            }
            excess -= 1;
        }
        for row in rows {
            for ((text, columns), (_, column)) in row.iter_mut().zip(&widths).zip(&self.columns) {
                if *column == Column::Names {
                    *text = shorten(text, *columns);
                }
            }
        }
    }
}

fn aligned(text: String, column: Column) -> TextCell {
    let alignment = if column == Column::Numbers { CellAlignment::Right } else { CellAlignment::Left };
    TextCell::new_owned(text).set_alignment(alignment)
}

/// `name` as Markdown code. A name with a backtick or a pipe is written as escaped text instead, because code cannot
/// hold a pipe inside and outside of tables alike.
pub fn code(name: &str) -> String {
    let name = plain(name);
    if name.is_empty() || name.contains(['`', '|']) || name.trim() != name {
        escape(&name)
    } else {
        format!("`{name}`")
    }
}

/// `text` with everything escaped that Markdown or HTML would take as markup.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut before = ' ';
    while let Some(character) = characters.next() {
        // Inside a word an underscore is no markup, and `attention_output` reads better without a backslash.
        let inside_word = before.is_alphanumeric() && characters.peek().is_some_and(|next| next.is_alphanumeric());
        before = character;
        match character {
            '_' if inside_word => escaped.push('_'),
            // Only what follows makes a link of a bracket.
            ']' if matches!(characters.peek(), Some('(' | '[' | ':')) => escaped.push_str("\\]"),
            '\\' | '`' | '*' | '_' | '|' | '~' | '$' => escaped.extend(['\\', character]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// `text` as it may stand between HTML's tags and in its attributes.
pub fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_escaped() {
        let mut table =
            Table::with_headers([("a\u{1b}<b>".to_owned(), Column::Names), ("n".to_owned(), Column::Numbers)]);
        table.push([Cell::name("<script>\"&'"), "1 < 2".into()]);
        let text = table.html();
        assert!(text.contains("<th>a\\u{1b}&lt;b&gt;</th><th class=\"number\">n</th>"), "{text}");
        assert!(
            text.contains("<td><code>&lt;script&gt;&quot;&amp;&#39;</code></td><td class=\"number\">1 &lt; 2</td>")
        );
    }

    fn table() -> Table {
        let mut table = Table::new([("Tensor", Column::Names), ("Max", Column::Numbers)]);
        table.push([Cell::name("layers.0.attention.query.weight"), "12.5".into()]);
        table.push([Cell::name("odd|`name`"), "3".into()]);
        table
    }

    #[test]
    fn text_is_aligned_and_fits() {
        let lines = table().lines(24);
        assert_eq!(
            lines,
            [
                " Tensor             Max",
                "────────────────────────",
                " layer…ery.weight  12.5",
                " odd|`name`           3",
            ]
        );
        assert!(lines.iter().all(|line| width(line) <= 24));
        assert_eq!(table().natural_width(), 39);
    }

    #[test]
    fn markdown_is_escaped() {
        assert_eq!(
            table().markdown(),
            "| Tensor | Max |\n\
             | :--- | ---: |\n\
             | `layers.0.attention.query.weight` | 12.5 |\n\
             | odd\\|\\`name\\` | 3 |\n"
        );
        assert_eq!(escape("[1, 2] [a](b)"), "[1, 2] [a\\](b)");
        assert_eq!(escape("attention_output _a_ <b>"), "attention_output \\_a\\_ &lt;b&gt;");
    }
}
