//! How families store fused projections and stacks of experts, and along which axis the output channels run.
//!
//! What is known about each family is data: [`attention`] for queries, keys and values, [`gate_up`] for the two projections
//! that widen a feed-forward block, [`experts`] for stacks. Where neither a rule nor the configuration tells, nothing is
//! divided.

mod attention;
mod experts;
mod gate_up;
mod turns;

use serde_json::Value;

use super::component::Component;
use super::config::Configuration;
use super::family::Family;
use super::path::Path;
use super::pattern;
use super::runs::Runs;
use turns::{Axis, Matrix, Turns};

/// A stored tensor, as far as its layout depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Projection<'a> {
    /// The model's family.
    pub family: Family,
    /// Its place in the network.
    pub component: Component,
    /// The checkpoint's name for it.
    pub name: &'a str,
    /// Dimensions, outermost first.
    pub shape: &'a [u64],
    /// The model's `config.json`.
    pub config: Option<&'a Value>,
    /// The axis of its outputs, where the file tells: a quantized weight has them along its rows in every family (GPT-2's is
    /// `[3 * out, in]`), and the nodes of a graph that read a weight show it.
    pub stated_axis: Option<usize>,
}

/// One of the matrices in a stored tensor, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What stands behind the tensor's name in the part's: `[q]`, `[gate]`, `[3]` for an expert, `[3][up]`.
    pub label: String,
    /// What the part is: a projection, or [`Component::Bias`] for a part of a bias.
    pub component: Component,
    /// The part's own dimensions.
    pub shape: Vec<u64>,
    /// Where its elements are in the stored tensor.
    pub runs: Runs,
    /// Whether it still holds several matrices, because which elements are whose is not known.
    pub is_mixture: bool,
}

/// Parts that hold every element of a stored tensor exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The parts, those of one matrix next to each other.
    pub parts: Vec<Part>,
    /// How many parts make up a matrix.
    pub per_matrix: usize,
    /// The shape of each matrix: the tensor's own, or that of one expert.
    pub matrix: Vec<u64>,
}

/// What a stored tensor is made up of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Division {
    /// One thing.
    Single,
    /// Parts.
    Parts(Parts),
    /// Several matrices, and which elements are whose is not known.
    Unknown,
}

impl Projection<'_> {
    /// What the tensor is made up of: the queries, keys and values of a fused projection, the gate and the first projection
    /// of a feed-forward block, the experts of a stack, and parts of biases likewise.
    ///
    /// Without a configuration nothing is divided but what no configuration changes: GPT-2's projections, `in_proj_weight` of
    /// PyTorch's attention, GGUF's tensors of GPT-2, BLOOM and GPT-NeoX, stacks of experts. Flax, which calls a weight
    /// `kernel`, stores that of GPT-2 `[3 * out, in]`, and other families in orders that are not known here.
    pub fn division(&self) -> Division {
        if self.is_bias() {
            return self.bias().map_or(Division::Single, |parts| self.one_matrix(parts));
        }
        if experts::is_stack(self) {
            return self.stack();
        }
        let &[rows, columns] = self.shape else { return Division::Single };
        let is_key_value = self.component == Component::AttentionKeyValue && attention::holds_keys_and_values(self);
        let parts = if self.component == Component::AttentionQkv || is_key_value {
            self.attention()
        } else {
            let axis = self.matrix_axis();
            match self.gate_up(self.outputs()) {
                gate_up::Known::Single => return Division::Single,
                gate_up::Known::Fused(order) => self.in_turns(order.turns(self.shape[axis.number()]), axis),
                gate_up::Known::Unordered => None,
            }
        };
        match parts {
            Some(parts) => self.one_matrix(parts),
            // Nothing is mixed where there is nothing.
            None if rows == 0 || columns == 0 => Division::Single,
            None => Division::Unknown,
        }
    }

    /// The axis of a projection's weight along which its output channels run; `None` for anything but projections, and
    /// where nothing tells.
    ///
    /// GPT-2 stores its projections (`c_attn`, `c_proj`, `c_fc`) `[in, out]`, everyone else `[out, in]`, GGUF files of GPT-2
    /// included. Flax stores kernels the other way round: `[in, out]`, those of GPT-2 `[out, in]` (`FlaxConv1D` in Hugging
    /// Face's transformers). A stack of experts has its experts first.
    pub fn output_axis(&self) -> Option<usize> {
        if self.stated_axis.is_some() {
            return self.stated_axis;
        }
        match self.component {
            Component::AttentionQuery
            | Component::AttentionKey
            | Component::AttentionValue
            | Component::AttentionKeyValue
            | Component::AttentionQkv
            | Component::AttentionOutput
            | Component::MlpGate
            | Component::MlpUp
            | Component::MlpGateUp
            | Component::MlpDown => match self.shape.len() {
                3 if experts::is_stack(self) => Some(1 + experts::output_axis(self, &self.configuration())?.number()),
                _ => Some(self.matrix_axis().number()),
            },
            Component::Head => Some(usize::from(is_kernel(self.name))),
            _ => None,
        }
    }

    /// The axis of outputs in a weight of two dimensions.
    fn matrix_axis(&self) -> Axis {
        if let Some(axis) = self.stated() {
            return axis;
        }
        let is_conv = self.family == Family::Gpt2 && Path::new(self.name).last().starts_with("c_");
        if is_conv != is_kernel(self.name) { Axis::Columns } else { Axis::Rows }
    }

    /// The axis that the file states, of the matrices that the tensor holds.
    fn stated(&self) -> Option<Axis> {
        match self.stated_axis?.checked_sub(self.shape.len().checked_sub(2)?)? {
            0 => Some(Axis::Rows),
            1 => Some(Axis::Columns),
            _ => None,
        }
    }

    /// The module's path with the name of the parameter, where that is more than `weight`, `bias` or `kernel`.
    fn module(&self) -> Vec<&str> {
        let path = Path::new(self.name);
        let mut module = path.module;
        match path.leaf {
            "weight" | "bias" | "kernel" => {}
            leaf => module.push(leaf.strip_suffix("_bias").filter(|_| leaf != "in_proj_bias").unwrap_or(leaf)),
        }
        module
    }

    fn configuration(&self) -> Configuration<'_> {
        Configuration::of(self.config, self.name)
    }

    fn gate_up(&self, outputs: Option<u64>) -> gate_up::Known {
        gate_up::known(self, &self.configuration(), outputs)
    }

    /// The number of outputs, where the axis is known.
    fn outputs(&self) -> Option<u64> {
        match (self.shape, self.is_bias()) {
            (_, true) => self.shape.last().copied(),
            (&[_, _], false) => self.shape.get(self.matrix_axis().number()).copied(),
            (&[_, rows, columns], false) => match experts::output_axis(self, &self.configuration())? {
                Axis::Rows => Some(rows),
                Axis::Columns => Some(columns),
            },
            _ => None,
        }
    }

    fn attention(&self) -> Option<Vec<Part>> {
        // How Flax orders other families than GPT-2 is not known here.
        let is_strange = is_kernel(self.name) && self.family != Family::Gpt2;
        if is_strange || self.shape.len() != if self.is_bias() { 1 } else { 2 } {
            return None;
        }
        let is_gguf = self.stated_axis.is_none() && Path::new(self.name).last() == "attn_qkv";
        let axis = if self.is_bias() || is_gguf { Axis::Rows } else { self.matrix_axis() };
        self.in_turns(attention::turns(self, axis), axis)
    }

    /// Biases of experts have names of their own: `gate_up_proj_bias`.
    fn is_bias(&self) -> bool {
        self.component == Component::Bias || Path::new(self.name).leaf.ends_with("_bias")
    }

    /// The parts of a fused projection's bias. A stack's biases are divided over all experts at once.
    fn bias(&self) -> Option<Vec<Part>> {
        let path = Path::new(self.name);
        let is_qkv = path.leaf == "in_proj_bias" || pattern::component(&path) == Component::AttentionQkv;
        let parts = if is_qkv {
            self.attention()
        } else {
            let gate_up::Known::Fused(order) = self.gate_up(self.outputs()) else { return None };
            let axis = if self.shape.len() == 2 { Axis::Columns } else { Axis::Rows };
            self.in_turns(order.turns(self.outputs()?), axis)
        };
        Some(parts?.into_iter().map(|part| Part { component: Component::Bias, ..part }).collect())
    }

    /// Each expert of a stack, in its parts where it has some.
    fn stack(&self) -> Division {
        let &[count, ref matrix @ ..] = self.shape else { return Division::Single };
        let configuration = self.configuration();
        let elements = matrix.iter().try_fold(1u64, |product, &length| product.checked_mul(length));
        let Some(elements) = elements.filter(|&elements| elements > 0 && elements.checked_mul(count).is_some()) else {
            return Division::Single;
        };
        if count == 0 || count > experts::MOST || experts::is_contradicted(&configuration, count) {
            return Division::Unknown;
        }
        let axis = experts::output_axis(self, &configuration);
        let known = self.gate_up(self.outputs());
        let divided = |expert: u64| {
            let (gate_up::Known::Fused(order), Some(axis)) = (known, axis) else { return None };
            let turns = order.turns(matrix[axis.number()])?;
            turns.of(Matrix { start: expert * elements, shape: matrix }, axis)
        };
        let whole = |expert: u64| Part {
            label: String::new(),
            component: self.component,
            shape: matrix.to_vec(),
            runs: Runs { start: expert * elements, ..Runs::whole(elements) },
            is_mixture: known != gate_up::Known::Single,
        };
        let per_expert = (0..count).map(|expert| {
            let mut parts = divided(expert).unwrap_or_else(|| vec![whole(expert)]);
            parts.iter_mut().for_each(|part| part.label = format!("[{expert}]{}", part.label));
            parts
        });
        let per_expert: Vec<Vec<Part>> = per_expert.collect();
        let per_matrix = per_expert.first().map_or(1, Vec::len);
        Division::Parts(Parts { parts: per_expert.concat(), per_matrix, matrix: matrix.to_vec() })
    }

    /// The whole tensor in turns along one of its axes.
    fn in_turns(&self, turns: Option<Turns>, axis: Axis) -> Option<Vec<Part>> {
        turns?.of(Matrix { start: 0, shape: self.shape }, axis)
    }

    fn one_matrix(&self, parts: Vec<Part>) -> Division {
        Division::Parts(Parts { per_matrix: parts.len(), parts, matrix: self.shape.to_vec() })
    }
}

/// Whether a module's path ends like this.
fn ends_with(module: &[&str], ending: &str) -> bool {
    let mut path = module.iter().rev();
    ending.rsplit('.').all(|part| path.next().is_some_and(|name| *name == part))
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
mod tests;
