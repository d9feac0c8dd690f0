//! The report for a budget: the plan beside one precision for all and beside the kurtosis rule.

use super::{bits, figures, head, noise, notes, outcome_row, outcomes, stored};
use crate::deployment::{Allocated, KurtosisRule, Precision};
use crate::number;
use crate::record::Run;
use crate::report::hypotheses::block::{Block, Line, labelled, words};
use crate::report::table::{Cell, Column, Table};

use Column::{Names, Numbers, Words};

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
    blocks.push(figures(true));
    blocks
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
