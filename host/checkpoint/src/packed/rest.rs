//! What the tensors are that belong to no packed weight: parts of a weight whose codes lie in another file, parts of
//! schemes that are not read, or ordinary tensors. Their names decide, which are data.

use std::collections::{BTreeSet, HashSet};

use super::component::{StoredType, product};
use super::fault::Shape;
use super::listing::{Listed, Recognition, Scheme, Unexplained};
use super::settings::Configuration;

/// Ends of names that only parts of a quantization have.
const ONLY_QUANTIZATION: &[&str] = &[
    ".weight_scale",
    "_weight_scale",
    ".weight_scale_2",
    "_weight_scale_2",
    ".weight_scale_inv",
    "_weight_scale_inv",
    ".weight_global_scale",
    ".weight_zero_point",
    "_weight_zero_point",
    ".weight_shape",
    ".weight_g_idx",
    ".weight_scales",
    ".weight._scale",
    ".weight._shift",
    ".weight.bitmask",
    ".scale_packed",
    ".scale_weight",
    ".qzeros",
    ".g_idx",
    ".SCB",
    ".absmax",
    ".quant_map",
    ".nested_absmax",
    ".nested_quant_map",
];

/// Ends of names that are parts of a quantization in a checkpoint that has one; elsewhere they may be anything.
const IN_A_QUANTIZED_CHECKPOINT: &[&str] = &[
    ".input_scale",
    ".scale_input",
    "_input_scale",
    ".output_scale",
    ".q_scale",
    ".k_scale",
    ".v_scale",
    ".prob_scale",
    ".input_global_scale",
    ".input_zero_point",
    ".output_zero_point",
    ".activation_scale",
    ".input_activation_scale",
    ".input_amax",
    ".smooth_scale",
    ".act_scale",
    ".centroids.weight",
    ".weight_format",
    ".weight.shape",
    ".workspace",
    ".meta",
    ".nbits",
    ".group_size",
    ".axis",
    ".packing",
    ".unpack_view_dtype",
    ".view_as_float",
    ".compute_dtype",
    ".offload_meta",
    ".encoded_state_dict",
    ".stores_quant_config",
    ".channel_wise",
    ".optimize",
    ".round_zero",
];

/// Last parts of names that scales and zero points of groups have; layers of other kinds use them for vectors.
const OF_GROUPS: &[&str] = &["scale", "scales", "zero", "zeros", "biases"];

/// Last parts of names that scales and the like have beside codes of a scheme that is not known.
const BESIDE_CODES: &[&str] =
    &["scale", "scales", "zero", "zeros", "biases", "codebook", "codebooks", "absmax", "lut", "s"];

/// The end of the name of nonzero elements without their places (compressed-tensors' sparse formats).
const NONZERO: &str = ".compressed";

/// Whether a tensor of this name is part of a quantization, but never codes.
pub(super) fn is_left_over(name: &str) -> bool {
    ONLY_QUANTIZATION.iter().chain(IN_A_QUANTIZED_CHECKPOINT).any(|end| name.ends_with(end))
}

/// Sorts the tensors that no weight claimed.
pub(super) fn sort_out(
    recognition: &mut Recognition,
    listed: &[Listed],
    claimed: &[bool],
    configuration: &Configuration,
) {
    let names: HashSet<&str> = listed.iter().map(|tensor| tensor.name).collect();
    let free = || listed.iter().enumerate().filter(|&(at, _)| !claimed[at]);
    let codes = |tensor: &&Listed| tensor.stored.is_integer() && tensor.shape.len() > 1;
    let is_certain = |tensor: &Listed| is_certain(tensor, &names);
    let is_quantized =
        !recognition.weights.is_empty() || configuration.is_stated() || free().any(|(_, tensor)| is_certain(tensor));
    let has_scaled_fp8 = recognition
        .weights
        .iter()
        .any(|weight| weight.scheme == Scheme::Fp8 && listed[weight.members[0].1].stored.is_f8());
    let unknown: BTreeSet<&str> =
        free().map(|(_, tensor)| tensor).filter(codes).map(|tensor| module(tensor.name)).collect();
    for (at, tensor) in free() {
        let beside_codes = || BESIDE_CODES.contains(&last(tensor.name)) && unknown.contains(module(tensor.name));
        let lacks_scale = || has_scaled_fp8 && tensor.stored.is_f8() && tensor.shape.len() > 1;
        let is_description =
            is_certain(tensor) || is_quantized && is_likely(tensor) || !tensor.stored.is_integer() && beside_codes();
        let reason = if is_description {
            recognition.quantization.push(at);
            continue;
        } else if is_quantized && tensor.name.ends_with(NONZERO) {
            format!("packed codes of {}: the layout sparse is not read", tensor.name)
        } else if lacks_scale() && !configuration.leaves_out(tensor.name) {
            format!("packed codes of {0}: {0}_scale is missing, which other weights of this type have", tensor.name)
        } else if tensor.stored.is_integer() {
            let shape = Shape(tensor.shape.to_vec());
            format!("packed codes of {}: no known scheme explains {} {shape}", tensor.name, tensor.stored)
        } else {
            continue;
        };
        recognition.unexplained.push(Unexplained { tensor: at, reason });
    }
}

/// Whether a tensor is part of a quantization whatever else the checkpoint has.
fn is_certain(tensor: &Listed, names: &HashSet<&str>) -> bool {
    let name = tensor.name;
    let beside = |part: &str| names.contains(format!("{}.{part}", module(name)).as_str());
    let has_groups = tensor.shape.len() > 1;
    if ONLY_QUANTIZATION.iter().any(|end| name.ends_with(end)) {
        return true;
    }
    match last(name) {
        "scales" => has_groups,
        "biases" => has_groups && beside("scales"),
        "scale" => has_groups && beside("zero"),
        "zero" => has_groups && beside("scale"),
        part if part.ends_with("_scales") => has_groups && is_power(&tensor.stored),
        _ => false,
    }
}

/// Whether a tensor of a quantized checkpoint is part of the quantization.
fn is_likely(tensor: &Listed) -> bool {
    let of_groups = OF_GROUPS.contains(&last(tensor.name)) && (tensor.shape.len() > 1 || product(tensor.shape) == 1);
    of_groups || IN_A_QUANTIZED_CHECKPOINT.iter().any(|end| tensor.name.ends_with(end))
}

/// Whether elements may be powers of two in a byte.
fn is_power(stored: &StoredType) -> bool {
    *stored == StoredType::E8m0 || stored.is(kurtoscope_shared::Element::U8)
}

/// A name without its last part.
fn module(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(module, _)| module)
}

/// The last part of a name.
fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
