//! All targets side by side: a report of its own, and the tables in a run's report.

use super::{bits, decibels, figures, head, notes, size, threshold_text};
use crate::deployment::{
    DeploymentPlan, PlanError, TargetVerdict,
    remedy::remedy,
    target::{EIGHT_BITS, FOUR_BITS},
    weights::matrix,
};
use crate::record::Run;
use crate::report::hypotheses::block::{Block, labelled, words};
use crate::report::table::{Cell, Column, Table};

use Column::{Names, Numbers, Words};

/// What a run's own report says about its deployment tables.
pub const BRIEF: &str = "Matrices that pass, are at risk, are better kept in more bits at each target; the signal to noise of \
the worst, and of all as planned. `kurtoscope plan` says why, and writes the plan for \
llama.cpp, ONNX Runtime, torchao and ExecuTorch.";

/// A report over all targets.
pub fn overview(run: &Run, plans: &[DeploymentPlan], without: &[(&'static str, PlanError)]) -> Vec<Block> {
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
    ]));
    blocks.push(figures(false));
    blocks
}

/// A line for each target: verdicts, signal to noise, size.
fn targets(plans: &[DeploymentPlan]) -> Table {
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
fn counts(plan: &DeploymentPlan) -> [Cell; 3] {
    let kept = plan.count(TargetVerdict::Keep) + plan.count(TargetVerdict::Unknown);
    [plan.count(TargetVerdict::Pass), plan.count(TargetVerdict::AtRisk), kept].map(|count| count.to_string().into())
}

/// The same in fewer columns.
fn targets_narrow(plans: &[DeploymentPlan]) -> Table {
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
    let (plans, _) = DeploymentPlan::all(run);
    if plans.is_empty() {
        return None;
    }
    let mut worst =
        Table::new([("Tensor", Names), ("Fails", Words), ("Remedy at 8 bits", Words), ("Remedy at 4 bits", Words)]);
    let mut failing: Vec<(&str, Vec<&'static str>, f64)> = Vec::new();
    for plan in &plans {
        for entry in plan.not_passing() {
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
        let stored = matrix(tensor, &run.model);
        let helped = |bits: u8| -> Cell {
            let found = remedy(&stored, bits);
            found.treatment.map_or("not measured", |treatment| treatment.name()).into()
        };
        let fails = if targets.len() == plans.len() {
            "all".to_owned()
        } else {
            format!("{} of {}", targets.len(), plans.len())
        };
        worst.push([Cell::name(name), fails.into(), helped(8), helped(4)]);
    }
    Some((targets_narrow(&plans), worst))
}

/// Which targets the run says nothing about.
fn lacking(without: &[(&'static str, PlanError)]) -> Option<String> {
    let (_, first) = without.first()?;
    let names: Vec<&str> = without.iter().map(|(name, _)| *name).collect();
    let advice = match first {
        PlanError::NotMeasured { .. } => {
            ". Measure the model again with this version, on a device that measures it and with --statistics all: \
             kurtoscope analyze MODEL --out DIR"
        }
        PlanError::Adapter { .. } | PlanError::NothingToQuantize { .. } | PlanError::Budget { .. } => "",
    };
    Some(format!("No plan for {}: {first}{advice}", names.join(", ")))
}
