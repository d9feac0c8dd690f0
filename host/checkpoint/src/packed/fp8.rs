//! 8-bit codes with scales beside them: fp8 per tensor, channel, group or tile, MXFP8, and plain int8.
//!
//! The value is `code * scale`, or `(code - zero) * scale` for integers. `weight_scale_inv` multiplies too: it is the
//! inverse of what the weights were multiplied with when they were quantized. Exact for 16-bit and E8M0 scales, rounded
//! once for others. The weight has the shape of its codes.

use kurtoscope_shared::Element;

use super::blocks::blocks;
use super::codes::{Order, Table, e4m3, e5m2, signed, unsigned};
use super::component::{Component, StoredType, product};
use super::fault::PackedFault;
use super::grid::{Factor, Field, Grid};
use super::members::{Members, Role};
use super::settings::Settings;
use super::{Engine, PackedTensor, Stored};

/// Opens a weight; `scheme` is the name for reports.
///
/// # Errors
///
/// If tensors are missing or do not go together.
pub fn open(members: &Members, settings: &Settings, scheme: &'static str) -> Result<PackedTensor, PackedFault> {
    let codes = members.need(Role::Codes, members.weight())?;
    let scales = scales(members, codes)?;
    let table = table(codes)?;
    let columns = codes.shape.last().copied().unwrap_or(1);
    let rows = product(&codes.shape[..codes.shape.len().max(1) - 1]);
    let mut settings = settings.clone();
    if scales.count() <= rows && settings.method.as_deref() != Some("compressed-tensors") {
        // A group size beside scales of rows is that of the other weights (NVFP4) of a mixed checkpoint.
        settings.group = None;
    }
    let blocks = blocks(members, &codes.shape, &scales, &settings)?;
    let zeros = match members.get(Role::Zeros) {
        Some(zeros) => {
            zeros.expect_shape(&scales.shape)?;
            Some(Field::Rows(zeros.clone()))
        }
        None => None,
    };
    let group = (blocks.scale_columns > 1).then_some(blocks.columns);
    let grid = Grid {
        bits: 8,
        order: Order::LowFirst,
        row_bytes: columns,
        table: Box::new(table),
        rows,
        columns,
        blocks,
        scales: Field::Rows(scales),
        zeros,
        biases: None,
        factor: Factor::One,
        codes: codes.clone(),
    };
    Ok(PackedTensor {
        shape: codes.shape.clone(),
        stored: Stored { scheme, bits: 8, group, assumed: None },
        engine: Engine::Grid(Box::new(grid)),
    })
}

/// The tensor of scales, bytes read as E8M0.
fn scales(members: &Members, codes: &Component) -> Result<Component, PackedFault> {
    let mut scales = members.need(Role::Scales, &format!("{}_scale", codes.name))?.clone();
    if scales.stored.is(Element::U8) {
        scales.stored = StoredType::E8m0;
    }
    if scales.stored.is_wide_float() || scales.stored == StoredType::E8m0 {
        Ok(scales)
    } else {
        Err(scales.wrong_type("a float of 16 bits or more, or f8_e8m0"))
    }
}

/// What the codes are, by their type.
fn table(codes: &Component) -> Result<Table, PackedFault> {
    match codes.stored {
        StoredType::Element(Element::F8E4m3) => Ok(e4m3()),
        StoredType::Element(Element::F8E5m2) => Ok(e5m2()),
        StoredType::Element(Element::I8) => Ok(signed(8)),
        StoredType::Element(Element::U8) => Ok(unsigned(0.0)),
        _ => Err(codes.wrong_type("f8_e4m3, f8_e5m2 or i8")),
    }
}
