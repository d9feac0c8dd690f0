//! AWQ in its `gemm` layout: `qweight`, `qzeros`, `scales`.
//!
//! `qweight` is `[inputs, outputs / 8]`; from its lowest bits a word holds the outputs 0 2 4 6 1 3 5 7 of its eight,
//! and so do the zero points. The value is `(code - zero) * scale[input / group, output]`, exact for 16-bit scales. The
//! weight is `[outputs, inputs]`.

use super::columns::{Columns, Packing};
use super::fault::PackedFault;
use super::members::{Members, Role};
use super::settings::Settings;
use super::{Engine, PackedTensor, Stored};

const SCHEME: &str = "awq";

/// Opens a weight.
///
/// # Errors
///
/// If tensors are missing or do not go together, or contradict the configuration.
pub fn open(members: &Members, settings: &Settings) -> Result<PackedTensor, PackedFault> {
    let codes = members.need(Role::Codes, "qweight")?;
    let scales = members.need(Role::Scales, "scales")?;
    let zeros = members.need(Role::Zeros, "qzeros")?;
    if let Some(layout) = settings.layout().filter(|layout| !matches!(*layout, "gemm" | "awq" | "auto_awq")) {
        return Err(members.layout(layout));
    }
    let &[inputs, words] = &codes.shape[..] else { return Err(codes.wrong_dimensions("two")) };
    let &[groups, outputs] = &scales.shape[..] else { return Err(scales.wrong_dimensions("two")) };
    let bits = words * 32 / outputs;
    settings.check_bits(members.weight(), bits)?;
    if bits != 4 {
        return Err(members.bits(SCHEME, bits));
    }
    if words.saturating_mul(8) != outputs {
        return Err(scales.wrong_shape(&[groups, words.saturating_mul(8)]));
    }
    zeros.expect_shape(&[groups, words])?;
    let group = settings.group_size(members.weight(), inputs, groups)?;
    let columns = Columns {
        codes: codes.clone(),
        packing: Packing::Interleaved,
        bits,
        outputs,
        inputs,
        scales: scales.clone(),
        zeros: Some(zeros.clone()),
        zero_offset: 0,
        group,
        groups: None,
    };
    Ok(PackedTensor {
        shape: vec![outputs, inputs],
        stored: Stored { scheme: SCHEME, bits, group: (group < inputs).then_some(group), assumed: None },
        engine: Engine::Columns(Box::new(columns)),
    })
}
