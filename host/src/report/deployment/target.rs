//! The report for one target: its verdicts, what they come to, and what helps the matrices that do not pass.

use super::{decibels, figures, head, noise, notes, outcome_row, outcomes, stored, threshold_text};
use crate::deployment::{
    DeploymentPlan, PlannedMatrix, Precision, Quantity, Remedy, TargetVerdict, Treatment, target::Thresholds,
};
use crate::number;
use crate::record::Run;
use crate::report::hypotheses::block::{Block, Inline, Line, labelled, words};
use crate::report::table::{Cell, Column, Table};

use Column::{Names, Numbers, Words};

/// A report for one target.
pub fn plan(run: &Run, plan: &DeploymentPlan, limit: usize) -> Vec<Block> {
    let mut blocks = head(run, &format!("Plan for {}", plan.target));
    blocks.push(Block::Paragraph(words(verdicts(plan))));
    blocks.push(Block::Table(comparison(plan), 0));
    let not_passing = plan.not_passing();
    if !not_passing.is_empty() {
        let shown = not_passing.len().min(limit);
        let of = if shown < not_passing.len() {
            format!("the noisiest {shown} of {}", not_passing.len())
        } else {
            shown.to_string()
        };
        blocks.push(Block::Heading(2, format!("Matrices that do not simply pass: {of}")));
        blocks.push(Block::Table(entries(&not_passing[..shown]), 0));
        blocks.push(Block::Heading(2, "Why, and what helps".into()));
        blocks.push(Block::List(not_passing[..shown].iter().filter_map(|entry| reason(entry)).collect()));
    }
    blocks.extend(notes(&plan.remarks));
    let thresholds = Thresholds { pass: plan.pass_db, risk: plan.risk_db, reason: plan.reason };
    blocks.push(Block::List(vec![labelled("Thresholds", threshold_text(thresholds))]));
    blocks.push(figures(true));
    blocks
}

fn verdicts(plan: &DeploymentPlan) -> String {
    let [keep, risk, pass, unknown] = TargetVerdict::ALL.map(|verdict| plan.count(verdict));
    let mut text =
        format!("Of {} matrices {pass} pass, {risk} are at risk, {keep} are kept in more bits", plan.entries.len());
    if unknown > 0 {
        text += &format!(", and {unknown} stay in more because the run does not tell");
    }
    let mut kept: Vec<Precision> =
        plan.entries.iter().filter(|entry| entry.verdict == TargetVerdict::Keep).map(|entry| entry.precision).collect();
    kept.sort();
    kept.dedup();
    if !kept.is_empty() {
        let kept: Vec<String> = kept.iter().map(Precision::to_string).collect();
        text += &format!(" ({})", kept.join(", "));
    }
    text + "."
}

fn comparison(plan: &DeploymentPlan) -> Table {
    let mut table = outcomes();
    outcome_row(&mut table, "as planned".into(), &plan.planned);
    outcome_row(&mut table, format!("all in {}", plan.precision), &plan.uniform);
    stored(&mut table, plan.bytes_before);
    table
}

fn entries(entries: &[&PlannedMatrix]) -> Table {
    let mut table = Table::new([
        ("Tensor", Names),
        ("Verdict", Words),
        ("dB", Numbers),
        ("Basis", Words),
        ("Stored as", Words),
        ("then dB", Numbers),
        ("Remedy", Words),
    ]);
    for entry in entries {
        let treatment = entry.remedy.as_ref().and_then(|remedy| remedy.treatment);
        table.push([
            Cell::name(&entry.name),
            entry.verdict.name().into(),
            noise(entry.at_target).into(),
            entry.at_target.map_or("—", |noise| noise.basis.name()).into(),
            entry.precision.to_string().into(),
            noise(Some(entry.noise)).into(),
            treatment.map_or("not measured", |treatment| treatment.name()).into(),
        ]);
    }
    table
}

/// Why a matrix does not pass and what helps, with its numbers.
fn reason(entry: &PlannedMatrix) -> Option<Line> {
    let remedy = entry.remedy.as_ref()?;
    let mut line = vec![Inline::Name(entry.name.clone())];
    if !entry.target.is_quantized() {
        line.push(Inline::Text(": its rows do not divide into the target's blocks".into()));
        return Some(line);
    }
    let what = match (remedy.treatment, remedy.reaches_db) {
        (None, _) => format!("what helps at {} bits is not known", remedy.bits),
        (Some(Treatment::KeepUnquantized), _) => format!("nothing helps at {} bits, keep it in 16", remedy.bits),
        (Some(treatment), reached) => {
            let reached =
                reached.map_or_else(String::new, |reached| format!(", which reaches {} dB", decibels(Some(reached))));
            format!("{} at {} bits{reached}", treatment.name(), remedy.bits)
        }
    };
    line.push(Inline::Text(format!(": {what}. Rule: {}. Its numbers: {}.", remedy.rule, numbers(remedy))));
    Some(line)
}

fn numbers(remedy: &Remedy) -> String {
    let shown = |quantity: &Quantity| !matches!(quantity, Quantity::Rotated);
    let numbers: Vec<String> = remedy
        .numbers
        .iter()
        .filter(|(quantity, _)| shown(quantity))
        .map(|(quantity, value)| format!("{} {}", quantity.name(), number::significant(*value, 3)))
        .collect();
    numbers.join("; ")
}
