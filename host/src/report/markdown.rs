//! `report.md`: the whole run for reading and keeping, down to every tensor.

use super::deployment::overview;
use super::findings::{adapter, findings, quantized_already, warnings};
use super::sections;
use super::summary::Summary;
use super::table::{Table, code, escape};
use crate::number;
use crate::record::Run;

/// Ranked matrices shown before the full list.
const RANKED: usize = 20;
/// Columns of the longest bar.
const BAR: usize = 20;

const DEFINITIONS: &str = "\
- **Kurtosis** is Pearson's, of the population: the mean fourth power of the distance from the mean, over the squared \
variance. A normal distribution has 3, a uniform one 1.8, n elements at most about n. **Excess** kurtosis is that minus \
3. Other tools print either; compare like with like.
- **Every element is measured**, none is sampled, so the figures carry no sampling error, only the arithmetic's. The \
self-test above says how large that was on data whose answers are known.
- **NaN and infinite elements** are counted and left out of every statistic.
- **w/o 1, 4, 16**: Pearson kurtosis without that many of the elements farthest from the mean. Where it drops to about \
3, those elements are the whole tail.
- **\\|z\\|**: distance of the farthest element from the mean in standard deviations; value and index are that element's, \
indices count from 0.
";

/// The report as Markdown.
pub fn render(run: &Run) -> String {
    let summary = Summary::of(run);
    let mut text = head(run, &summary);
    text += "\n## Findings\n\n";
    for finding in findings(&summary, &code) {
        text += &format!("- {finding}\n");
    }
    let shown = summary.ranked.len().min(RANKED);
    section(
        &mut text,
        "Heaviest tails",
        &ranked_note(shown, summary.ranked.len()),
        &sections::ranked(&summary, RANKED),
    );
    section(
        &mut text,
        "Noisiest when quantized",
        "Signal to noise in dB with one scale per tensor; the noisiest matrices first.",
        &sections::quantized(&summary, RANKED),
    );
    if let Some((targets, failing)) = overview::brief(run, RANKED) {
        section(&mut text, "For deployment", overview::BRIEF, &targets);
        if !failing.is_empty() {
            text += &format!("\n{}", failing.markdown());
        }
    }
    section(
        &mut text,
        "By component",
        "Pearson kurtosis. Norms and biases included; parts instead of fused tensors.",
        &sections::components(&summary),
    );
    section(
        &mut text,
        "By layer",
        "Highest Pearson kurtosis of a weight matrix; the bar is logarithmic and begins at 1.",
        &sections::layers(&summary, usize::MAX, BAR),
    );
    section(
        &mut text,
        "Not measured",
        "Listed in the checkpoint, left out of everything above.",
        &sections::unmeasured(run),
    );
    text += &format!(
        "\n## How to read this\n\n{DEFINITIONS}- {}\n- {}\n- {}\n",
        sections::DECIBELS,
        sections::RANKED,
        sections::UNDEFINED_MEANS
    );
    text += &reproducing(run);
    section(
        &mut text,
        "All tensors",
        "In the checkpoint's order; the same rows as `tensors.csv`.",
        &sections::all_tensors(run),
    );
    text
}

fn head(run: &Run, summary: &Summary) -> String {
    let mut text = String::new();
    for warning in warnings(run, &code) {
        text += &format!("> **{}.** {}\n>\n", warning.label, warning.text);
    }
    if !text.is_empty() {
        text.truncate(text.len() - ">\n".len());
        text.push('\n');
    }
    for statement in [adapter(run, &code), quantized_already(run, &code)].into_iter().flatten() {
        text += &format!("{statement}\n\n");
    }
    for remark in &run.remarks {
        text += &format!("{}\n\n", escape(remark));
    }
    text += &format!("# Weight kurtosis of {}\n\n| | |\n| :--- | :--- |\n", code(&run.model.source));
    for (label, value) in sections::facts(run, summary, &code) {
        text += &format!("| {label} | {value} |\n");
    }
    if sections::shows_devices(run) {
        section(&mut text, "Devices", "Each device's share of the work.", &sections::devices(run));
    }
    text
}

fn ranked_note(shown: usize, matrices: usize) -> String {
    format!(
        "{shown} of {matrices} weight matrices by Pearson kurtosis (normal = 3); excess is that minus 3 (normal = 0)."
    )
}

fn reproducing(run: &Run) -> String {
    let fact = |label: &str, value: String| format!("- {label}: {value}\n");
    let mut text = String::from("\n## Reproducing this\n\n");
    text += &fact(
        "Tool",
        format!("{} {}, `run.json` schema {}", escape(&run.tool.name), escape(&run.tool.version), run.schema),
    );
    text += &fact("Source", code(&run.model.source));
    if let Some(commit) = &run.model.revision {
        text += &fact("Commit", code(commit));
    }
    text += &fact("Fingerprint of names, shapes, types and samples of the data", code(&run.model.fingerprint));
    for share in &run.devices {
        text += &fact("Device", sections::device(&share.device, &code));
    }
    text += &fact("Started", format!("{}, took {}", code(&run.started), number::duration(run.seconds)));
    text
}

fn section(text: &mut String, heading: &str, note: &str, table: &Table) {
    if !table.is_empty() {
        *text += &format!("\n## {heading}\n\n{note}\n\n{}", table.markdown());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn everything() {
        insta::assert_snapshot!(render(&fixture::full()));
    }

    #[test]
    fn a_clean_run() {
        insta::assert_snapshot!(render(&fixture::clean()));
    }

    #[test]
    fn a_checkpoint_that_is_quantized_already() {
        insta::assert_snapshot!(render(&fixture::quantized()));
    }

    #[test]
    fn rows_have_as_many_cells_as_their_header() {
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        let text = render(&fixture::full());
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair.iter().all(|line| line.starts_with("| "))) {
            assert_eq!(cells(pair[0]), cells(pair[1]), "{pair:?}");
        }
    }
}
