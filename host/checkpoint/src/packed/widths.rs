//! How many bits MLX's codes have where nothing states it. A row of words alone may be of 4 bits in groups of 64 or of
//! 8 bits in groups of 32: only the number of its columns decides, which must be known from elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::listing::{Listed, PackedWeight, Scheme};
use super::members::Role;

/// Bits of MLX's affine codes.
const BITS: [u64; 7] = [1, 2, 3, 4, 5, 6, 8];

/// Groups of MLX's affine codes.
const GROUPS: [u64; 3] = [32, 64, 128];

/// Layers that normalize the hidden states of their block, and so have as many elements as these.
const NORMS: &[&str] = &[
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
    "attention_norm",
    "ffn_norm",
];

/// Layers that write the hidden states of their block, and so have as many rows as these have elements.
const WRITERS: &[&str] = &["o_proj", "down_proj", "wo", "w2"];

/// Layers that read the hidden states of their block, and so have as many columns as these.
const READERS: &[&str] =
    &["q_proj", "k_proj", "v_proj", "qkv_proj", "gate_proj", "up_proj", "gate_up_proj", "wq", "wk", "wv", "w1", "w3"];

/// The pairs of bits and group that make rows of so many words and scales.
pub(super) fn candidates(words: u64, groups: u64) -> Vec<(u64, u64)> {
    let pairs = BITS.into_iter().flat_map(|bits| GROUPS.map(|group| (bits, group)));
    let row = words.checked_mul(32).filter(|&row| row > 0);
    pairs.filter(|(bits, group)| row.is_some() && row == groups.checked_mul(bits * group)).collect()
}

/// Gives MLX's affine weights their bits and group, where no configuration states either and the columns of layers that
/// read hidden states tell them: these layers theirs, and if all of them have the same, every weight for which that is
/// possible.
pub(super) fn settle(weights: &mut [PackedWeight], listed: &[Listed]) {
    let hidden = hidden_widths(listed);
    let known: Vec<_> = weights.iter().map(|weight| own_width(weight, listed, &hidden)).collect();
    let distinct: BTreeSet<_> = known.iter().copied().flatten().collect();
    let common = distinct.first().copied().filter(|_| distinct.len() == 1);
    for (weight, own) in weights.iter_mut().zip(known) {
        let is_possible = |pair: &(u64, u64)| possible(weight, listed).contains(pair);
        if let Some((bits, group)) = own.or(common).filter(is_possible) {
            (weight.settings.bits, weight.settings.group) = (Some(bits), Some(group));
        }
    }
}

/// Elements of the hidden states, by the name of the stack of blocks, where all norms and writers agree.
fn hidden_widths<'a>(listed: &[Listed<'a>]) -> BTreeMap<&'a str, Option<u64>> {
    let mut widths = BTreeMap::new();
    for tensor in listed {
        let Some((stack, module)) = tensor.name.strip_suffix(".weight").and_then(place) else { continue };
        let length = match *tensor.shape {
            [length] if NORMS.contains(&module) && tensor.stored.is_wide_float() => length,
            [.., rows, _] if WRITERS.contains(&module) => rows,
            _ => continue,
        };
        let width = widths.entry(stack).or_insert(Some(length));
        *width = width.filter(|&width| width == length);
    }
    widths
}

/// The stack of blocks that a module is in, and its own name: `model.layers` and `q_proj` of
/// `model.layers.0.self_attn.q_proj`.
fn place(module: &str) -> Option<(&str, &str)> {
    let own = module.rsplit('.').next()?;
    let mut end = 0;
    for part in module.split('.') {
        if end > 0 && part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some((&module[..end - 1], own));
        }
        end += part.len() + 1;
    }
    None
}

/// Bits and group of a weight whose columns are known.
fn own_width(weight: &PackedWeight, listed: &[Listed], hidden: &BTreeMap<&str, Option<u64>>) -> Option<(u64, u64)> {
    let (stack, module) = place(weight.name.strip_suffix(".weight")?)?;
    let columns = hidden.get(stack).copied().flatten().filter(|_| READERS.contains(&module))?;
    let groups = row(weight, listed, Role::Scales)?;
    possible(weight, listed).into_iter().find(|&(_, group)| groups.checked_mul(group) == Some(columns))
}

/// What the bits and group of a weight may be; nothing where the configuration states one or its scheme is another.
fn possible(weight: &PackedWeight, listed: &[Listed]) -> Vec<(u64, u64)> {
    let is_open = weight.settings.bits.is_none() && weight.settings.group.is_none();
    let is_affine = weight.members.iter().any(|(role, _)| *role == Role::Biases);
    if weight.scheme != Scheme::Mlx || !is_open || !is_affine {
        return Vec::new();
    }
    let rows = row(weight, listed, Role::Codes).zip(row(weight, listed, Role::Scales));
    rows.map(|(words, groups)| candidates(words, groups)).unwrap_or_default()
}

/// The length of the rows of a part of a weight.
fn row(weight: &PackedWeight, listed: &[Listed], role: Role) -> Option<u64> {
    let (_, at) = weight.members.iter().find(|(found, _)| *found == role)?;
    listed[*at].shape.last().copied()
}
