//! The parts that the terminal's and the Markdown report share: what was measured by whom, and every table.

use super::findings::Quote;
use super::summary::{Summary, Totals};
use super::table::{Cell, Column, Table};
use crate::number;
use crate::record::{Device, Role, Run, Tensor};
use crate::scheme_key::TensorScheme;
use crate::statistics::log_position;
use kurtoscope_checkpoint::model::Family;

use Column::{Names, Numbers, Words};

/// What the kurtosis columns hold.
pub const KURTOSIS_COLUMNS: &str = "Kurtosis is Pearson's (a normal distribution has 3); excess is that minus 3. w/o k: \
     Pearson kurtosis without the k weights farthest from the mean. |z|: distance of the farthest weight from the mean, \
     in standard deviations.";

/// What the decibels mean.
pub const DECIBELS: &str = "dB: signal to quantization noise, for symmetric integer levels with one scale per tensor \
     that reaches the largest magnitude. 6 dB are about one bit; at 20 dB the noise has 1 % of the signal's power, at 0 \
     dB as much as the signal. For comparison, normal weights: about 39 dB at int8 and 14 dB at int4.";

/// What n/a means.
pub const UNDEFINED_MEANS: &str = "n/a is undefined, never zero: a tensor whose elements are all equal, or none of which \
     is finite, has no kurtosis; w/o k is undefined where too little remains to be resolved.";

/// Which tensors are ranked.
pub const RANKED: &str = "Ranked are weight matrices: tensors with at least two dimensions longer than 1. Norms and \
     biases are measured but not ranked, because one unusual element of a short vector makes a high kurtosis that says \
     little about quantizing a matrix. A fused tensor is represented by its parts, a stack of experts by each of them, and \
     ranked beside them only where it is worse than each.";

/// Label and value of everything that identifies a run.
pub fn facts(run: &Run, summary: &Summary, quote: Quote) -> Vec<(String, String)> {
    let model = &run.model;
    let mut facts = vec![
        ("Model".to_owned(), format!("{} ({}, {})", quote(&model.source), family(model.family), quote(&model.format))),
        (
            "Parameters".to_owned(),
            if model.parameters < 1000 {
                number::count(model.parameters)
            } else {
                format!("{} ({})", number::scaled(model.parameters), number::count(model.parameters))
            },
        ),
        ("Tensors".to_owned(), tensors(&summary.totals)),
    ];
    if summary.totals.unknown_elements > 0 {
        facts.push(("Not known".to_owned(), unknown(summary.totals.unknown_elements, model.parameters)));
    }
    if run.devices.len() > 1 {
        for (place, share) in run.devices.iter().enumerate() {
            facts.push((format!("Device {}", place + 1), device(&share.device, quote)));
        }
    } else {
        facts.push(("Device".to_owned(), device(&run.device, quote)));
        facts.push(("Self-test".to_owned(), self_test(&run.device)));
    }
    facts.push((
        "Measured".to_owned(),
        format!(
            "{}: {} in {} ({}), every element, nothing sampled",
            quote(&run.started),
            number::bytes(run.bytes.saturating_sub(run.resumed_bytes)),
            number::duration(run.seconds),
            number::rate(run.bytes.saturating_sub(run.resumed_bytes), run.seconds)
        ),
    ));
    let (sent, plain) = run.devices.iter().filter(|share| share.sent_bytes > 0).fold((0, 0), |(sent, plain), share| {
        (sent + share.sent_bytes, plain + share.bytes.saturating_sub(share.resumed_bytes))
    });
    if sent < plain {
        let part = number::percent(sent as f64 / plain as f64);
        let text = format!("{} crossed the link as {} ({part})", number::bytes(plain), number::bytes(sent));
        facts.push(("Packed".to_owned(), text));
    }
    if run.resumed_bytes > 0 {
        facts.push((
            "Continued".to_owned(),
            format!(
                "from a journal: {} of {} were measured by an earlier run",
                number::bytes(run.resumed_bytes),
                number::bytes(run.bytes)
            ),
        ));
    }
    facts
}

/// The share of the weights that have names of no known component.
fn unknown(elements: u64, parameters: u64) -> String {
    let share = number::percent(elements as f64 / parameters.max(1) as f64);
    format!("{share} of the weights have names that say nothing about their place (component other)")
}

fn tensors(totals: &Totals) -> String {
    let counted = |count: usize, one: &str, many: &str| {
        (count > 0).then(|| format!("{} {}", number::count(count as u64), if count == 1 { one } else { many }))
    };
    let kinds = [
        counted(totals.stored, "of weights", "of weights"),
        counted(totals.parts, "part of a fused one", "parts of fused ones"),
        counted(totals.tied, "tied (counted once)", "tied (counted once)"),
        counted(totals.buffers, "buffer (not ranked)", "buffers (not ranked)"),
        counted(totals.quantization, "of quantization (scales and the like)", "of quantization (scales and the like)"),
        counted(totals.unmeasured, "not measured", "not measured"),
    ];
    let kinds: Vec<String> = kinds.into_iter().flatten().collect();
    if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
}

/// A device in a line.
pub fn device(device: &Device, quote: Quote) -> String {
    let adapter = device.adapter.as_ref().map_or_else(String::new, |adapter| {
        format!(" on {} ({}, {})", quote(&adapter.name), quote(&adapter.backend), quote(&adapter.kind))
    });
    format!(
        "{} ({}), firmware {}, engine {}{adapter}",
        quote(&device.url),
        quote(&device.board),
        quote(&device.firmware),
        quote(&device.engine)
    )
}

fn self_test(device: &Device) -> String {
    let test = &device.self_test;
    let verdict = if test.passed { "passed" } else { "FAILED" };
    match test.max_relative_error {
        Some(error) => format!("{verdict}; largest relative error {} on known answers", number::significant(error, 2)),
        None => format!("{verdict}; an answer was not a number"),
    }
}

/// A family's usual spelling.
pub fn family(family: Family) -> &'static str {
    match family {
        Family::Opt => "OPT",
        Family::Bloom => "BLOOM",
        Family::Gpt2 => "GPT-2",
        Family::GptNeox => "GPT-NeoX",
        Family::Xglm => "XGLM",
        Family::Llama => "LLaMA",
        Family::Bert => "BERT",
        Family::Unknown => "unknown family",
    }
}

/// Whether there is more to say about devices than which one measured: several took part, or something went wrong on a link.
pub fn shows_devices(run: &Run) -> bool {
    run.devices.len() > 1
        || run.devices.iter().any(|share| share.resent + share.damaged + share.dropped + share.reconnects > 0)
}

/// Every device's share of the work, numbered as in [`facts`].
pub fn devices(run: &Run) -> Table {
    let mut table = Table::new([
        ("#", Numbers),
        ("Board", Names),
        ("Self-test", Words),
        ("Bytes", Numbers),
        ("MB/s", Numbers),
        ("Resent", Numbers),
        ("Damaged", Numbers),
        ("Dropped", Numbers),
        ("Lost", Numbers),
    ]);
    for (place, share) in run.devices.iter().enumerate() {
        let test = &share.device.self_test;
        table.push([
            (place + 1).to_string().into(),
            Cell::name(&share.device.board),
            match test.max_relative_error {
                Some(error) if test.passed => number::significant(error, 2).into(),
                _ if test.passed => "passed".into(),
                _ => "FAILED".into(),
            },
            number::bytes(share.bytes).into(),
            share.rate().map_or_else(|| number::UNDEFINED.into(), |rate| number::significant(rate / 1e6, 3).into()),
            number::count(share.resent).into(),
            number::count(share.damaged).into(),
            number::count(share.dropped).into(),
            number::count(share.reconnects).into(),
        ]);
    }
    table
}

/// The ranked matrices in one line each with everything about their tails; `limit` of them.
pub fn ranked(summary: &Summary, limit: usize) -> Table {
    let mut table = Table::new([
        ("#", Numbers),
        ("Tensor", Names),
        ("Component", Words),
        ("Layer", Numbers),
        ("Shape", Words),
        ("Pearson", Numbers),
        ("Excess", Numbers),
        ("w/o 1", Numbers),
        ("w/o 4", Numbers),
        ("w/o 16", Numbers),
        ("|z|", Numbers),
        ("Value", Numbers),
        ("Index", Words),
    ]);
    for (place, tensor) in summary.ranked.iter().take(limit).enumerate() {
        let mut row: Vec<Cell> = vec![(place + 1).to_string().into(), Cell::name(&tensor.name)];
        row.extend([component(tensor).into(), layer(tensor).into(), number::shape(&tensor.shape).into()]);
        row.extend(kurtoses(tensor));
        let (value, index) = farthest(tensor);
        row.extend([value.into(), index.into()]);
        table.push(row);
    }
    table
}

/// The ranked matrices for a narrow page: the figures, and a line of details to stand below each row.
pub fn ranked_narrow(summary: &Summary, limit: usize) -> (Table, Vec<String>) {
    let mut table = Table::new([
        ("#", Numbers),
        ("Tensor", Names),
        ("Pearson", Numbers),
        ("Excess", Numbers),
        ("w/o 1", Numbers),
        ("w/o 4", Numbers),
        ("w/o 16", Numbers),
        ("|z|", Numbers),
    ]);
    let mut details = Vec::new();
    for (place, tensor) in summary.ranked.iter().take(limit).enumerate() {
        let mut row: Vec<Cell> = vec![(place + 1).to_string().into(), Cell::name(&tensor.name)];
        row.extend(kurtoses(tensor));
        table.push(row);
        let layer = tensor.layer_in_words().map_or_else(String::new, |layer| format!(", {layer}"));
        let (value, index) = farthest(tensor);
        details.push(format!(
            "{}{layer}, {}; farthest {value} at {index}",
            component(tensor),
            number::shape(&tensor.shape)
        ));
    }
    (table, details)
}

pub(super) fn kurtoses(tensor: &Tensor) -> [Cell; 6] {
    let without = &tensor.kurtosis_without_top;
    [
        number::kurtosis(tensor.kurtosis).into(),
        number::kurtosis(tensor.excess_kurtosis).into(),
        number::kurtosis(without.one).into(),
        number::kurtosis(without.four).into(),
        number::kurtosis(without.sixteen).into(),
        number::sigmas(tensor.top.first().and_then(|outlier| outlier.z)).into(),
    ]
}

fn farthest(tensor: &Tensor) -> (String, String) {
    tensor.top.first().map_or_else(
        || (number::UNDEFINED.to_owned(), number::UNDEFINED.to_owned()),
        |outlier| (number::significant(outlier.value, 3), number::index(&outlier.index)),
    )
}

/// A component, and that it is several where their places are not known.
pub(super) fn component(tensor: &Tensor) -> String {
    let mixed = if tensor.parts_unknown { " (several in one; parts not known)" } else { "" };
    format!("{}{mixed}", tensor.component)
}

pub(super) fn layer(tensor: &Tensor) -> String {
    let Some(layer) = tensor.layer else { return "–".to_owned() };
    tensor.tower.as_ref().map_or_else(|| layer.to_string(), |tower| format!("{} {layer}", crate::text::plain(tower)))
}

/// The noisiest matrices under the finest of the schemes, `limit` of them; empty where nothing was quantized.
pub fn quantized(summary: &Summary, limit: usize) -> Table {
    let mut table = Table::new([
        ("Tensor", Names),
        ("int8 dB", Numbers),
        ("int4 dB", Numbers),
        ("Pearson", Numbers),
        ("w/o 1", Numbers),
    ]);
    // The first scheme has the most bits: what is noisy there is noisy everywhere.
    for (_, tensor) in summary.schemes.first().map_or(&[][..], |scheme| &scheme.matrices).iter().take(limit) {
        let decibels =
            |scheme: TensorScheme| number::decibels(tensor.quantization_error(scheme).and_then(|error| error.sqnr_db));
        table.push([
            Cell::name(&tensor.name),
            decibels(TensorScheme::Int8).into(),
            decibels(TensorScheme::Int4).into(),
            number::kurtosis(tensor.kurtosis).into(),
            number::kurtosis(tensor.kurtosis_without_top.one).into(),
        ]);
    }
    table
}

/// Count, median and maximum of each component.
pub fn components(summary: &Summary) -> Table {
    let mut table = Table::new([
        ("Component", Words),
        ("Tensors", Numbers),
        ("Median", Numbers),
        ("Max", Numbers),
        ("Layer", Numbers),
        ("Tensor of the max", Names),
    ]);
    for row in &summary.components {
        table.push([
            row.component.name().into(),
            row.tensors.to_string().into(),
            number::kurtosis(row.median).into(),
            number::kurtosis(row.worst.and_then(|tensor| tensor.kurtosis)).into(),
            row.worst.map_or_else(|| number::UNDEFINED.to_owned(), layer).into(),
            row.worst.map_or_else(|| number::UNDEFINED.into(), |tensor| Cell::name(&tensor.name)),
        ]);
    }
    table
}

/// The maximum of each layer, with a bar `bar` columns long for the highest; `limit` layers, those of the highest
/// kurtosis. The bar is logarithmic and begins at 1, the least that a kurtosis can be.
pub fn layers(summary: &Summary, limit: usize, bar: usize) -> Table {
    let has_towers = summary.layers.iter().any(|row| row.tower.is_some());
    let columns = [("Layer", Numbers), ("Max", Numbers), ("log scale", Words), ("Tensor of the max", Names)];
    let mut table = Table::new(has_towers.then_some(("Tower", Names)).into_iter().chain(columns).collect::<Vec<_>>());
    let mut kurtoses: Vec<f64> = summary.layers.iter().map(|row| row.kurtosis).collect();
    kurtoses.sort_by(|a, b| b.total_cmp(a));
    let highest = kurtoses.first().copied().unwrap_or(1.0);
    let least = kurtoses.get(limit.saturating_sub(1)).copied().unwrap_or(f64::NEG_INFINITY);
    for row in summary.layers.iter().filter(|row| row.kurtosis >= least) {
        let tower = has_towers.then(|| row.tower.map_or_else(|| "–".into(), Cell::name));
        let cells: [Cell; 4] = [
            row.layer.to_string().into(),
            number::kurtosis(Some(row.kurtosis)).into(),
            blocks(log_position(row.kurtosis, 1.0, highest), bar).into(),
            Cell::name(&row.worst.name),
        ];
        table.push(tower.into_iter().chain(cells).collect::<Vec<_>>());
    }
    table
}

/// A bar over a fraction of `columns`, in eighths of a column.
fn blocks(fraction: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (fraction * 8.0 * columns as f64).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// Tensors that were not measured, and why.
pub fn unmeasured(run: &Run) -> Table {
    let mut table = Table::new([("Tensor", Names), ("Shape", Words), ("Type", Words), ("Reason", Words)]);
    for tensor in &run.unmeasured {
        table.push([
            Cell::name(&tensor.name),
            number::shape(&tensor.shape).into(),
            Cell::name(&tensor.dtype),
            // The reason quotes the file.
            crate::text::plain(&tensor.reason).into(),
        ]);
    }
    table
}

/// A role as `run.json` spells it.
pub const fn role(role: Role) -> &'static str {
    match role {
        Role::Parameter => "parameter",
        Role::Buffer => "buffer",
        Role::View => "view",
        Role::Tied => "tied",
        Role::Quantization => "quantization",
    }
}
