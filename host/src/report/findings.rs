//! What a run means, in sentences: the heaviest tail and what carries it, how common heavy tails are, what integer
//! quantization would do, and what was left out.

use std::collections::BTreeMap;

use super::summary::{NOISY_DB, SchemeRow, Summary};
use crate::number;
use crate::record::HEAVY_KURTOSIS;
use crate::record::{Role, Run, Stored, Tensor};
use crate::scheme_key::TensorScheme;

/// How a report writes a name that it does not trust.
pub type Quote<'q> = &'q dyn Fn(&str) -> String;

/// What a reader must know before any number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// In capitals, for the first line.
    pub label: &'static str,
    /// What it means.
    pub text: String,
}

/// The warnings that `run` calls for, none for most.
pub fn warnings(run: &Run, quote: Quote) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if run.model.synthetic {
        warnings.push(Warning {
            label: "SYNTHETIC",
            text: "The weights were made up by `kurtoscope demo`. Nothing here describes a real model.".to_owned(),
        });
    }
    let mut failed: Vec<&str> = std::iter::once(&run.device)
        .chain(run.devices.iter().map(|share| &share.device))
        .filter(|device| !device.self_test.passed)
        .map(|device| device.url.as_str())
        .collect();
    failed.dedup();
    if !failed.is_empty() {
        let devices: Vec<String> = failed.into_iter().map(quote).collect();
        warnings.push(Warning {
            label: "UNTRUSTED DEVICE",
            text: format!(
                "{} gave wrong answers to the self-test, whose results are known. Any number here may be wrong.",
                devices.join(", ")
            ),
        });
    }
    if !run.missing_statistics.is_empty() {
        let each = run.missing_statistics.iter();
        let text: Vec<String> = each
            .map(|missing| format!("Not measured by {}: {}.", quote(&missing.device), missing.statistics.join(", ")))
            .collect();
        warnings.push(Warning { label: "INCOMPLETE", text: text.join(" ") });
    }
    warnings
}

/// What a reader must know of a checkpoint that holds quantized weights: how many matrices are stored how. `None` for others.
pub fn quantized_already(run: &Run, quote: Quote) -> Option<String> {
    const INTRODUCTION: &str = "This checkpoint is quantized already";
    let matrices: Vec<&Tensor> =
        run.tensors.iter().filter(|tensor| tensor.role == Role::Parameter && tensor.is_matrix()).collect();
    let mut counts: BTreeMap<&Stored, u64> = BTreeMap::new();
    for stored in matrices.iter().filter_map(|tensor| tensor.stored.as_ref()) {
        *counts.entry(stored).or_default() += 1;
    }
    if counts.is_empty() {
        let describes_weights = run.tensors.iter().any(|tensor| tensor.role == Role::Quantization);
        return describes_weights.then(|| {
            format!("{INTRODUCTION}, and none of its quantized weights could be read: see what was not measured.")
        });
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    // The most frequent first; equally frequent ones stay in order.
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let kinds = counts.iter().zip(0..).map(|((stored, count), place)| {
        let group = stored.group.map_or_else(String::new, |group| format!(", groups of {group}"));
        let count = number::count(*count);
        let assumed = stored.assumed.as_ref().map_or_else(String::new, |what| format!(", {} assumed", quote(what)));
        let bits = format!("as {}, {} bits{group}{assumed}", quote(&stored.scheme), stored.bits);
        match place {
            0 => format!("{count} of {} matrices are stored {bits}", number::count(matrices.len() as u64)),
            _ => format!("{count} {bits}"),
        }
    });
    let kinds: Vec<String> = kinds.collect();
    Some(format!("{INTRODUCTION}: {}; what is measured are the weights that they mean.", kinds.join("; ")))
}

/// What a reader must know of an adapter. `None` for models.
pub fn adapter(run: &Run, quote: Quote) -> Option<String> {
    if !run.is_adapter() {
        return None;
    }
    let base = run.adapted_model().map_or_else(|| "another model".to_owned(), quote);
    Some(format!(
        "This is an adapter: it changes the weights of {base} and has none of its own. What is measured are its parts, not the \
         weights that a model has with it; to measure or to quantize those, merge it into the model first."
    ))
}

/// The findings, most important first.
pub fn findings(summary: &Summary, quote: Quote) -> Vec<String> {
    let mut findings = Vec::new();
    match summary.ranked.first() {
        Some(worst) => {
            findings.push(heaviest(worst, quote));
            findings.push(spread(summary));
        }
        None => findings.push("No weight matrix has a kurtosis, so nothing is ranked.".to_owned()),
    }
    // Schemes with more scales are what the tables on deployment are about.
    let per_tensor = || summary.schemes.iter().filter_map(|row| Some((row.unclipped()?, row)));
    findings.extend(per_tensor().filter_map(|(scheme, row)| quantized(scheme, row, quote)));
    if per_tensor().any(|(_, row)| row.noisy > 0) {
        findings.push(
            "What to do with the matrices far below the median: keep them in more bits, or give them a scale per \
             channel or group, so that a few large weights no longer set the step for all."
                .to_owned(),
        );
    }
    findings.extend(left_out(summary, quote));
    findings
}

fn heaviest(worst: &Tensor, quote: Quote) -> String {
    let place = worst.layer_in_words().map_or_else(String::new, |layer| format!(", {layer}"));
    let path = worst.path.as_deref().map_or_else(String::new, |path| format!(", in the model {}", quote(path)));
    format!(
        "The heaviest tail is {}{path} ({}{place}): Pearson kurtosis {} (excess {}; a normal distribution has 3 and 0). {}",
        quote(&worst.name),
        worst.component,
        number::kurtosis(worst.kurtosis),
        number::kurtosis(worst.excess_kurtosis),
        carriers(worst),
    )
}

/// How many elements carry a tail: as many as must be left out for less than half of the excess to remain.
fn carriers(tensor: &Tensor) -> String {
    let (Some(kurtosis), Some(farthest)) = (tensor.kurtosis, tensor.top.first()) else {
        return String::new();
    };
    if kurtosis <= 4.0 {
        return "That is close to normal.".to_owned();
    }
    let without = &tensor.kurtosis_without_top;
    let carries = |rest: Option<f64>| rest.is_some_and(|rest| rest - 3.0 < (kurtosis - 3.0) / 2.0);
    let weight = format!(
        "{} at {}, {} from the mean",
        number::significant(farthest.value, 3),
        number::index(&farthest.index),
        number::sigmas(farthest.z)
    );
    if carries(without.one) {
        let rest = number::kurtosis(without.one);
        return format!("One weight carries it ({weight}): without that one the kurtosis is {rest}.");
    }
    for (rest, few) in [(without.four, 4), (without.sixteen, 16)] {
        if carries(rest) {
            let rest = number::kurtosis(rest);
            return format!("{few} weights carry it, the farthest {weight}: without them the kurtosis is {rest}.");
        }
    }
    match without.sixteen {
        Some(rest) => format!(
            "No few weights carry it: without the 16 farthest the kurtosis is still {}.",
            number::kurtosis(Some(rest))
        ),
        None => format!("Its farthest weight is {weight}; what remains without the farthest could not be resolved."),
    }
}

fn spread(summary: &Summary) -> String {
    let matrices = summary.ranked.len();
    let median = crate::statistics::median(summary.ranked.iter().filter_map(|tensor| tensor.kurtosis));
    let heavy = match summary.totals.heavy {
        0 => format!("None of {} is heavy", plural(matrices, "weight matrix", "weight matrices")),
        1 => format!("1 of {} is heavy", plural(matrices, "weight matrix", "weight matrices")),
        heavy => format!("{heavy} of {matrices} weight matrices are heavy"),
    };
    let median = number::kurtosis(median);
    let mut text = format!("{heavy} (Pearson kurtosis above {HEAVY_KURTOSIS}); the median is {median}.");
    let places = heavy_components(summary);
    if !places.is_empty() {
        text += &format!(" By component: {}.", places.join(", "));
    }
    text
}

/// The components of the heavy matrices with their counts, most first.
fn heavy_components(summary: &Summary) -> Vec<String> {
    let mut counts = BTreeMap::new();
    for tensor in summary.ranked.iter().take(summary.totals.heavy) {
        *counts.entry(tensor.component).or_insert(0usize) += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().map(|(component, count)| format!("{count} {component}")).collect()
}

fn quantized(scheme: TensorScheme, row: &SchemeRow, quote: Quote) -> Option<String> {
    let (decibels, worst) = row.matrices.first()?;
    let origin = if row.predicted { "predicted" } else { "measured" };
    let noisy = match row.noisy {
        0 => "none is".to_owned(),
        1 => format!("1 of {} is", row.matrices.len()),
        noisy => format!("{noisy} of {} are", row.matrices.len()),
    };
    Some(format!(
        "int{} with one scale per tensor ({origin}): the median matrix keeps its signal {} dB above the noise; {noisy} {NOISY_DB} dB (about one bit) \
         or more below that. The noisiest is {} at {} dB: its noise has {} of the signal's power.",
        scheme.bits(),
        number::decibels(row.median),
        quote(&worst.name),
        number::decibels(Some(*decibels)),
        number::percent(10f64.powf(-decibels / 10.0)),
    ))
}

fn left_out(summary: &Summary, quote: Quote) -> Vec<String> {
    let mut left_out = Vec::new();
    if !summary.non_finite.is_empty() {
        let elements = match summary.non_finite.iter().map(|tensor| tensor.non_finite).sum() {
            1 => "1 element is".to_owned(),
            elements => format!("{} elements are", number::count(elements)),
        };
        let tensors = some_names(&summary.non_finite, quote);
        left_out.push(format!("{elements} NaN or infinite, in {tensors}; every statistic leaves them out."));
    }
    if !summary.undefined.is_empty() {
        left_out.push(format!(
            "{} no kurtosis (n/a): {}. All elements are equal, or none is finite, or their powers leave the range of f64.",
            plural(summary.undefined.len(), "tensor has", "tensors have"),
            some_names(&summary.undefined, quote)
        ));
    }
    let uncounted: Vec<&Tensor> = summary.ranked.iter().filter(|tensor| tensor.quantiles.is_empty()).copied().collect();
    if !uncounted.is_empty() {
        left_out.push(format!(
            "{} no quantiles and no predicted errors: {}. A device that measured them keeps no histogram of magnitudes.",
            plural(uncounted.len(), "matrix has", "matrices have"),
            some_names(&uncounted, quote)
        ));
    }
    left_out
}

/// The first three names, and how many more there are.
fn some_names(tensors: &[&Tensor], quote: Quote) -> String {
    const SHOWN: usize = 3;
    let names: Vec<String> = tensors.iter().take(SHOWN).map(|tensor| quote(&tensor.name)).collect();
    match tensors.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn worst_of(edit: impl FnOnce(&mut Tensor)) -> String {
        let mut run = fixture::clean();
        edit(&mut run.tensors[0]);
        findings(&Summary::of(&run), &str::to_owned)[0].clone()
    }

    #[test]
    fn a_device_without_a_histogram_is_reported() {
        let mut run = fixture::clean();
        let said = |run: &Run| findings(&Summary::of(run), &str::to_owned).join("\n");
        assert!(!said(&run).contains("histogram"));
        run.tensors[0].quantiles.clear();
        assert!(said(&run).contains("1 matrix has no quantiles and no predicted errors"), "{}", said(&run));
    }

    #[test]
    fn one_weight_is_named() {
        let run = fixture::full();
        let found = findings(&Summary::of(&run), &str::to_owned);
        assert_eq!(
            found[0],
            "The heaviest tail is model.decoder.layers.1.self_attn.out_proj.weight (attention_output, layer 1): Pearson \
             kurtosis 562.3 (excess 559.3; a normal distribution has 3 and 0). One weight carries it (-4.21 at \
             [409, 12], 135.2σ from the mean): without that one the kurtosis is 3.12."
        );
    }

    #[test]
    fn carriers_are_distinguished() {
        assert!(worst_of(|_| ()).ends_with("That is close to normal."));
        assert!(worst_of(|tensor| tensor.kurtosis = Some(30.0)).contains("One weight carries it"));
        let four = worst_of(|tensor| {
            tensor.kurtosis = Some(30.0);
            tensor.kurtosis_without_top.one = Some(25.0);
        });
        assert!(four.contains("4 weights carry it"), "{four}");
        let unresolved = worst_of(|tensor| {
            tensor.kurtosis = Some(30.0);
            tensor.kurtosis_without_top = Default::default();
        });
        assert!(unresolved.contains("could not be resolved"), "{unresolved}");
    }

    #[test]
    fn a_run_without_matrices_says_so() {
        let mut run = fixture::clean();
        run.tensors.clear();
        assert_eq!(
            findings(&Summary::of(&run), &str::to_owned),
            ["No weight matrix has a kurtosis, so nothing is ranked."]
        );
    }

    #[test]
    fn warnings_name_the_failed_device_once() {
        let warnings = warnings(&fixture::full(), &str::to_owned);
        assert_eq!(warnings.iter().map(|warning| warning.label).collect::<Vec<_>>(), ["SYNTHETIC", "UNTRUSTED DEVICE"]);
        assert_eq!(warnings[1].text.matches("serial:").count(), 1);
        assert!(super::warnings(&fixture::clean(), &str::to_owned).is_empty());
    }
}
