//! What a run leaves behind: the exact content of `run.json`, schema 1, as Rust types.
//!
//! Field names, nesting and order are the file's. A statistic that is undefined (the kurtosis of a constant tensor, the
//! minimum of a tensor of NaNs) is `None` here and `null` in the file, never 0 and never NaN. Readers should ignore
//! fields that they do not know: fields may be added within a schema, never removed or redefined.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use kurtoscope_checkpoint::model::{Component, Family};

pub use crate::scheme_key::{SchemeKey, TensorScheme, UnknownScheme};
pub use kurtoscope_checkpoint::Unmeasured;

/// The schema that this version writes and the only one that it reads.
pub const SCHEMA: u32 = 1;

/// Pearson kurtosis above which a tensor is called heavy-tailed. A convention, not a test: a Laplace distribution has 6, a
/// Student t with five degrees of freedom 9.
pub const HEAVY_KURTOSIS: f64 = 10.0;

/// Stacks of more experts than this have brief records of them, and reports list the heaviest expert alone.
pub(crate) const LARGE_STACK: usize = 8;

/// One model, measured once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What wrote the file.
    pub tool: Tool,
    /// What was measured.
    pub model: Model,
    /// What measured it; the first where several devices shared the run.
    pub device: Device,
    /// Every device that took part, with its share of the work.
    pub devices: Vec<DeviceShare>,
    /// When the run began: RFC 3339, UTC.
    pub started: String,
    /// Wall-clock seconds of the run, the checkpoint and the devices being open: planning, measuring the links, all chunks.
    pub seconds: f64,
    /// Bytes of tensor data measured, each once.
    pub bytes: u64,
    /// How many of `bytes` were measured by earlier runs, which a journal kept; not in the file where there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resumed_bytes: u64,
    /// One record a tensor in the checkpoint's order; the parts of a fused tensor, and the experts of a stack, follow it.
    pub tensors: Vec<Tensor>,
    /// Tensors that could not be measured, and why.
    #[serde(default)]
    pub unmeasured: Vec<Unmeasured>,
    /// What a reader must know of the checkpoint's files, in sentences that name files and tensors: weights beside them that
    /// are no part of the model, tensors of which several shards hold a copy, integers that were rounded; not in the file where
    /// there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Statistics that were asked for and that not every device measures, so that no record has them; not in the file where
    /// there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_statistics: Vec<MissingStatistics>,
}

/// What a device does not measure, or measures in another form than this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingStatistics {
    /// The device's URL.
    pub device: String,
    /// The names of the statistics.
    pub statistics: Vec<String>,
}

/// Name and version of the program that wrote a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `kurtoscope`.
    pub name: String,
    /// Its version, `MAJOR.MINOR.PATCH`.
    pub version: String,
}

/// The checkpoint that a run measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// As the user named it.
    pub source: String,
    /// The commit of the hub's repository that the files are from; not in the file for local models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// `safetensors`, …
    pub format: String,
    /// Recognised from `config.json` and the tensors' names.
    pub family: Family,
    /// `config.json` as found, of an adapter `adapter_config.json`; null where there was none.
    pub config: Option<serde_json::Value>,
    /// Elements of all parameters, tied ones counted once, buffers left out.
    pub parameters: u64,
    /// 128-bit hash of names, shapes, types and samples of the data, in hexadecimal.
    pub fingerprint: String,
    /// The data was made up by `kurtoscope demo`; no report may present it as a real model's.
    #[serde(default)]
    pub synthetic: bool,
}

impl Run {
    /// Whether this is an adapter: it says so, or all of its matrices but embeddings and heads are an adapter's.
    pub fn is_adapter(&self) -> bool {
        if self.adapter_setting("peft_type").is_some() {
            return true;
        }
        let parameters = self.tensors.iter().filter(|tensor| tensor.role == Role::Parameter);
        let is_saved_whole = |tensor: &&Tensor| {
            !tensor.is_matrix()
                || matches!(tensor.component, Component::Embedding | Component::Head | Component::Classifier)
        };
        let mut others = parameters.filter(|tensor| !is_saved_whole(tensor)).peekable();
        others.peek().is_some() && others.all(|tensor| tensor.component == Component::Adapter)
    }

    /// The model that an adapter says it changes.
    pub fn adapted_model(&self) -> Option<&str> {
        self.adapter_setting("base_model_name_or_path").filter(|name| !name.is_empty())
    }

    fn adapter_setting(&self, key: &str) -> Option<&str> {
        self.model.config.as_ref()?.get(key)?.as_str()
    }
}

/// A device as it introduced itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// As the user named it: `local`, `pty:`, `serial:/dev/ttyACM0?baud=921600`, …
    pub url: String,
    /// The board's name.
    pub board: String,
    /// The firmware's version.
    pub firmware: String,
    /// The engine that computed: `cpu`, `gpu`.
    pub engine: String,
    /// The graphics adapter; null where the CPU computed.
    pub adapter: Option<Adapter>,
    /// How the device proved itself.
    pub self_test: SelfTest,
}

/// A graphics adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// The driver's name for it.
    pub name: String,
    /// `vulkan`, `metal`, …
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: String,
}

/// The outcome of a device's known-answer test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// Whether every answer was within the engine's stated tolerance.
    pub passed: bool,
    /// The largest relative error over all answers; null where an answer was not a number.
    pub max_relative_error: Option<f64>,
    /// The relative error that the engine states as its accuracy; null in files of versions that did not record it.
    #[serde(default)]
    pub tolerance: Option<f64>,
}

/// What one of a run's devices did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceShare {
    /// The device.
    #[serde(flatten)]
    pub device: Device,
    /// Chunks whose reports were used.
    pub chunks: u64,
    /// Payload bytes of those chunks.
    pub bytes: u64,
    /// Chunks sent again after a time-out or a damaged frame.
    pub resent: u64,
    /// Frames that arrived damaged, counted at both ends.
    pub damaged: u64,
    /// Intact frames that the device could not use, such as those of a session that it had forgotten.
    #[serde(default)]
    pub dropped: u64,
    /// How often the link was lost and found again.
    #[serde(default)]
    pub reconnects: u64,
    /// Bytes of payload as they crossed the link in this run: fewer than measured where chunks were compressed, more
    /// where many were sent again; 0 where there is no link.
    #[serde(default)]
    pub sent_bytes: u64,
    /// How many of `bytes` it measured in earlier runs, which a journal kept; not in the file where there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resumed_bytes: u64,
    /// Seconds from the beginning of this run to its last report in it; 0 where it had none.
    #[serde(default)]
    pub seconds: f64,
}

impl DeviceShare {
    /// Bytes a second in this run; `None` where it measured nothing in it.
    pub fn rate(&self) -> Option<f64> {
        let bytes = self.bytes.checked_sub(self.resumed_bytes).filter(|bytes| *bytes > 0)?;
        (self.seconds > 0.0).then(|| bytes as f64 / self.seconds)
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a tensor of the checkpoint is to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A trained parameter.
    Parameter,
    /// A constant that the file happens to hold (mask, position ids, rotary frequencies, integers that nothing explains):
    /// recorded, never ranked.
    Buffer,
    /// A part of a fused parameter (the q, k or v of a fused projection, an expert of a stack): `of` names the whole. Of a stack of
    /// more than 8 experts, views hold the farthest weight alone and the quantization errors of one scale a tensor.
    View,
    /// The same data as the tensor that `of` names: not measured twice, not counted twice.
    Tied,
    /// It describes quantized weights and is none itself (scales, zero points, group numbers, shapes): listed without
    /// statistics, `count` being 0, never ranked. Such tensors follow all others.
    Quantization,
}

/// How a quantized weight is stored, where its codes and scales are several tensors of the checkpoint; the statistics are
/// those of the numbers that the model multiplies with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stored {
    /// The scheme: `gptq`, `awq`, `compressed-tensors`, `bitsandbytes-nf4`, `fp8`, `mxfp4`, `nvfp4`, `mlx`, `matmul-nbits`,
    /// `onnx-linear`, ….
    pub scheme: String,
    /// Bits of a code.
    pub bits: u64,
    /// Neighbouring elements of a row that share a scale; not in the file where a row, a tile or the whole tensor does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u64>,
    /// What neither the configuration nor the tensors state and was read as the scheme's tools read it; not in the file where
    /// nothing was assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assumed: Option<String>,
}

/// The measurements of one tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// The checkpoint's name for it; a view's is the whole's with the part behind: `[q]`, `[k]`, `[v]`, `[gate]`, `[up]`, the
    /// number of an expert in a stack, `[3]`, or both, `[3][up]`.
    pub name: String,
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<u64>,
    /// The stored element type: `f32`, `bf16`, …; scheme and bits of a quantized weight: `gptq 4 bits`.
    pub dtype: String,
    /// Its place in the network, by the names of [`Component`]: `attention_query`, `attention_key_value`, `mlp_gate_up`, `router`,
    /// `state_space`, `convolution`, `adapter`, …, and `other` where the name says nothing.
    pub component: Component,
    /// The layer that it belongs to, counted from 0 in its tower; null outside the layers.
    pub layer: Option<u32>,
    /// The tower that it belongs to where a model has several stacks of layers: `encoder`, `decoder`, `vision`, `audio`,
    /// `multi_token_prediction`, `connector`, …, or the path of a further stack. Null for the main stack, which most models have
    /// alone, and outside all towers.
    #[serde(default)]
    pub tower: Option<String>,
    /// What it is to the model.
    pub role: Role,
    /// For views and tied tensors: the tensor that holds the data.
    pub of: Option<String>,
    /// The parameter's name in the model that was exported, by the nodes of the file's graph, where the file's own name for the
    /// tensor does not say it (`onnx::MatMul_208`); not in the file otherwise. Component and layer follow from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The dimension along which outputs run, where the file's graph says it: 1 for a matrix stored `[inputs, outputs]`. Not
    /// in the file otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_axis: Option<usize>,
    /// How it is quantized; not in the file for weights that are stored as numbers or in blocks of a file's own type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
    /// Whether it is several matrices in one and their places are not known: its figures are those of a mixture, in which
    /// the tail of one matrix may not show. Not in the file where that is not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parts_unknown: bool,
    /// Finite elements.
    pub count: u64,
    /// Mean.
    pub mean: Option<f64>,
    /// Population variance.
    pub variance: Option<f64>,
    /// Population skewness.
    pub skewness: Option<f64>,
    /// Pearson's population kurtosis: 3 for a normal distribution.
    pub kurtosis: Option<f64>,
    /// `kurtosis` minus 3.
    pub excess_kurtosis: Option<f64>,
    /// Smallest finite element.
    pub min: Option<f64>,
    /// Largest finite element.
    pub max: Option<f64>,
    /// NaN and infinite elements, left out of everything above.
    pub non_finite: u64,
    /// Elements equal to zero.
    pub zeros: u64,
    /// The elements farthest from the mean, farthest first.
    pub top: Vec<Outlier>,
    /// Kurtosis (Pearson) with the 1, 4 and 16 farthest elements left out; null where that cannot be resolved.
    pub kurtosis_without_top: WithoutTop,
    /// Quantiles of |x| over the finite elements; keys `0.5`, `0.9`, `0.99`, `0.999`, `0.9999`.
    pub quantiles: BTreeMap<String, f64>,
    /// How the fourth powers are concentrated; null where that was not measured, or is not defined.
    #[serde(default)]
    pub concentration: Option<Concentration>,
    /// Squares and int4 errors by column; not in the file unless a caller of the library asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column_errors: Option<ColumnErrors>,
    /// Error of quantizing the tensor, by the key of the scheme ([`SchemeKey`]): predicted for one scale a tensor, measured for
    /// blocks. A scheme that was not measured has no entry; keys of other versions are kept.
    pub quantization: BTreeMap<String, QuantizationError>,
}

impl Tensor {
    /// Its layer in words: `layer 3`, `vision layer 3`; `None` outside the layers.
    pub fn layer_in_words(&self) -> Option<String> {
        let layer = self.layer?;
        Some(self.tower.as_ref().map_or_else(|| format!("layer {layer}"), |tower| format!("{tower} layer {layer}")))
    }

    /// Whether at least two dimensions are longer than 1.
    pub fn is_matrix(&self) -> bool {
        self.shape.iter().filter(|length| **length > 1).count() >= 2
    }

    /// The error of one scheme; `None` where it was not measured.
    pub fn quantization_error(&self, scheme: impl Into<SchemeKey>) -> Option<&QuantizationError> {
        self.quantization.get(scheme.into().key())
    }

    /// Whether its kurtosis is above [`HEAVY_KURTOSIS`]; false where the kurtosis is undefined. Where
    /// [its parts are not known](Self::parts_unknown), false says nothing about them.
    pub fn is_heavy(&self) -> bool {
        self.kurtosis > Some(HEAVY_KURTOSIS)
    }
}

/// Sums by column, in order: as many of each as a row has elements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnErrors {
    /// `Σx²`; null where a sum left the range of its numbers.
    pub squares: Vec<Option<f64>>,
    /// `Σ(x - q(x))²` of int4 with a scale for 32 elements of a row; null likewise.
    pub int4_g32: Vec<Option<f64>>,
}

/// How much of a tensor's fourth powers, `Σx⁴`, few rows or columns carry. A row is what one output channel or one run of
/// trailing dimensions takes; see [`row_length`](kurtoscope_checkpoint::model::row_length).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Concentration {
    /// The share of the heaviest hundredth of the rows (at least one row), 0 to 1; 0.01 where all weigh the same.
    pub rows: f64,
    /// The share of the heaviest hundredth of the columns.
    pub columns: f64,
    /// Number of rows.
    pub row_count: u64,
    /// Number of columns: elements in a row.
    pub column_count: u64,
}

/// One of the elements farthest from the mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outlier {
    /// Where it stands in the tensor, one number a dimension.
    pub index: Vec<u64>,
    /// Its value.
    pub value: f64,
    /// Distance from the mean in standard deviations, with its sign; null where the deviation is zero.
    pub z: Option<f64>,
}

/// Kurtosis with the farthest elements left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct WithoutTop {
    /// Without the farthest.
    #[serde(rename = "1")]
    pub one: Option<f64>,
    /// Without the 4 farthest.
    #[serde(rename = "4")]
    pub four: Option<f64>,
    /// Without the 16 farthest.
    #[serde(rename = "16")]
    pub sixteen: Option<f64>,
}

/// What a quantization scheme does to a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QuantizationError {
    /// Signal to quantization noise, decibels: `10 log10(Σx² / Σ(x - q(x))²)`; null where there is no noise or no signal.
    pub sqnr_db: Option<f64>,
    /// `Σ(x - q(x))² / Σx²`; null where there is no signal.
    pub relative_mse: Option<f64>,
    /// Computed from the magnitude histogram instead of from the elements.
    pub predicted: bool,
    /// The share of the elements that were quantized, each with its block's own scale; not in the file where it is all of
    /// them, or where the error is predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The magnitude beyond which elements are clipped; not in the file for schemes that clip nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
}

impl QuantizationError {
    /// No signal, or nothing measured.
    pub const UNDEFINED: Self = Self { sqnr_db: None, relative_mse: None, predicted: false, share: None, clip: None };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn adapters_are_recognised_by_their_configuration_or_their_tensors() {
        let mut run = fixture::adapter();
        assert!(run.is_adapter() && run.adapted_model() == Some("some/model"));
        run.model.config = None;
        assert!(run.is_adapter() && run.adapted_model().is_none());
        // Adapters may hold retrained embeddings and heads as a whole; with blocks it is a model that has one.
        run.tensors[1].component = Component::Head;
        assert!(run.is_adapter());
        run.tensors[1].component = Component::MlpUp;
        assert!(!run.is_adapter());
        assert!(!fixture::clean().is_adapter() && !fixture::full().is_adapter());
    }
}
