//! What the report says first: what was asked, what was found, how sure that is, and what it means for quantization.

use std::collections::BTreeSet;

use super::Material;
use super::block::{Block, Inline, Line, labelled, words};
use super::chapters;
use super::wording::{probability, verdict};
use crate::evidence::{Evidence, TensorEvidence};
use crate::hypothesis::Judgement;
use crate::number;
use crate::record::HEAVY_KURTOSIS;
use crate::report::table::{Cell, Column, Table};
use crate::text::plain;
use kurtoscope_checkpoint::model::Family;

/// The whole report.
pub fn blocks(material: &Material<'_>) -> Vec<Block> {
    let mut blocks = head(material);
    blocks.extend(found(material.judgements));
    blocks.extend(sure(material));
    blocks.extend(quantization(material.evidence));
    blocks.extend(chapters::models(material));
    blocks.extend(chapters::recorded(material));
    blocks.extend(chapters::hypotheses(material.judgements));
    blocks.extend(chapters::experiments(material.experiments));
    blocks.extend(chapters::facts(material.evidence));
    blocks.extend(chapters::reading());
    blocks
}

fn head(material: &Material<'_>) -> Vec<Block> {
    let mut blocks = vec![Block::Heading(1, "Why some weights are outliers: hypotheses and evidence".into())];
    let synthetic: Vec<&str> =
        material.evidence.models.iter().filter(|model| model.synthetic).map(|model| model.name.as_str()).collect();
    if !synthetic.is_empty() {
        blocks.push(Block::Warning(
            "SYNTHETIC",
            format!(
                "The weights of {} were made up. What follows from them says nothing about real models.",
                synthetic.join(", ")
            ),
        ));
    }
    if let Some(against) = material.recorded {
        blocks.push(Block::Warning(
            "RECORDED",
            format!(
                "Nothing here was measured by Kurtoscope. The figures are those of the document \"{}\" of {}, judged again.",
                against.document.title, against.document.date
            ),
        ));
    }
    blocks.push(Block::Heading(2, "What was asked".into()));
    blocks.push(Block::Paragraph(words(
        "In some language models a few weights lie very far from all others. When such a tensor is quantized, these few decide \
         its scale, and the others are left with few levels. The usual number for it is the kurtosis: 3 for normally \
         distributed weights, hundreds where single weights stand out. This report asks why some models have such \
         tensors and others do not, by holding claims about their causes against measured weights.",
    )));
    blocks
}

fn found(judgements: &[Judgement]) -> Vec<Block> {
    let mut blocks = vec![Block::Heading(2, "What was found".into())];
    if judgements.is_empty() {
        blocks.push(Block::Paragraph(words("No hypothesis was judged. The experiments below show what is there.")));
        return blocks;
    }
    let mut table = Table::new([
        ("Hypothesis", Column::Words),
        ("Claim about", Column::Words),
        ("Verdict", Column::Words),
        ("Smallest adjusted p", Column::Numbers),
    ]);
    for judgement in judgements {
        let smallest = judgement.statistics.iter().filter_map(|statistic| statistic.p_adjusted).reduce(f64::min);
        table.push([
            Cell::from(plain(&judgement.id)),
            plain(&judgement.title).into(),
            verdict(judgement.verdict).into(),
            smallest.map_or_else(|| "—".to_owned(), probability).into(),
        ]);
    }
    blocks.push(Block::Table(table, 0));
    let item = |judgement: &Judgement| -> Line {
        vec![
            Inline::Strong(format!(
                "{} {}: {}.",
                judgement.id,
                judgement.title,
                verdict(judgement.verdict).to_lowercase()
            )),
            Inline::Text(format!(" {}", judgement.reason)),
        ]
    };
    blocks.push(Block::List(judgements.iter().map(item).collect()));
    blocks
}

fn sure(material: &Material<'_>) -> Vec<Block> {
    let evidence = material.evidence;
    let families: BTreeSet<Family> =
        evidence.models.iter().map(|model| model.family).filter(|family| *family != Family::Unknown).collect();
    let mut lines = vec![words(format!(
        "The evidence is {} of {} in {}.",
        counted(evidence.tensors.len(), "weight matrix", "weight matrices"),
        counted(evidence.models.len(), "model", "models"),
        counted(families.len(), "known family", "known families"),
    ))];
    if evidence.models.len() < 6 {
        lines.push(words(
            "That is few models. A difference between models can hardly be told from chance here, whatever its size; what is \
             not decided says which evidence would decide it.",
        ));
    }
    lines.push(words(
        "Families differ in data, initialisation, position scheme, placement of norms and size at once. Across families every \
         verdict is about association, never about cause.",
    ));
    lines.push(words(
        "p values are adjusted after Holm for the hypotheses that were tested together; a verdict that needs one needs 0.05 \
         or less after the adjustment.",
    ));
    vec![Block::Heading(2, "How sure this is".into()), Block::List(lines)]
}

pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", number::count(count as u64), if count == 1 { one } else { many })
}

fn quantization(evidence: &Evidence) -> Vec<Block> {
    let heavy: Vec<&TensorEvidence> =
        evidence.tensors.iter().filter(|row| row.kurtosis > Some(HEAVY_KURTOSIS)).collect();
    let mut lines = Vec::new();
    if evidence.tensors.is_empty() {
        lines.push(words("Nothing is known about weights."));
    } else if heavy.is_empty() {
        lines.push(words(format!(
            "No weight matrix here is heavy-tailed (kurtosis above {HEAVY_KURTOSIS:.0}). One scale for a whole tensor costs these models \
             about what it costs normally distributed weights."
        )));
    } else {
        lines.push(words(format!(
            "{heavy} of {all} are heavy-tailed (kurtosis above {HEAVY_KURTOSIS:.0}): with one scale for the whole tensor most \
             of their weights share few levels.",
            heavy = number::count(heavy.len() as u64),
            all = counted(evidence.tensors.len(), "weight matrix", "weight matrices"),
        )));
        let known = || heavy.iter().filter_map(|row| row.kurtosis_without_16);
        let few = known().filter(|kurtosis| *kurtosis <= HEAVY_KURTOSIS).count();
        let broad = known().count() - few;
        if few > 0 {
            lines.push(labelled(
                "A few weights",
                format!(
                    "In {few} of them the tail is gone once 16 weights are left out. Keep those weights apart at full precision, \
                     or clip them, and the rest quantizes like any other tensor.",
                ),
            ));
        }
        if broad > 0 {
            lines.push(labelled(
                "Broad tails",
                format!(
                    "In {broad} of them the tail stays without the 16 farthest weights. Setting single weights apart does not \
                     help there; scales per channel or per group do.",
                ),
            ));
        }
        let unknown = heavy.len() - few - broad;
        if unknown > 0 {
            lines.push(labelled(
                "Not known",
                format!(
                    "For {unknown} of them it is not known whether a few weights or a broad tail make the kurtosis."
                ),
            ));
        }
    }
    lines.push(words(
        "This is about weights. Outliers among activations, which most of the literature is about, are another matter. What \
         int8 and int4 cost each tensor in decibels is in the report of each run.",
    ));
    vec![Block::Heading(2, "What it means for quantization".into()), Block::List(lines)]
}
