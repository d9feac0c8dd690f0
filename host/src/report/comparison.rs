//! Two runs side by side, for people: on a terminal, as Markdown.

use super::sections;
use super::table::{Cell, Column, Table, code};
use super::terminal::{Page, Style, Tone};
use crate::compare::{Comparison, Difference, Side, Subject, TensorDifference};
use crate::number;
use crate::text::plain;

/// Differing tensors shown on a terminal.
const SHOWN: usize = 20;

const UNITS: &str = "Units of accuracy: the relative difference over what the two devices state as their accuracy. Up to \
1 is as good as equal. Counts, extremes, the farthest weights and the histogram have to be equal to the last bit on every \
device, so any difference there is ∞.";

/// The comparison on a terminal, with a line break at its end. `tolerance` is the user's, where one was given.
pub fn terminal(comparison: &Comparison, tolerance: Option<f64>, style: &Style) -> String {
    let mut page = Page::new(style);
    let tone = if comparison.is_beyond(tolerance) { Tone::Alarm } else { Tone::Heading };
    page.paragraph(&verdict(comparison, tolerance), "", tone);
    if let Some(diagnosis) = &comparison.diagnosis {
        page.paragraph(&diagnosis.to_string(), "Most likely: ", Tone::Plain);
    }
    page.heading("Side by side");
    page.table(&sides(comparison), &[]);
    let table = differences(comparison, SHOWN);
    if !table.is_empty() {
        page.heading(&heading(comparison, SHOWN));
        page.table(&table, &[]);
        page.line("", Tone::Plain);
        page.paragraph(UNITS, "", Tone::Faint);
    }
    page.heading("Verdicts");
    page.paragraph(&decided(comparison), "", Tone::Plain);
    let table = flipped(comparison, SHOWN);
    if !table.is_empty() {
        page.line("", Tone::Plain);
        page.table(&table, &[]);
    }
    for sentence in missing(comparison, &plain) {
        page.paragraph(&sentence, "• ", Tone::Plain);
    }
    page.text
}

/// The comparison as Markdown.
pub fn markdown(comparison: &Comparison, tolerance: Option<f64>) -> String {
    let mut text = format!("# Device against reference\n\n**{}**\n", verdict(comparison, tolerance));
    if let Some(diagnosis) = &comparison.diagnosis {
        text += &format!("\nMost likely: {diagnosis}.\n");
    }
    text += &format!("\n## Side by side\n\n{}", sides(comparison).markdown());
    let table = differences(comparison, usize::MAX);
    if !table.is_empty() {
        text += &format!("\n## {}\n\n{}\n{UNITS}\n", heading(comparison, usize::MAX), table.markdown());
    }
    text += &format!("\n## Verdicts\n\n{}\n", decided(comparison));
    let table = flipped(comparison, usize::MAX);
    if !table.is_empty() {
        text += &format!("\n{}", table.markdown());
    }
    for sentence in missing(comparison, &code) {
        text += &format!("\n- {sentence}");
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

fn verdict(comparison: &Comparison, tolerance: Option<f64>) -> String {
    let tensors = comparison.tensors.len();
    let differing = comparison.tensors.iter().filter(|tensor| !tensor.differences.is_empty()).count();
    let limit = match tolerance {
        Some(tolerance) => format!("the tolerance of {tolerance:e}"),
        None => format!("the stated accuracy of {:.0e}", comparison.accuracy),
    };
    match (comparison.is_beyond(tolerance), differing) {
        (true, _) => format!("The runs differ beyond {limit}: {differing} of {tensors} tensors differ."),
        (false, 0) => format!("The runs are equal in every statistic of all {tensors} tensors."),
        (false, _) => format!("The runs agree within {limit}; {differing} of {tensors} tensors differ at all."),
    }
}

fn sides(comparison: &Comparison) -> Table {
    let mut table = Table::new([("", Column::Words), ("reference", Column::Names), ("device", Column::Names)]);
    let (a, b) = (&comparison.reference, &comparison.candidate);
    let mut row = |label: &str, value: &dyn Fn(&Side) -> Cell| table.push([label.into(), value(a), value(b)]);
    row("Model", &|side| Cell::name(&side.model));
    row("Device", &|side| Cell::name(&sections::device(&side.device, &str::to_owned)));
    row("Measured", &|side| number::bytes(side.bytes).into());
    row("Took", &|side| number::duration(side.seconds).into());
    row("Rate", &|side| number::rate(side.bytes, side.seconds).into());
    row("Link", &|side| match (side.resent, side.damaged) {
        (0, 0) => "clean".into(),
        (resent, damaged) => format!("{resent} chunks sent again, {damaged} damaged frames").into(),
    });
    table
}

fn heading(comparison: &Comparison, limit: usize) -> String {
    let differing = comparison.tensors.iter().filter(|tensor| !tensor.differences.is_empty()).count();
    let shown = if differing > limit { format!("the farthest {limit} of {differing}") } else { differing.to_string() };
    format!("Tensors that differ: {shown}")
}

fn differences(comparison: &Comparison, limit: usize) -> Table {
    let mut table = Table::new([
        ("tensor", Column::Names),
        ("statistic", Column::Words),
        ("reference", Column::Numbers),
        ("device", Column::Numbers),
        ("relative", Column::Numbers),
        ("units", Column::Numbers),
        ("others", Column::Numbers),
    ]);
    let differing = |tensor: &&TensorDifference| !tensor.differences.is_empty();
    for tensor in comparison.tensors.iter().filter(differing).take(limit) {
        let Some((first, others)) = tensor.differences.split_first() else { continue };
        table.push([
            Cell::name(&tensor.name),
            first.statistic.name().into(),
            value(first.reference).into(),
            value(first.candidate).into(),
            first.relative.map_or_else(|| "n/a".into(), |relative| format!("{relative:.1e}")).into(),
            units(first).into(),
            others.len().to_string().into(),
        ]);
    }
    table
}

fn value(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".into(), |value| number::significant(value, 7))
}

fn units(difference: &Difference) -> String {
    let units = difference.units();
    if units.is_infinite() { "∞".into() } else { number::significant(units, 2) }
}

/// Whether anything would be decided otherwise.
fn decided(comparison: &Comparison) -> String {
    let flips = &comparison.flips;
    let targets = match flips.targets.len() {
        0 => "no plan, because both runs lack the figures".to_owned(),
        1 => format!("the plan for {}", flips.targets[0]),
        targets => format!("plans for {targets} targets"),
    };
    let mut text = match flips.flipped.len() {
        0 => format!("None of {} verdicts flips", flips.compared),
        1 => format!("1 of {} verdicts flips", flips.compared),
        flipped => format!("{flipped} of {} verdicts flip", flips.compared),
    };
    text += &format!(": {targets}, remedies at 8 and 4 bits, heavy tails.");
    if !flips.one_sided.is_empty() {
        text += &format!(" Only one of the runs has the figures for {}.", flips.one_sided.join(", "));
    }
    text
}

fn flipped(comparison: &Comparison, limit: usize) -> Table {
    let mut table = Table::new([
        ("tensor", Column::Names),
        ("verdict", Column::Words),
        ("reference", Column::Words),
        ("device", Column::Words),
        ("from", Column::Numbers),
        ("to", Column::Numbers),
    ]);
    for flip in comparison.flips.flipped.iter().take(limit) {
        let figure = |value: Option<f64>| match flip.subject {
            Subject::HeavyTail => number::kurtosis(value),
            _ => value.map_or_else(|| number::UNDEFINED.into(), |value| format!("{value:.2} dB")),
        };
        table.push([
            Cell::name(&flip.name),
            flip.subject.to_string().into(),
            flip.reference.as_str().into(),
            flip.candidate.as_str().into(),
            figure(flip.reference_figure).into(),
            figure(flip.candidate_figure).into(),
        ]);
    }
    table
}

fn missing(comparison: &Comparison, quote: &dyn Fn(&str) -> String) -> Vec<String> {
    let sentence = |names: &[String], whose: &str| match names {
        [] => None,
        [name] => Some(format!("Only {whose} has the tensor {}.", quote(name))),
        [name, others @ ..] => {
            Some(format!("Only {whose} has the tensor {} and {} others.", quote(name), others.len()))
        }
    };
    let only = [
        sentence(&comparison.only_in_reference, "the reference"),
        sentence(&comparison.only_in_candidate, "the device's run"),
    ];
    only.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compare::compare, fixture};

    fn differing() -> Comparison {
        let reference = fixture::clean();
        let mut candidate = reference.clone();
        candidate.device.url = "serial:/dev/ttyACM0?baud=921600".into();
        candidate.devices[0].resent = 3;
        candidate.tensors[1].kurtosis = candidate.tensors[1].kurtosis.map(|kurtosis| kurtosis * 1.001);
        candidate.tensors[0].zeros += 4;
        // From 37.1 to 28 dB, where 30.2 passes.
        if let Some(error) = candidate.tensors[0].quantization.get_mut("int8_per_tensor") {
            (error.sqnr_db, error.relative_mse) = (Some(28.0), Some(10f64.powf(-2.8)));
        }
        candidate.tensors[2].name = "h.0.<b>|`other`\u{1b}[31m".into();
        compare(&reference, &candidate).expect("comparable")
    }

    #[test]
    fn on_a_terminal() {
        insta::assert_snapshot!(terminal(&differing(), None, &Style { width: 100, color: false }));
    }

    #[test]
    fn as_markdown() {
        insta::assert_snapshot!(markdown(&differing(), Some(0.01)));
    }

    #[test]
    fn equal_runs_say_so_and_show_no_table() {
        let run = fixture::clean();
        let text = terminal(&compare(&run, &run).expect("equal"), None, &Style { width: 80, color: false });
        assert!(text.starts_with("The runs are equal in every statistic of all 3 tensors."), "{text}");
        assert!(!text.contains("Tensors that differ"), "{text}");
    }
}
