//! The report on a terminal: the findings first, then the tables that they rest on, in the columns that there are.

use anstyle::{AnsiColor, Style as Ansi};

use super::deployment::overview;
use super::findings::{adapter, findings, quantized_already, warnings};
use super::sections;
use super::summary::Summary;
use super::table::Table;
use crate::record::Run;
use crate::text::{plain, wrap};

/// The narrowest page that is laid out; a narrower terminal wraps.
const NARROWEST: usize = 72;
/// Ranked matrices shown.
const RANKED: usize = 10;
/// Noisiest matrices shown.
const NOISIEST: usize = 5;
/// Layers shown.
const LAYERS: usize = 40;
/// Columns of the longest bar.
const BAR: usize = 20;

/// The page to write on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether to colour.
    pub color: bool,
}

/// The report, with a line break at its end.
pub fn render(run: &Run, style: &Style) -> String {
    let summary = Summary::of(run);
    let mut page = Page::new(style);
    head(&mut page, run, &summary);
    page.heading("Findings");
    for finding in findings(&summary, &plain) {
        page.paragraph(&finding, "• ", Tone::Plain);
    }
    ranking(&mut page, &summary);
    let noisiest = sections::quantized(&summary, NOISIEST);
    if !noisiest.is_empty() {
        page.heading("Noisiest when quantized: signal to noise in dB, one scale per tensor");
        page.table(&noisiest, &[]);
    }
    by_target(&mut page, run);
    let components = sections::components(&summary);
    if !components.is_empty() {
        page.heading("By component: Pearson kurtosis (normal = 3)");
        page.table(&components, &[]);
    }
    by_layer(&mut page, &summary);
    if !run.unmeasured.is_empty() {
        page.heading("Not measured");
        for tensor in &run.unmeasured {
            let what = format!("{} ({}): {}", plain(&tensor.name), plain(&tensor.dtype), plain(&tensor.reason));
            page.paragraph(&what, "• ", Tone::Plain);
        }
    }
    page.heading("How to read this");
    let decibels = if noisiest.is_empty() { "" } else { sections::DECIBELS };
    let notes = [sections::KURTOSIS_COLUMNS, decibels, sections::RANKED, sections::UNDEFINED_MEANS];
    for note in notes.into_iter().filter(|note| !note.is_empty()) {
        page.paragraph(note, "", Tone::Faint);
    }
    page.text
}

fn head(page: &mut Page, run: &Run, summary: &Summary) {
    let warnings = warnings(run, &plain);
    if !warnings.is_empty() {
        let labels: Vec<&str> = warnings.iter().map(|warning| warning.label).collect();
        page.paragraph(&labels.join(", "), "", Tone::Alarm);
        for warning in &warnings {
            page.paragraph(&warning.text, "", Tone::Alarm);
        }
        page.line("", Tone::Plain);
    }
    for text in [adapter(run, &plain), quantized_already(run, &plain)].into_iter().flatten() {
        page.paragraph(&text, "", Tone::Heading);
        page.line("", Tone::Plain);
    }
    if !run.remarks.is_empty() {
        for remark in &run.remarks {
            page.paragraph(&plain(remark), "", Tone::Heading);
        }
        page.line("", Tone::Plain);
    }
    for (label, value) in sections::facts(run, summary, &plain) {
        page.paragraph(&value, &format!("{label:<12}"), Tone::Plain);
    }
    if sections::shows_devices(run) {
        page.heading("Devices");
        page.table(&sections::devices(run), &[]);
    }
}

fn ranking(page: &mut Page, summary: &Summary) {
    if summary.ranked.is_empty() {
        return;
    }
    let matrices = summary.ranked.len();
    let shown = if matrices > RANKED { format!("{RANKED} of {matrices}") } else { format!("all {matrices}") };
    page.heading(&format!("Heaviest tails: {shown} matrices by Pearson kurtosis (normal = 3, excess = 0)"));
    let wide = sections::ranked(summary, RANKED);
    if wide.natural_width() <= page.width {
        page.table(&wide, &[]);
    } else {
        let (table, details) = sections::ranked_narrow(summary, RANKED);
        page.table(&table, &details);
    }
}

/// What the targets would make of it, and what helps the matrices that most of them are too coarse for.
fn by_target(page: &mut Page, run: &Run) {
    let Some((targets, failing)) = overview::brief(run, NOISIEST) else { return };
    page.heading("For deployment: matrices that pass, are at risk, are better kept in more bits");
    page.table(&targets, &[]);
    if !failing.is_empty() {
        page.line("", Tone::Plain);
        page.table(&failing, &[]);
    }
    page.paragraph(overview::BRIEF, "", Tone::Faint);
}

fn by_layer(page: &mut Page, summary: &Summary) {
    let layers = summary.layers.len();
    if layers == 0 {
        return;
    }
    let shown = if layers > LAYERS { format!(", the {LAYERS} highest of {layers}") } else { String::new() };
    page.heading(&format!("By layer: highest Pearson kurtosis of a matrix{shown}"));
    page.table(&sections::layers(summary, LAYERS, BAR), &[]);
}

/// How a line is meant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tone {
    Plain,
    Heading,
    Faint,
    Alarm,
}

/// Lines that fit.
pub(super) struct Page {
    width: usize,
    color: bool,
    /// What is written so far.
    pub(super) text: String,
}

impl Page {
    /// An empty page.
    pub(super) fn new(style: &Style) -> Self {
        Self { width: style.width.max(NARROWEST), color: style.color, text: String::new() }
    }

    pub(super) fn line(&mut self, line: &str, tone: Tone) {
        let style = match tone {
            _ if !self.color => Ansi::new(),
            Tone::Plain => Ansi::new(),
            Tone::Heading => Ansi::new().bold(),
            Tone::Faint => Ansi::new().dimmed(),
            Tone::Alarm => Ansi::new().bold().fg_color(Some(AnsiColor::Red.into())),
        };
        self.text += &format!("{style}{line}{style:#}\n");
    }

    pub(super) fn heading(&mut self, heading: &str) {
        self.line("", Tone::Plain);
        self.paragraph(heading, "", Tone::Heading);
    }

    pub(super) fn paragraph(&mut self, text: &str, lead: &str, tone: Tone) {
        for line in wrap(text, lead, self.width) {
            self.line(&line, tone);
        }
    }

    /// A table with one of `details` below each row; none where there are too few.
    pub(super) fn table(&mut self, table: &Table, details: &[String]) {
        let mut lines = table.lines(self.width).into_iter();
        if let Some(header) = lines.next() {
            self.line(&header, Tone::Heading);
        }
        if let Some(rule) = lines.next() {
            self.line(&rule, Tone::Faint);
        }
        let mut details = details.iter();
        for row in lines {
            self.line(&row, Tone::Plain);
            if let Some(detail) = details.next() {
                self.paragraph(detail, "     ", Tone::Faint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::record;
    use crate::text::width;

    const NARROW: Style = Style { width: 80, color: false };

    #[test]
    fn everything_at_80_columns() {
        insta::assert_snapshot!(render(&fixture::full(), &NARROW));
    }

    #[test]
    fn everything_at_200_columns() {
        insta::assert_snapshot!(render(&fixture::full(), &Style { width: 200, color: false }));
    }

    #[test]
    fn a_clean_run() {
        insta::assert_snapshot!(render(&fixture::clean(), &NARROW));
    }

    #[test]
    fn a_checkpoint_that_is_quantized_already() {
        insta::assert_snapshot!(render(&fixture::quantized(), &NARROW));
    }

    #[test]
    fn layers_of_two_towers() {
        insta::assert_snapshot!(render(&fixture::two_towers(), &NARROW));
    }

    #[test]
    fn an_adapter() {
        insta::assert_snapshot!(render(&fixture::adapter(), &NARROW));
    }

    #[test]
    fn no_line_is_wider_than_the_page() {
        for columns in [72, 80, 100, 133, 170, 200] {
            for run in [fixture::full(), fixture::clean()] {
                for line in render(&run, &Style { width: columns, color: false }).lines() {
                    assert!(width(line) <= columns, "{} of {columns} columns: {line}", width(line));
                }
            }
        }
    }

    #[test]
    fn many_layers_are_cut_to_the_highest() {
        let mut run = fixture::clean();
        let matrix = run.tensors[0].clone();
        run.tensors = (0..100)
            .map(|layer| {
                let kurtosis = Some(3.0 + f64::from(layer % 50) + f64::from(layer) / 1000.0);
                record::Tensor { layer: Some(layer), kurtosis, ..matrix.clone() }
            })
            .collect();
        let text = render(&run, &NARROW);
        assert!(text.contains("the 40 highest of 100"), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains('█')).count(), 40);
    }

    #[test]
    fn the_first_line_warns() {
        let first = |run: &Run| render(run, &NARROW).lines().next().map(str::to_owned);
        assert_eq!(first(&fixture::full()).as_deref(), Some("SYNTHETIC, UNTRUSTED DEVICE"));
        assert!(first(&fixture::clean()).is_some_and(|line| line.starts_with("Model")));
    }

    #[test]
    fn colour_adds_escapes_and_nothing_else() {
        let run = fixture::full();
        let colored = render(&run, &Style { color: true, ..NARROW });
        assert!(colored.contains("\u{1b}[1m\u{1b}[31mSYNTHETIC"));
        assert_eq!(anstream::adapter::strip_str(&colored).to_string(), render(&run, &NARROW));
        assert!(!render(&run, &NARROW).contains('\u{1b}'), "not even from a tensor's name");
    }
}
