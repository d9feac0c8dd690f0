//! Plans for people: what each target would make of a model, one target in detail, and a budget beside its alternatives.
//!
//! [`plan`], [`budget()`] and [`overview()`] lay out a report each, in the blocks of [`hypotheses`](super::hypotheses); what
//! they share is here.

mod budget;
pub(super) mod overview;
mod target;

pub use budget::budget;
pub use overview::overview;
pub use target::plan;

use super::hypotheses::block::{Block, Inline, labelled};
use super::table::{Cell, Column, Table};
use crate::deployment::{Basis, ErrorEstimate, Outcome, target::Thresholds};
use crate::number;
use crate::record::Run;

use Column::{Numbers, Words};

/// Matrices listed on a terminal.
pub const SHOWN: usize = 15;

const DECIBELS: &str = "dB: signal to quantization noise of a matrix, 6 dB about one bit. The overall figure is that of the \
average relative error, each matrix counting once; a model's loss rises about in proportion to a weighted sum of these errors \
(Malinovskii et al., 2024), whose weights depend on data and are taken as equal. It tells plans for one model apart; it is no \
prediction of accuracy.";

const BASIS: &str = "Basis: measured is quantized on the device, of large matrices one element of 2 to 64 with the scales of all; histogram is predicted from the tail histogram; \
estimated is derived from other precisions (GGUF's K-quants, and 3, 5, 6 and 7 bits); other axis and at least are matrices \
stored [in, out].";

const SIZES: &str = "Sizes count scales. What is not quantized counts 16 bits an element, or what it is stored in where that is \
less.";

/// What the figures of a report are, `with_basis` where it names what they rest on.
fn figures(with_basis: bool) -> Block {
    let basis = if with_basis { BASIS } else { "" };
    let text = [DECIBELS, basis, SIZES].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
    Block::List(vec![labelled("Figures", text)])
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

fn stored(table: &mut Table, bytes: f64) {
    let dash = || Cell::from("—");
    table.push(["as stored".into(), dash(), dash(), dash(), dash(), size(bytes).into()]);
}

fn threshold_text(thresholds: Thresholds) -> String {
    format!("{} dB passes, from {} dB a matrix is at risk: {}", thresholds.pass, thresholds.risk, thresholds.reason)
}

fn notes(remarks: &[String]) -> Option<Block> {
    (!remarks.is_empty()).then(|| Block::List(remarks.iter().map(|remark| labelled("Note", remark)).collect()))
}

fn noise(noise: Option<ErrorEstimate>) -> String {
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
mod tests;
