//! The command line of llama.cpp's `llama-quantize`: a type for every matrix, so that the mixtures that the tool has of its
//! own decide nothing.
//!
//! `--tensor-type PATTERN=TYPE` takes a regular expression that is searched in the tensor's GGUF name; the embedding and the
//! head have options of their own. Layers that store a matrix in the same type share a pattern.

use std::collections::BTreeMap;

use super::gguf_names::{GgufName, Naming, Unnamed};
use super::{Assignment, ExportError, Tool, head};
use crate::deployment::precision::Precision;
use crate::text::plain;

/// ggml's name of a precision.
pub const fn type_name(precision: Precision) -> Option<&'static str> {
    match precision {
        Precision::Q3K => Some("q3_K"),
        Precision::Q4_0 => Some("q4_0"),
        Precision::Iq4Nl => Some("iq4_nl"),
        Precision::Q4K => Some("q4_K"),
        Precision::Q5_0 => Some("q5_0"),
        Precision::Q5_1 => Some("q5_1"),
        Precision::Q5K => Some("q5_K"),
        Precision::Q6K => Some("q6_K"),
        Precision::Q8_0 => Some("q8_0"),
        Precision::Unquantized => Some("f16"),
        Precision::Integer { .. } | Precision::Nf4 | Precision::Mxfp4 => None,
    }
}

/// The kind of file to name behind the files: what metadata says, and what matrices without a pattern become.
const fn file_type(precision: Precision) -> &'static str {
    match precision {
        Precision::Q3K => "Q3_K_S",
        Precision::Q4K => "Q4_K_S",
        Precision::Q5_0 => "Q5_0",
        Precision::Q5_1 => "Q5_1",
        Precision::Q5K => "Q5_K_S",
        Precision::Q6K => "Q6_K",
        Precision::Q8_0 => "Q8_0",
        Precision::Iq4Nl => "IQ4_NL",
        Precision::Unquantized => "F16",
        _ => "Q4_0",
    }
}

/// What one tensor of the GGUF file becomes.
#[derive(Debug, Clone, Copy)]
struct Planned {
    precision: Precision,
    kind: &'static str,
    /// Matrices of the checkpoint that it is made of: experts, mostly.
    made_of: usize,
}

/// The command.
///
/// # Errors
/// Where no tensor has a name in GGUF.
pub(super) fn render(assignment: &Assignment<'_>) -> Result<String, ExportError> {
    let (planned, unnamed) = named(assignment);
    if planned.is_empty() {
        let reason = unnamed.first().map_or_else(|| "there are none".to_owned(), |(_, reason)| reason.to_string());
        return Err(ExportError::Names { tool: Tool::LlamaCpp.name(), reason });
    }
    let merged = planned.values().filter(|planned| planned.made_of > 1).count();
    let mut text = format!("#!/bin/sh\n{}", head(assignment));
    text += "# usage: sh plan.llama-cpp.sh model-f16.gguf model-planned.gguf\n";
    if assignment.run.tensors.iter().any(|tensor| tensor.role == crate::record::Role::Tied) {
        text += "# The head shares the embedding's weights and is stored with them.\n";
    }
    if merged > 0 {
        text += &format!(
            "# {} made of several matrices, which share the type of the one that needs most.\n",
            if merged == 1 { "1 tensor is".to_owned() } else { format!("{merged} tensors are") }
        );
    }
    for (name, reason) in &unnamed {
        text += &format!("# not in here: {}: {reason}\n", plain(name));
    }
    text += "llama-quantize \\\n";
    for option in options(planned) {
        text += &format!("  {option} \\\n");
    }
    text += &format!("  \"$1\" \"$2\" {}\n", file_type(assignment.common));
    Ok(text)
}

/// What each tensor of the GGUF file becomes, and the matrices that have no name there.
fn named<'a>(assignment: &Assignment<'a>) -> (BTreeMap<GgufName, Planned>, Vec<(&'a str, Unnamed)>) {
    let naming = Naming::of(assignment.run.model.family, assignment.run.model.config.as_ref());
    let (mut planned, mut unnamed) = (BTreeMap::<GgufName, Planned>::new(), Vec::new());
    for stored in &assignment.stored {
        let Some(kind) = type_name(stored.precision) else { continue };
        match naming.names(stored.name) {
            Ok(names) => {
                for name in names {
                    let one = Planned { precision: stored.precision, kind, made_of: 1 };
                    planned.entry(name).and_modify(|before| *before = before.and(one)).or_insert(one);
                }
            }
            Err(reason) => unnamed.push((stored.name, reason)),
        }
    }
    (planned, unnamed)
}

impl Planned {
    /// With one more matrix in it: the type of the one that needs more bits.
    fn and(self, other: Self) -> Self {
        let larger = if other.precision.nominal_bits() > self.precision.nominal_bits() { other } else { self };
        Self { made_of: self.made_of + other.made_of, ..larger }
    }
}

/// The options that give every tensor its type.
fn options(planned: BTreeMap<GgufName, Planned>) -> Vec<String> {
    let mut options = Vec::new();
    let mut layers: BTreeMap<(String, String, &'static str), Vec<u32>> = BTreeMap::new();
    for (name, Planned { kind, .. }) in planned {
        match name {
            GgufName::Layer { list, layer, inside } => layers.entry((inside, list, kind)).or_default().push(layer),
            GgufName::Outside(name) if name == "token_embd.weight" => {
                options.push(format!("--token-embedding-type {kind}"));
            }
            GgufName::Outside(name) if name == "output.weight" => options.push(format!("--output-tensor-type {kind}")),
            GgufName::Outside(name) => {
                options.push(format!("--tensor-type {}", quoted(&format!("^{}$={kind}", escaped(&name)))));
            }
        }
    }
    for ((inside, list, kind), numbers) in &layers {
        let kinds = layers.keys().filter(|(other, in_list, _)| other == inside && in_list == list).count();
        let numbers = if kinds == 1 { "[0-9]+".to_owned() } else { alternatives(numbers) };
        let pattern = format!("^{}\\.{numbers}\\.{}$", escaped(list), escaped(inside));
        options.push(format!("--tensor-type {}", quoted(&format!("{pattern}={kind}"))));
    }
    options
}

/// `(0|1|5)`, or the layer alone.
fn alternatives(layers: &[u32]) -> String {
    let layers: Vec<String> = layers.iter().map(u32::to_string).collect();
    if let [layer] = layers.as_slice() { layer.clone() } else { format!("({})", layers.join("|")) }
}

/// Text in a regular expression of C++.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if !character.is_alphanumeric() && !matches!(character, '_' | '-') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Text as one word of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
