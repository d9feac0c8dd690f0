//! torchao's flattened state: `_weight_qdata`, `_weight_scale`, `_weight_zero_point`, for tensors that keep one code a
//! byte.
//!
//! int8, fp8 and integers unpacked to int8 are `(code - zero) * scale` with a scale per tensor, row or group. Its
//! layouts for particular processors (int4 tiles, swizzled scales) are named and not read.

use kurtoscope_shared::Element;

use super::component::StoredType;
use super::fault::PackedFault;
use super::members::{Members, Role};
use super::settings::Settings;
use super::{PackedTensor, fp8};

/// Opens a weight.
///
/// # Errors
///
/// If tensors are missing or do not go together, or the layout is another.
pub fn open(members: &Members, settings: &Settings) -> Result<PackedTensor, PackedFault> {
    let codes = members.need(Role::Codes, "_weight_qdata")?;
    let scales = members.need(Role::Scales, "_weight_scale")?;
    let plain = codes.stored.is_f8() || codes.stored.is(Element::I8);
    if !plain || scales.stored == StoredType::E8m0 || !scales.stored.is_wide_float() {
        return Err(members.layout(format!("torchao with {} codes and {} scales", codes.stored, scales.stored)));
    }
    fp8::open(members, &Settings { tile: None, ..settings.clone() }, "torchao")
}
