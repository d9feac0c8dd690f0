//! Stacks of experts: which tensors are some, and along which of a matrix's axes their outputs run.
//!
//! transformers stores experts `[experts, out, in]` (`use_experts_implementation` in `integrations/moe.py`), a few families
//! `[experts, in, out]`. A configuration's width tells which; where both axes have it, the family.

use super::super::config::Configuration;
use super::turns::Axis;
use super::{Projection, ends_with};

/// The most experts that are looked at one by one: more than any published model has in a layer.
pub(super) const MOST: u64 = 1024;

/// `model_type`s that store `[experts, in, out]`: `is_transposed=True` in their modeling files, and llama4/modeling_llama4.py.
const TRANSPOSED: &[&str] = &["llama4", "llama4_text", "gpt_oss", "aria", "aria_text", "openai_privacy_filter"];

/// `model_type`s that store both ways: transposed up to transformers 4.57, not so since.
const EITHER: &[&str] = &["qwen3_vl_moe", "qwen3_vl_moe_text", "qwen3_omni_moe", "qwen3_omni_moe_text"];

/// Modules of experts that store `[experts, out, in]` in every file: linear layers by name, and whatever is in a GGUF file.
const ALONG_ROWS: &[&str] =
    &["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "ffn_gate_up_exps", "input_linear", "output_linear"];

/// Whether a tensor is a stack of experts: three dimensions, in a module of that name.
pub(super) fn is_stack(projection: &Projection<'_>) -> bool {
    let module = projection.module();
    let is_named = module.iter().any(|part| part.contains("experts") || part.ends_with("_exps"));
    let is_linear =
        ["block_sparse_moe.input_linear", "block_sparse_moe.output_linear", "mlp.input_linear", "mlp.output_linear"];
    projection.shape.len() == 3 && (is_named || is_linear.iter().any(|ending| ends_with(&module, ending)))
}

/// Whether the configuration states other numbers of experts than `found`, and not this one.
pub(super) fn is_contradicted(configuration: &Configuration<'_>, found: u64) -> bool {
    let stated = configuration.experts();
    !stated.is_empty() && !stated.contains(&found)
}

/// The axis of an expert's matrix, `[rows, columns]`, along which its outputs run; `None` where nothing tells.
pub(super) fn output_axis(projection: &Projection<'_>, configuration: &Configuration<'_>) -> Option<Axis> {
    let &[_, rows, columns] = projection.shape else { return None };
    let module = projection.module();
    if let Some(axis) = projection.stated() {
        return Some(axis);
    }
    if ALONG_ROWS.iter().any(|ending| ends_with(&module, ending)) {
        return Some(Axis::Rows);
    }
    let is_down = ["down_proj", "fc2", "w2"].iter().any(|ending| ends_with(&module, ending));
    let by_width = configuration.hidden().map(|hidden| (rows == hidden, columns == hidden));
    match by_width {
        // A down projection puts out the model's width, the others take it.
        Some((true, false)) => Some(if is_down { Axis::Rows } else { Axis::Columns }),
        Some((false, true)) => Some(if is_down { Axis::Columns } else { Axis::Rows }),
        Some((false, false)) => None,
        None | Some((true, true)) => by_family(configuration),
    }
}

fn by_family(configuration: &Configuration<'_>) -> Option<Axis> {
    if configuration.is_one_of(TRANSPOSED) {
        return Some(Axis::Columns);
    }
    (configuration.model_type.is_some() && !configuration.is_one_of(EITHER)).then_some(Axis::Rows)
}
