//! NVFP4: two E2M1 codes a byte, the first in the lower half; an E4M3 scale for 16 of them; one f32 scale for those, in a
//! stack of experts one for each.
//!
//! ModelOpt's `weight_scale_2` multiplies the scales, compressed-tensors' `weight_global_scale` divides them. The value
//! is `code * (scale * scale_2)` or `code * (scale / global_scale)`: rounded twice. The same codes with E8M0 scales for
//! 32 are MXFP4.

use kurtoscope_shared::Element;

use super::blocks::blocks;
use super::codes::{Order, e2m1};
use super::component::{Component, StoredType, product};
use super::fault::PackedFault;
use super::grid::{Factor, Field, Grid};
use super::members::{Members, Role};
use super::settings::Settings;
use super::{Engine, PackedTensor, Stored};

/// Codes that share an E4M3 scale.
const GROUP: u64 = 16;

/// Codes that share an E8M0 scale.
const MX_GROUP: u64 = 32;

/// Whether scales are powers of two in a byte, with which E2M1 codes are MXFP4.
pub(super) fn is_e8m0(scales: &Component) -> bool {
    scales.stored.is(Element::U8) || scales.stored == StoredType::E8m0
}

/// Opens a weight.
///
/// # Errors
///
/// If tensors are missing or do not go together.
pub fn open(members: &Members) -> Result<PackedTensor, PackedFault> {
    let codes = members.need(Role::Codes, members.weight())?;
    let scales = members.need(Role::Scales, "weight_scale")?;
    if is_e8m0(scales) {
        let scales = Component { stored: StoredType::E8m0, ..scales.clone() };
        return grid(members, codes, scales, Factor::One, "mxfp4", MX_GROUP);
    }
    if !scales.stored.is(Element::F8E4m3) {
        return Err(scales.wrong_type("f8_e4m3"));
    }
    let factor = match (members.get(Role::ScaleTimes), members.get(Role::ScaleOver)) {
        (Some(scale), _) => Factor::Times(second_scales(scale, codes)?),
        (None, Some(scale)) => Factor::Over(second_scales(scale, codes)?),
        (None, None) => {
            members.need(Role::ScaleTimes, "weight_scale_2 or weight_global_scale")?;
            Factor::One
        }
    };
    grid(members, codes, scales.clone(), factor, "nvfp4", GROUP)
}

/// A weight of E2M1 codes in bytes, with a scale for `group` neighbours in a row.
pub(super) fn grid(
    members: &Members,
    codes: &Component,
    scales: Component,
    factor: Factor,
    scheme: &'static str,
    group: u64,
) -> Result<PackedTensor, PackedFault> {
    let [leading @ .., bytes] = &codes.shape[..] else {
        return Err(codes.wrong_dimensions("one or more"));
    };
    // A file may count elements or the bytes or words that hold them.
    let row = Component { shape: vec![*bytes], ..codes.clone() };
    let bytes = row.byte_length()?;
    let columns = bytes.saturating_mul(2);
    if !columns.is_multiple_of(group) {
        return Err(PackedFault::Partial { weight: members.weight().to_owned(), columns, group });
    }
    scales.expect_shape(&[leading, &[columns / group]].concat())?;
    let shape = [leading, &[columns]].concat();
    let grid = Grid {
        bits: 4,
        order: Order::LowFirst,
        row_bytes: bytes,
        table: Box::new(e2m1()),
        rows: product(leading),
        columns,
        blocks: blocks(members, &shape, &scales, &Settings { tile: Some([1, group]), ..Settings::default() })?,
        scales: Field::Rows(scales),
        zeros: None,
        biases: None,
        factor,
        codes: codes.clone(),
    };
    Ok(PackedTensor {
        shape,
        stored: Stored { scheme, bits: 4, group: Some(group), assumed: None },
        engine: Engine::Grid(Box::new(grid)),
    })
}

/// The scales of scales: one, or one for each matrix of a stack. They must be finite and not zero.
fn second_scales(scale: &Component, codes: &Component) -> Result<Vec<f32>, PackedFault> {
    let stack = codes.shape.len().checked_sub(2).map_or(1, |leading| product(&codes.shape[..leading]));
    let count = scale.count();
    if count != 1 && count != stack || count == 0 {
        return Err(scale.wrong_shape(&[stack]));
    }
    let mut values = Vec::new();
    scale.values(0..count, &mut values)?;
    match values.iter().position(|value| !value.is_finite() || *value == 0.0) {
        None => Ok(values),
        Some(at) => Err(PackedFault::NotFinite { name: scale.name.clone(), position: at as u64, value: values[at] }),
    }
}
