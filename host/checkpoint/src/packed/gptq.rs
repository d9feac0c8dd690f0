//! GPTQ: `qweight`, `qzeros`, `scales`, `g_idx`.
//!
//! `qweight` is `[inputs * bits / 32, outputs]`: a little-endian stream of codes down each column, so that codes of 3
//! bits cross words. The value is `(code - zero) * scale[g_idx[input], output]`, exact for 16-bit scales. Zero points
//! lie in a stream along the outputs; files of version 1 store them one lower, modulo 2^bits, files of version 2 as
//! they are. Files in planes (`gptq_p`) split codes into fields of 4, 2 and 1 bits. The weight is `[outputs, inputs]`.

use super::columns::{Columns, Packing};
use super::component::Component;
use super::fault::PackedFault;
use super::members::{Members, Role};
use super::settings::Settings;
use super::{Engine, PackedTensor, Stored};

const SCHEME: &str = "gptq";

/// Opens a weight.
///
/// # Errors
///
/// If tensors are missing or do not go together, or contradict the configuration.
pub fn open(members: &Members, settings: &Settings) -> Result<PackedTensor, PackedFault> {
    let codes = members.need(Role::Codes, "qweight")?;
    let scales = members.need(Role::Scales, "scales")?;
    let zeros = members.get(Role::Zeros);
    let (&[rows, outputs], &[groups, scale_outputs]) = (&codes.shape[..], &scales.shape[..]) else {
        return Err(codes.wrong_shape(&[0, 0]));
    };
    if scale_outputs != outputs || groups == 0 || outputs == 0 {
        return Err(scales.wrong_shape(&[groups.max(1), outputs]));
    }
    if !scales.stored.is_wide_float() {
        return Err(scales.wrong_type("a float of 16 bits or more"));
    }
    let (packing, zero_offset) = variant(members, settings, zeros)?;
    let bits = bits(members, settings, codes, zeros, packing)?;
    let inputs = match members.get(Role::Groups).map(Component::count) {
        Some(inputs) if inputs > 0 => inputs,
        _ => rows * 32 / bits,
    };
    if (inputs * bits).div_ceil(32) != rows {
        return Err(codes.wrong_shape(&[(inputs * bits).div_ceil(32), outputs]));
    }
    if let Some(zeros) = zeros {
        zeros.expect_shape(&[groups, (outputs * bits).div_ceil(32)])?;
    }
    let group = settings.checked_group(members.weight(), inputs, groups)?;
    let columns = Columns {
        codes: codes.clone(),
        packing,
        bits,
        outputs,
        inputs,
        scales: scales.clone(),
        zeros: zeros.cloned(),
        zero_offset,
        group,
        groups: members.groups(inputs, groups, group)?,
    };
    Ok(PackedTensor {
        shape: vec![outputs, inputs],
        stored: Stored { scheme: SCHEME, bits, group: (group < inputs).then_some(group) },
        engine: Engine::Columns(Box::new(columns)),
    })
}

/// How codes are packed, and what is added to zero points.
fn variant(members: &Members, settings: &Settings, zeros: Option<&Component>) -> Result<(Packing, u32), PackedFault> {
    match settings.layout() {
        Some("gptq_v2") => Ok((Packing::Stream, 0)),
        Some("gptq_p") => Ok((Packing::Planes, 0)),
        Some("gptq" | "auto_gptq") => Ok((Packing::Stream, 1)),
        Some(other) => Err(members.layout(other)),
        None if settings.method.is_none() && zeros.is_some_and(in_the_middle) => Ok((Packing::Stream, 0)),
        None => Ok((Packing::Stream, 1)),
    }
}

/// Whether zero points start as version 2 writes them for symmetric codes, 2^(bits - 1) each; version 1 writes one
/// less.
///
/// The first words decide, since symmetric codes have the same zero point everywhere.
fn in_the_middle(zeros: &Component) -> bool {
    let mut words = Vec::new();
    let read = zeros.words(0..zeros.count().min(64), &mut words);
    let all = |word: u32| words.iter().all(|&found| found == word);
    read.is_ok() && !words.is_empty() && (all(0xaaaa_aaaa) || all(0x8888_8888) || all(0x8080_8080))
}

/// Bits of a code: by the zero points, else by the group numbers, else by the configuration.
fn bits(
    members: &Members,
    settings: &Settings,
    codes: &Component,
    zeros: Option<&Component>,
    packing: Packing,
) -> Result<u64, PackedFault> {
    let (rows, outputs) = (codes.shape[0], codes.shape[1]);
    let inputs = members.get(Role::Groups).map(Component::count).filter(|&inputs| inputs > 0);
    let by_zeros = |zeros: &Component| zeros.shape.last().map(|words| words * 32 / outputs);
    let found = match (inputs, zeros.and_then(by_zeros), settings.bits) {
        (Some(inputs), ..) => rows * 32 / inputs,
        (None, Some(bits), _) | (None, None, Some(bits)) => bits,
        (None, None, None) => members.need(Role::Zeros, "qzeros").map(|_| 0)?,
    };
    settings.check_bits(members.weight(), found)?;
    let known = matches!(found, 2 | 3 | 4 | 8) || packing == Packing::Planes && matches!(found, 5..8);
    if known { Ok(found) } else { Err(members.bits(SCHEME, found)) }
}
