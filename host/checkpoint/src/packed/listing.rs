//! What a checkpoint's tensors are to quantization: the list that is handed in, and what is recognised in it.

use super::component::StoredType;
use super::members::Role;
use super::settings::Settings;

/// A tensor of the checkpoint.
#[derive(Debug, Clone)]
pub struct Listed<'a> {
    /// Its name.
    pub name: &'a str,
    /// The type of its elements.
    pub stored: StoredType,
    /// Its dimensions, outermost first.
    pub shape: &'a [u64],
}

/// A way to store weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// See [`gptq`](super::gptq).
    Gptq,
    /// See [`awq`](super::awq).
    Awq,
    /// See [`compressed_tensors`](super::compressed_tensors).
    CompressedTensors,
    /// See [`bitsandbytes::open_4bit`](super::bitsandbytes::open_4bit).
    BitsAndBytes4,
    /// See [`bitsandbytes::open_int8`](super::bitsandbytes::open_int8).
    BitsAndBytes8,
    /// See [`fp8`](super::fp8).
    Fp8,
    /// Bytes with scales beside them: integers, read as [`fp8`](super::fp8) is, or with E8M0 scales E2M1 codes.
    Int8,
    /// See [`mxfp4`](super::mxfp4).
    Mxfp4,
    /// See [`nvfp4`](super::nvfp4).
    Nvfp4,
    /// See [`mlx`](super::mlx).
    Mlx,
    /// See [`hqq`](super::hqq).
    Hqq,
    /// See [`torchao`](super::torchao).
    Torchao,
}

/// A weight whose codes and scales are tensors of the checkpoint.
#[derive(Debug, Clone)]
pub struct PackedWeight {
    /// Its name: `STEM.weight`, or the stem of stacked experts.
    pub name: String,
    /// How it is stored.
    pub scheme: Scheme,
    /// Its tensors, by their positions in the list; the codes come first.
    pub members: Vec<(Role, usize)>,
    /// What the configuration says about it.
    pub settings: Settings,
}

/// A tensor of integers that no scheme explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexplained {
    /// Its position in the list.
    pub tensor: usize,
    /// Why it is not measured, in one sentence.
    pub reason: String,
}

/// What the tensors of a checkpoint are, as far as quantization is concerned.
#[derive(Debug, Clone, Default)]
pub struct Recognition {
    /// The packed weights, in the order of their codes in the list.
    pub weights: Vec<PackedWeight>,
    /// Positions of tensors that are scales, zero points and the like, in order.
    pub quantization: Vec<usize>,
    /// Tensors of integers that nothing explains. Buffers are among them where they are integers (`position_ids`):
    /// names tell those, which is not done here.
    pub unexplained: Vec<Unexplained>,
}
