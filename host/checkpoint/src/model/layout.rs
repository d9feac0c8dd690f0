//! How families store fused projections, and along which axis the output channels run.

use serde_json::Value;

use super::component::Component;
use super::config::heads;
use super::family::Family;
use super::path::Path;
use super::pattern;
use super::runs::Runs;

/// The parts of a fused projection, in the order in which every known layout stores them.
const QKV: [(&str, Component); 3] =
    [("q", Component::AttentionQuery), ("k", Component::AttentionKey), ("v", Component::AttentionValue)];

/// One part of a fused tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `q`, `k` or `v`.
    pub suffix: &'static str,
    /// What the part is: a projection, or [`Component::Bias`] for a part of a bias.
    pub component: Component,
    /// The part's own dimensions.
    pub shape: Vec<u64>,
    /// Where its elements are in the fused tensor.
    pub runs: Runs,
}

/// The q, k and v in a fused projection's weight or bias.
///
/// - GPT-2 stores `[in, 3 * out]`: three blocks of columns.
/// - BLOOM and GPT-NeoX store `[heads * 3 * head_dim, in]`: for each head its rows of q, of k and of v.
/// - GGUF files of all three, which call it `attn_qkv`, store `[3 * out, in]`: three blocks of rows.
/// - Flax, which calls a weight `kernel`, stores that of GPT-2 `[3 * out, in]` too, and other families not as they do above.
///
/// Empty where the tensor is not fused, where the layout is not known (another family, or the number of heads is not in
/// the configuration) and where the shape does not divide. Otherwise the parts hold every element exactly once.
pub fn parts(family: Family, component: Component, name: &str, shape: &[u64], config: Option<&Value>) -> Vec<Part> {
    let has_rows = Path::new(name).last() == "attn_qkv";
    split(family, component, name, shape, config, has_rows)
}

/// [`parts`] of a quantized weight, which has its outputs along the rows in every family: GPT-2's is `[3 * out, in]`.
pub fn parts_of_quantized(
    family: Family,
    component: Component,
    name: &str,
    shape: &[u64],
    config: Option<&Value>,
) -> Vec<Part> {
    split(family, component, name, shape, config, family == Family::Gpt2)
}

/// The parts; `has_rows` says that they are three blocks of rows, whatever the family's own order is.
fn split(
    family: Family,
    component: Component,
    name: &str,
    shape: &[u64],
    config: Option<&Value>,
    has_rows: bool,
) -> Vec<Part> {
    let is_bias = match component {
        Component::AttentionQkv => false,
        Component::Bias => pattern::component(&Path::new(name)) == Component::AttentionQkv,
        _ => return Vec::new(),
    };
    let fused = match (is_bias, shape) {
        (false, &[_, _]) | (true, &[_]) => match family {
            Family::Gpt2 | Family::Bloom | Family::GptNeox if has_rows => Fused::rows(shape),
            Family::Gpt2 if is_kernel(name) => Fused::rows(shape),
            _ if is_kernel(name) => None,
            Family::Gpt2 => Fused::columns(shape),
            Family::Bloom | Family::GptNeox => heads(config).and_then(|heads| Fused::heads(shape, heads)),
            _ => None,
        },
        _ => None,
    };
    let Some(fused) = fused else { return Vec::new() };
    let part = |(i, (suffix, component)): (u64, (&'static str, Component))| Part {
        suffix,
        component: if is_bias { Component::Bias } else { component },
        shape: fused.shape.clone(),
        runs: Runs { start: i * fused.length, length: fused.length, stride: fused.stride, count: fused.count },
    };
    (0..).zip(QKV).map(part).collect()
}

/// A division into three parts of equal shape, the runs of which take turns.
struct Fused {
    shape: Vec<u64>,
    length: u64,
    stride: u64,
    count: u64,
}

impl Fused {
    /// Three blocks of columns in `[in, 3 * out]`, or three thirds of a bias.
    ///
    /// The blocks must be square: in `[3 * out, in]`, which some relatives of GPT-2 store, columns mean something else.
    fn columns(shape: &[u64]) -> Option<Self> {
        let (rows, columns) = match *shape {
            [rows, columns] if rows.checked_mul(3) == Some(columns) => (rows, columns),
            [columns] => (1, columns),
            _ => return None,
        };
        let part = if shape.len() == 2 { vec![rows, columns / 3] } else { vec![columns / 3] };
        Self::new(part, columns, rows)
    }

    /// Three blocks of rows in `[3 * out, in]`, or three thirds of a bias.
    ///
    /// The blocks must be square, as in [`columns`](Self::columns): where heads share keys, the parts differ in size.
    fn rows(shape: &[u64]) -> Option<Self> {
        let (rows, width) = match *shape {
            [rows, width] if width.checked_mul(3) == Some(rows) => (rows, width),
            [rows] => (rows, 1),
            _ => return None,
        };
        let part = if shape.len() == 2 { vec![rows / 3, width] } else { vec![rows / 3] };
        Self::new(part, rows.checked_mul(width)?, 1)
    }

    /// For each head three blocks of rows in `[heads * 3 * head_dim, in]`, or of elements of a bias.
    fn heads(shape: &[u64], heads: u64) -> Option<Self> {
        let (rows, width) = match *shape {
            [rows, width] => (rows, width),
            [rows] => (rows, 1),
            _ => return None,
        };
        if rows % heads.checked_mul(3)? != 0 {
            return None;
        }
        let part = if shape.len() == 2 { vec![rows / 3, width] } else { vec![rows / 3] };
        Self::new(part, (rows / heads).checked_mul(width)?, heads)
    }

    /// `count` times `period` elements, of which each part has a third.
    fn new(shape: Vec<u64>, period: u64, count: u64) -> Option<Self> {
        period.checked_mul(count).filter(|&elements| elements > 0)?;
        period.is_multiple_of(3).then_some(Self { shape, length: period / 3, stride: period, count })
    }
}

/// The axis of a projection's weight along which its output channels run; `None` for anything but projections.
///
/// GPT-2 stores its projections (`c_attn`, `c_proj`, `c_fc`) `[in, out]`, everyone else `[out, in]`, GGUF files of GPT-2
/// included. Flax stores kernels the other way round: `[in, out]`, those of GPT-2 `[out, in]` (`FlaxConv1D` in Hugging Face's
/// transformers).
pub fn output_axis(family: Family, component: Component, name: &str) -> Option<usize> {
    match component {
        Component::AttentionQuery
        | Component::AttentionKey
        | Component::AttentionValue
        | Component::AttentionQkv
        | Component::AttentionOutput
        | Component::MlpGate
        | Component::MlpUp
        | Component::MlpDown => {
            let transposed = family == Family::Gpt2 && Path::new(name).last().starts_with("c_");
            Some(usize::from(transposed != is_kernel(name)))
        }
        Component::Head => Some(usize::from(is_kernel(name))),
        _ => None,
    }
}

/// Whether a tensor is a projection's weight as Flax stores it.
fn is_kernel(name: &str) -> bool {
    Path::new(name).leaf == "kernel"
}

/// The fewest elements of a row: the smallest block of any quantization scheme.
const SHORTEST_ROW: u64 = 32;

/// Elements in a row, along which a tensor is quantized in blocks: the last dimension, with those before it as far as a block
/// of 32 needs them (the kernels of a convolution), but never the first. `None` for tensors of one dimension, and where
/// even all dimensions but the first hold no block.
pub fn row_length(shape: &[u64]) -> Option<u64> {
    let (_, trailing) = shape.split_first()?;
    let mut row = 1u64;
    for dimension in trailing.iter().rev() {
        row = row.checked_mul(*dimension)?;
        if row >= SHORTEST_ROW {
            return Some(row);
        }
    }
    None
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
