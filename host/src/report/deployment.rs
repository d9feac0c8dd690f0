//! Plans for people: what each target would make of a model, one target in detail, and a budget beside its alternatives.

use super::hypotheses::block::{Block, Inline, Line, labelled, words};
use super::number;
use super::table::{Cell, Column, Table};
use crate::deployment::{
    Allocated, Basis, Entry, Noise, Plan, PlanError, Precision, Remedy, Verdict,
    allocation::KurtosisRule,
    plan::Outcome,
    remedy::{Quantity, Treatment},
    target::{ALL, EIGHT_BITS, FOUR_BITS},
};
use crate::record::Run;

use Column::{Names, Numbers, Words};

/// Matrices listed on a terminal.
pub const SHOWN: usize = 15;

const DECIBELS: &str = "dB: signal to quantization noise of a matrix, 6 dB about one bit. The overall figure is that of the \
average relative error, each matrix counting once; a model's loss rises about in proportion to a weighted sum of these errors \
(Malinovskii et al., 2024), whose weights depend on data and are taken as equal. It tells plans for one model apart; it is no \
prediction of accuracy.";

const BASIS: &str = "Basis: measured is every element quantized on the device; histogram is predicted from the tail histogram; \
estimated is derived from other precisions (GGUF's K-quants, and 3, 5, 6 and 7 bits); other axis and at least are matrices \
stored [in, out].";

const SIZES: &str = "Sizes count scales. What is not quantized counts 16 bits an element, or what it is stored in where that is \
less.";

/// What a run's own report says about its deployment tables.
pub const BRIEF: &str = "Matrices that pass, are at risk, are better kept in more bits at each target; the signal to noise of \
the worst, and of all as planned. `kurtoscope plan` says why, and writes the plan for \
llama.cpp, ONNX Runtime, torchao and ExecuTorch.";

/// A report for one target.
pub fn plan(run: &Run, plan: &Plan, limit: usize) -> Vec<Block> {
    let mut blocks = head(run, &format!("Plan for {}", plan.target));
    blocks.push(Block::Paragraph(words(verdicts(plan))));
    blocks.push(Block::Table(comparison(plan), 0));
    let troubled = plan.troubled();
    if !troubled.is_empty() {
        let shown = troubled.len().min(limit);
        let of = if shown < troubled.len() {
            format!("the noisiest {shown} of {}", troubled.len())
        } else {
            shown.to_string()
        };
        blocks.push(Block::Heading(2, format!("Matrices that do not simply pass: {of}")));
        blocks.push(Block::Table(entries(&troubled[..shown]), 0));
        blocks.push(Block::Heading(2, "Why, and what helps".into()));
        blocks.push(Block::List(troubled[..shown].iter().filter_map(|entry| reason(entry)).collect()));
    }
    blocks.extend(notes(&plan.remarks));
    blocks.push(Block::List(vec![
        labelled(
            "Thresholds",
            format!("{} dB passes, from {} dB a matrix is at risk: {}", plan.pass_db, plan.risk_db, plan.reason),
        ),
        labelled("Figures", format!("{DECIBELS} {BASIS} {SIZES}")),
    ]));
    blocks
}

/// A report for a budget.
pub fn budget(run: &Run, plan: &Allocated, limit: usize) -> Vec<Block> {
    let mut blocks = head(run, &format!("Plan for {} bits per weight ({})", plan.budget, plan.target));
    blocks.push(Block::Table(alternatives(plan), 0));
    blocks.push(Block::List(budget_remarks(plan)));
    let mut counted: Vec<(Precision, usize)> = Vec::new();
    for entry in &plan.entries {
        match counted.iter_mut().find(|(precision, _)| *precision == entry.precision) {
            Some((_, count)) => *count += 1,
            None => counted.push((entry.precision, 1)),
        }
    }
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let counted: Vec<String> = counted.iter().map(|(precision, count)| format!("{count} in {precision}")).collect();
    let mut others: Vec<_> = plan.entries.iter().filter(|entry| entry.precision != plan.common).collect();
    others.sort_by(|a, b| b.bits_per_weight.total_cmp(&a.bits_per_weight));
    let shown = others.len().min(limit);
    let of = if shown < others.len() { format!("{shown} of {}", others.len()) } else { shown.to_string() };
    blocks.push(Block::Heading(2, format!("Matrices not in {}: {of}", plan.common)));
    blocks.push(Block::Paragraph(words(format!("{}.", counted.join(", ")))));
    let mut table = Table::new([
        ("Tensor", Names),
        ("Stored as", Words),
        ("Bits", Numbers),
        ("dB", Numbers),
        ("Basis", Words),
        ("Pearson", Numbers),
    ]);
    for entry in &others[..shown] {
        table.push([
            Cell::name(&entry.name),
            entry.precision.to_string().into(),
            bits(entry.bits_per_weight).into(),
            noise(Some(entry.noise)).into(),
            entry.noise.basis.name().into(),
            number::kurtosis(entry.kurtosis).into(),
        ]);
    }
    if !table.is_empty() {
        blocks.push(Block::Table(table, 0));
    }
    blocks.extend(notes(&plan.remarks));
    blocks.push(Block::List(vec![labelled("Figures", format!("{DECIBELS} {BASIS} {SIZES}"))]));
    blocks
}

/// A report over all targets.
pub fn overview(run: &Run, plans: &[Plan], without: &[(&'static str, PlanError)]) -> Vec<Block> {
    let mut blocks = head(run, "What the targets would make of it");
    blocks.push(Block::Table(targets(plans), 0));
    if let Some(lacking) = lacking(without) {
        blocks.push(Block::Paragraph(words(lacking)));
    }
    let remarks = plans.iter().flat_map(|plan| &plan.remarks).fold(Vec::new(), |mut remarks: Vec<String>, remark| {
        if !remarks.contains(remark) {
            remarks.push(remark.clone());
        }
        remarks
    });
    blocks.extend(notes(&remarks));
    blocks.push(Block::List(vec![
        labelled(
            "Next",
            "--target NAME shows the matrices behind a line and exports them; --bits N spends bits where they help.",
        ),
        labelled("Thresholds at 4 bits", threshold_text(FOUR_BITS)),
        labelled("Thresholds at 8 bits", threshold_text(EIGHT_BITS)),
        labelled("Figures", format!("{DECIBELS} {SIZES}")),
    ]));
    blocks
}

/// A line for each target: verdicts, signal to noise, size.
fn targets(plans: &[Plan]) -> Table {
    let mut table = Table::new([
        ("Target", Words),
        ("Pass", Numbers),
        ("Risk", Numbers),
        ("Keep", Numbers),
        ("All dB", Numbers),
        ("Worst", Numbers),
        ("Plan dB", Numbers),
        ("Bits", Numbers),
        ("Size", Numbers),
    ]);
    for plan in plans {
        let [pass, risk, keep] = counts(plan);
        table.push([
            plan.target.into(),
            pass,
            risk,
            keep,
            decibels(plan.uniform.sqnr_db).into(),
            decibels(plan.uniform.worst_db).into(),
            decibels(plan.planned.sqnr_db).into(),
            bits(plan.planned.bits_per_weight).into(),
            size(plan.planned.bytes).into(),
        ]);
    }
    table
}

/// Matrices that pass, are at risk, are kept in more bits.
fn counts(plan: &Plan) -> [Cell; 3] {
    let kept = plan.count(Verdict::Keep) + plan.count(Verdict::Unknown);
    [plan.count(Verdict::Pass), plan.count(Verdict::AtRisk), kept].map(|count| count.to_string().into())
}

/// The same in fewer columns.
fn targets_narrow(plans: &[Plan]) -> Table {
    let mut table = Table::new([
        ("Target", Words),
        ("Pass", Numbers),
        ("Risk", Numbers),
        ("Keep", Numbers),
        ("Worst dB", Numbers),
        ("Plan dB", Numbers),
        ("Size", Numbers),
    ]);
    for plan in plans {
        let [pass, risk, keep] = counts(plan);
        let (worst, planned) = (decibels(plan.uniform.worst_db), decibels(plan.planned.sqnr_db));
        table.push([
            plan.target.into(),
            pass,
            risk,
            keep,
            worst.into(),
            planned.into(),
            size(plan.planned.bytes).into(),
        ]);
    }
    table
}

/// What a run's own report says: the targets that it has figures for, and the matrices that fail the most of them, with what
/// helps.
pub fn brief(run: &Run, limit: usize) -> Option<(Table, Table)> {
    let (plans, _) = all(run);
    if plans.is_empty() {
        return None;
    }
    let mut worst =
        Table::new([("Tensor", Names), ("Fails", Words), ("Remedy at 8 bits", Words), ("Remedy at 4 bits", Words)]);
    let mut failing: Vec<(&str, Vec<&'static str>, f64)> = Vec::new();
    for plan in &plans {
        for entry in plan.troubled() {
            let error = entry.at_target.map_or(0.0, |noise| noise.relative_mse);
            match failing.iter_mut().find(|(name, _, _)| *name == entry.name) {
                Some((_, targets, worst)) => {
                    targets.push(plan.target);
                    *worst = worst.max(error);
                }
                None => failing.push((&entry.name, vec![plan.target], error)),
            }
        }
    }
    failing.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then(b.2.total_cmp(&a.2)));
    for (name, targets, _) in failing.iter().take(limit) {
        let Some(tensor) = run.tensors.iter().find(|tensor| tensor.name == *name) else { continue };
        let matrix = crate::deployment::weights::matrix(tensor, run.model.family);
        let remedy = |bits: u8| -> Cell {
            let found = crate::deployment::remedy::remedy(&matrix, bits);
            found.treatment.map_or("not measured", |treatment| treatment.name()).into()
        };
        let fails = if targets.len() == plans.len() {
            "all".to_owned()
        } else {
            format!("{} of {}", targets.len(), plans.len())
        };
        worst.push([Cell::name(name), fails.into(), remedy(8), remedy(4)]);
    }
    Some((targets_narrow(&plans), worst))
}

/// The plans for every target, and why there is none for the others.
pub fn all(run: &Run) -> (Vec<Plan>, Vec<(&'static str, PlanError)>) {
    let (mut plans, mut without) = (Vec::new(), Vec::new());
    for target in &ALL {
        match Plan::of(run, target) {
            Ok(plan) => plans.push(plan),
            Err(error) => without.push((target.name, error)),
        }
    }
    (plans, without)
}

fn head(run: &Run, title: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = super::findings::warnings(run, &str::to_owned)
        .into_iter()
        .map(|warning| Block::Warning(warning.label, warning.text))
        .collect();
    blocks.push(Block::Heading(1, title.to_owned()));
    let model = &run.model;
    blocks.push(Block::Paragraph(vec![
        Inline::Text("Weights of ".into()),
        Inline::Name(model.source.clone()),
        Inline::Text(format!(", {} parameters, measured on ", number::scaled(model.parameters))),
        Inline::Name(run.device.url.clone()),
        Inline::Text(". Activations are not looked at.".into()),
    ]));
    blocks
}

fn verdicts(plan: &Plan) -> String {
    let [keep, risk, pass, unknown] = Verdict::ALL.map(|verdict| plan.count(verdict));
    let mut text =
        format!("Of {} matrices {pass} pass, {risk} are at risk, {keep} are kept in more bits", plan.entries.len());
    if unknown > 0 {
        text += &format!(", and {unknown} stay in 16 bits because the run does not tell");
    }
    let mut kept: Vec<Precision> =
        plan.entries.iter().filter(|entry| entry.verdict == Verdict::Keep).map(|entry| entry.precision).collect();
    kept.sort();
    kept.dedup();
    if !kept.is_empty() {
        let kept: Vec<String> = kept.iter().map(Precision::to_string).collect();
        text += &format!(" ({})", kept.join(", "));
    }
    text + "."
}

fn outcome_row(table: &mut Table, label: String, outcome: &Outcome) {
    table.push([
        label.into(),
        bits(outcome.bits_per_weight).into(),
        decibels(outcome.sqnr_db).into(),
        decibels(outcome.energy_sqnr_db).into(),
        decibels(outcome.worst_db).into(),
        size(outcome.bytes).into(),
    ]);
}

fn outcomes() -> Table {
    Table::new([
        ("", Words),
        ("Bits", Numbers),
        ("dB", Numbers),
        ("dB by energy", Numbers),
        ("Worst", Numbers),
        ("Size", Numbers),
    ])
}

fn comparison(plan: &Plan) -> Table {
    let mut table = outcomes();
    outcome_row(&mut table, "as planned".into(), &plan.planned);
    outcome_row(&mut table, format!("all in {}", plan.precision), &plan.uniform);
    stored(&mut table, plan.bytes_before);
    table
}

fn stored(table: &mut Table, bytes: f64) {
    let dash = || Cell::from("—");
    table.push(["as stored".into(), dash(), dash(), dash(), dash(), size(bytes).into()]);
}

fn alternatives(plan: &Allocated) -> Table {
    let mut table = outcomes();
    outcome_row(&mut table, "this plan".into(), &plan.outcome);
    if let Some(uniform) = &plan.uniform {
        outcome_row(&mut table, format!("all in {}", uniform.precision), &uniform.outcome);
    }
    if let Some(rule) = &plan.kurtosis_rule {
        outcome_row(&mut table, format!("kurtosis rule, base {}", rule.base), &rule.outcome);
        outcome_row(&mut table, "this plan at the rule's bits".into(), &rule.best_at_its_bits);
    }
    stored(&mut table, plan.bytes_before);
    table
}

fn budget_remarks(plan: &Allocated) -> Vec<Line> {
    let mut remarks = Vec::new();
    if let (Some(bound), Some(found)) = (plan.bound_db, plan.outcome.sqnr_db) {
        remarks.push(labelled(
            "Optimality",
            format!(
                "no choice among these precisions within the budget exceeds {bound:.2} dB; this plan has {found:.2}"
            ),
        ));
    }
    let ladder: Vec<String> = plan.ladder.iter().map(Precision::to_string).collect();
    remarks.push(labelled("Precisions", ladder.join(", ")));
    if plan.uniform.is_none() {
        remarks.push(labelled("One precision for all", "none stays within the budget"));
    }
    remarks.push(labelled("Kurtosis rule", rule_text(plan.kurtosis_rule.as_ref())));
    remarks
}

fn rule_text(rule: Option<&KurtosisRule>) -> String {
    const RULE: &str = "kurtosis above 8: two bits more than the base, above 5: one more, below 3.5: one less";
    match rule {
        None => format!("{RULE}; even its lowest base exceeds the budget"),
        Some(rule) => {
            let mut text = format!(
                "{RULE}. It knows no budget: the largest base that fits is taken, and it is fair to hold it against the plan \
                 at its own bits only"
            );
            if rule.rounded > 0 {
                text += &format!("; {} matrices got the nearest bits that exist", rule.rounded);
            }
            text
        }
    }
}

fn entries(entries: &[&Entry]) -> Table {
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
fn reason(entry: &Entry) -> Option<Line> {
    let remedy = entry.remedy.as_ref()?;
    let mut line = vec![Inline::Name(entry.name.clone())];
    if !entry.target.is_quantized() {
        line.push(Inline::Text(": its rows do not divide into the target's blocks".into()));
        return Some(line);
    }
    let what = match (remedy.treatment, remedy.reaches_db) {
        (None, _) => format!("what helps at {} bits is not known", remedy.bits),
        (Some(Treatment::KeepSixteen), _) => format!("nothing helps at {} bits, keep it in 16", remedy.bits),
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

fn threshold_text(thresholds: crate::deployment::target::Thresholds) -> String {
    format!("{} dB passes, from {} dB a matrix is at risk: {}", thresholds.pass, thresholds.risk, thresholds.reason)
}

/// Which targets the run says nothing about.
fn lacking(without: &[(&'static str, PlanError)]) -> Option<String> {
    let (_, first) = without.first()?;
    let names: Vec<&str> = without.iter().map(|(name, _)| *name).collect();
    Some(format!("No plan for {}: {first}", names.join(", ")))
}

fn notes(remarks: &[String]) -> Option<Block> {
    (!remarks.is_empty()).then(|| Block::List(remarks.iter().map(|remark| labelled("Note", remark)).collect()))
}

fn noise(noise: Option<Noise>) -> String {
    match noise {
        Some(noise) if noise.basis == Basis::Exact => "no noise".into(),
        Some(noise) => decibels(noise.decibels()),
        None => "—".into(),
    }
}

fn decibels(value: Option<f64>) -> String {
    value.map_or_else(|| "no noise".into(), |value| number::decibels(Some(value)))
}

fn bits(value: f64) -> String {
    number::significant(value, 4)
}

fn size(bytes: f64) -> String {
    number::bytes(bytes.round() as u64)
}

#[cfg(test)]
#[path = "deployment_tests.rs"]
mod tests;
