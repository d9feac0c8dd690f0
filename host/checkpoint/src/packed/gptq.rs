//! GPTQ: `qweight`, `qzeros`, `scales`, `g_idx`.
//!
//! `qweight` is `[inputs * bits / 32, outputs]`: a little-endian stream of codes down each column, so that codes of 3
//! bits cross words. The value is `(code - zero) * scale[g_idx[input], output]`, exact for 16-bit scales. Zero points
//! lie in a stream along the outputs; files of version 1 store them one lower, modulo 2^bits, files of version 2 as
//! they are. Which version it is the configuration says; without one, zero points in the middle of their range everywhere
//! do, and other zero points are read as version 1, as AutoGPTQ and GPTQModel read files whose configuration has no
//! `checkpoint_format`. Group numbers that are all 0 mean groups in order, as exllama's kernels read them (GPTQModel,
//! `nn_modules/qlinear/exllamav2.py`). Files in planes (`gptq_p`) split codes into fields of 4, 2 and 1 bits. The weight is `[outputs, inputs]`.

use super::columns::{Columns, Packing};
use super::component::Component;
use super::fault::PackedFault;
use super::groups::grouping;
use super::members::{Members, Role};
use super::settings::{Settings, contradiction};
use super::{Engine, PackedTensor, Stored};

const SCHEME: &str = "gptq";

/// What zero points that are not symmetric are read as without a configuration.
const VERSION_1: &str = "zero points of version 1";

/// Opens a weight.
///
/// # Errors
///
/// If tensors are missing or do not go together, or contradict the configuration.
pub fn open(members: &Members, settings: &Settings) -> Result<PackedTensor, PackedFault> {
    let weight = members.weight();
    let codes = members.need(Role::Codes, "qweight")?;
    let scales = members.need(Role::Scales, "scales")?;
    let zeros = members.get(Role::Zeros);
    let &[rows, outputs] = &codes.shape[..] else { return Err(codes.wrong_dimensions("two")) };
    let &[groups, scale_outputs] = &scales.shape[..] else { return Err(scales.wrong_dimensions("two")) };
    if scale_outputs != outputs {
        return Err(scales.wrong_shape(&[groups, outputs]));
    }
    let packing = packing(members, settings)?;
    let bits = bits(members, settings, packing, &Sizes { rows, outputs, groups })?;
    let inputs = stated_inputs(members).unwrap_or(rows * 32 / bits);
    if (inputs * bits).div_ceil(32) != rows {
        return Err(codes.wrong_shape(&[(inputs * bits).div_ceil(32), outputs]));
    }
    if let Some(zeros) = zeros {
        zeros.expect_shape(&[groups, (outputs * bits).div_ceil(32)])?;
    }
    let numbers = members.group_numbers(inputs, groups)?;
    let numbers = numbers.filter(|numbers| numbers.iter().any(|&number| number > 0));
    let (group, numbers) = grouping(weight, settings, numbers, inputs, groups)?;
    let mut columns = Columns {
        codes: codes.clone(),
        packing,
        bits,
        outputs,
        inputs,
        scales: scales.clone(),
        zeros: zeros.cloned(),
        zero_offset: 0,
        group,
        groups: numbers,
    };
    let (zero_offset, assumed) = zero_offset(settings, &columns)?;
    columns.zero_offset = zero_offset;
    Ok(PackedTensor {
        shape: vec![outputs, inputs],
        stored: Stored { scheme: SCHEME, bits, group: (group < inputs).then_some(group), assumed },
        engine: Engine::Columns(Box::new(columns)),
    })
}

/// How codes are packed.
fn packing(members: &Members, settings: &Settings) -> Result<Packing, PackedFault> {
    match settings.layout() {
        Some("gptq_p") => Ok(Packing::Planes),
        None | Some("gptq" | "auto_gptq" | "gptq_v2") => Ok(Packing::Stream),
        Some(other) => Err(members.layout(other)),
    }
}

/// What is added to stored zero points, and what is assumed for it.
fn zero_offset(settings: &Settings, columns: &Columns) -> Result<(u32, Option<&'static str>), PackedFault> {
    match settings.layout() {
        Some("gptq_v2" | "gptq_p") => return Ok((0, None)),
        Some(_) => return Ok((1, None)),
        // The configuration of version 2 states it.
        None if settings.method.is_some() || columns.zeros.is_none() => return Ok((1, None)),
        None => {}
    }
    // Symmetric codes have the middle of their range as zero point everywhere; version 1 stores one less.
    let middle = 1 << (columns.bits - 1);
    match columns.common_zero()? {
        Some(zero) if zero == middle => Ok((0, None)),
        Some(zero) if zero + 1 == middle => Ok((1, None)),
        _ => Ok((1, Some(VERSION_1))),
    }
}

/// Inputs, by the group numbers.
fn stated_inputs(members: &Members) -> Option<u64> {
    members.get(Role::Groups).map(Component::count).filter(|&inputs| inputs > 0)
}

/// Lengths of the tensors.
struct Sizes {
    /// Rows of words.
    rows: u64,
    outputs: u64,
    groups: u64,
}

/// Bits of a code: the only number that goes with the words, the zero points, the group numbers and the configuration.
fn bits(members: &Members, settings: &Settings, packing: Packing, sizes: &Sizes) -> Result<u64, PackedFault> {
    let &Sizes { rows, outputs, groups } = sizes;
    let known: &[u64] = if packing == Packing::Planes { &[2, 3, 4, 5, 6, 7, 8] } else { &[2, 3, 4, 8] };
    let inputs = stated_inputs(members);
    let zero_words = members.get(Role::Zeros).and_then(|zeros| zeros.shape.last().copied());
    let fits = |&bits: &u64| {
        let rows_fit = match inputs {
            Some(inputs) => inputs.saturating_mul(bits).div_ceil(32) == rows,
            None => (rows * 32).is_multiple_of(bits),
        };
        rows_fit && zero_words.is_none_or(|words| (outputs * bits).div_ceil(32) == words)
    };
    let mut possible: Vec<u64> = known.iter().copied().filter(fits).collect();
    // Writers fill words of zero points: none pads as many outputs as make whole words of 4 bits.
    let filled = |bits: &u64| zero_words.is_some_and(|words| outputs * bits == words * 32);
    if settings.bits.is_none() && outputs.is_multiple_of(8) && possible.iter().any(filled) {
        possible.retain(filled);
    }
    match (settings.bits, &possible[..]) {
        (Some(stated), possible) if possible.contains(&stated) => Ok(stated),
        (Some(stated), [found, ..]) => {
            Err(contradiction(members.weight(), "bits", &stated.to_string(), &found.to_string()))
        }
        (None, [only]) => Ok(*only),
        (_, []) => Err(no_bits(members, settings, sizes, known)),
        (None, several) => {
            let group = |bits: u64| (rows * 32 / bits).div_ceil(groups);
            Err(PackedFault::Ambiguous {
                weight: members.weight().to_owned(),
                candidates: several.iter().map(|&bits| (bits, group(bits))).collect(),
            })
        }
    }
}

/// A fault: no number of bits goes with all tensors. Where one goes with all but the group numbers, these are wrong.
fn no_bits(members: &Members, settings: &Settings, sizes: &Sizes, known: &[u64]) -> PackedFault {
    let &Sizes { rows, outputs, .. } = sizes;
    let zero_words = members.get(Role::Zeros).and_then(|zeros| zeros.shape.last().copied());
    let fits = |bits: u64| zero_words.is_none_or(|words| (outputs * bits).div_ceil(32) == words);
    let bits = settings.bits.or_else(|| zero_words.map(|words| words * 32 / outputs));
    let bits = bits.filter(|bits| known.contains(bits) && fits(*bits) && (rows * 32).is_multiple_of(*bits));
    match (bits, members.get(Role::Groups), stated_inputs(members)) {
        (Some(bits), Some(numbers), _) => numbers.wrong_shape(&[rows * 32 / bits]),
        (_, _, Some(inputs)) => members.bits(SCHEME, rows * 32 / inputs),
        _ => members.bits(SCHEME, zero_words.unwrap_or(0) * 32 / outputs),
    }
}
