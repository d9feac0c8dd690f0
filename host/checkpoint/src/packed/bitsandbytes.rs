//! bitsandbytes: NF4 and FP4 with `absmax`, `quant_map`, `nested_*` and a description in JSON; int8 with `SCB`.
//!
//! 4-bit codes lie two a byte, the first in the upper half, in blocks of the flattened weight: `map[code] *
//! absmax[block]`, rounded once. Nested, `absmax` is `nested_map[code] * nested_absmax[block] + offset`. int8 is `code
//! * SCB of the row * (1 / 127)`, one `SCB` a row, rounded twice.

use kurtoscope_shared::quantization::NF4_LEVELS;
use serde_json::Value;

use super::blocks::blocks;
use super::codes::{Order, Table, listed, signed};
use super::component::{Component, product};
use super::fault::PackedFault;
use super::grid::{Blocks, Factor, Field, Grid, Nested};
use super::members::{Members, Role};
use super::settings::Settings;
use super::{Engine, PackedTensor, Stored};

/// What int8 values are multiplied with after their scale.
const BY_127: f32 = 7.874_016e-3;

/// The values of FP4: a sign, two exponent bits and one of mantissa, over 12.
const FP4: [f32; 16] = [
    0.0,
    0.005_208_333_4,
    0.666_666_7,
    1.0,
    0.333_333_34,
    0.5,
    0.166_666_67,
    0.25,
    0.0,
    -0.005_208_333_4,
    -0.666_666_7,
    -1.0,
    -0.333_333_34,
    -0.5,
    -0.166_666_67,
    -0.25,
];

/// The description of a 4-bit weight.
struct State {
    nf4: bool,
    block: u64,
    shape: Vec<u64>,
    nested_block: u64,
    nested_offset: f32,
}

/// Opens a 4-bit weight.
///
/// # Errors
///
/// If tensors are missing or do not go together, or contradict the configuration.
pub fn open_4bit(members: &Members, settings: &Settings) -> Result<PackedTensor, PackedFault> {
    let codes = members.need(Role::Codes, members.weight())?;
    let absmax = members.need(Role::Scales, &format!("{}.absmax", members.weight()))?;
    let name = format!("{}.quant_state.bitsandbytes__nf4", members.weight());
    let state = state(members.need(Role::State, &name)?)?;
    settings.check_mode(members.weight(), "bnb_4bit_quant_type", if state.nf4 { "nf4" } else { "fp4" })?;
    let count = product(&state.shape);
    if codes.byte_length()? != count.div_ceil(2) {
        return Err(codes.wrong_shape(&[count.div_ceil(2), 1]));
    }
    let scale_columns = count.div_ceil(state.block);
    if absmax.count() != scale_columns {
        return Err(absmax.wrong_shape(&[scale_columns]));
    }
    let grid = Grid {
        codes: codes.clone(),
        bits: 4,
        order: Order::HighFirst,
        row_bytes: 0,
        table: Box::new(map(members, Role::Map, Some(if state.nf4 { &NF4_LEVELS } else { &FP4 }), 16)?),
        rows: 1,
        columns: count,
        blocks: Blocks { matrix_rows: 1, rows: 1, columns: state.block, scale_rows: 1, scale_columns, groups: None },
        scales: absolute_maxima(members, absmax, &state)?,
        zeros: None,
        biases: None,
        factor: Factor::One,
    };
    let scheme = if state.nf4 { "bitsandbytes-nf4" } else { "bitsandbytes-fp4" };
    Ok(PackedTensor {
        shape: state.shape,
        stored: Stored { scheme, bits: 4, group: Some(state.block), assumed: None },
        engine: Engine::Grid(Box::new(grid)),
    })
}

/// Opens an int8 weight.
///
/// # Errors
///
/// If tensors are missing or do not go together, or the codes are not in row order.
pub fn open_int8(members: &Members) -> Result<PackedTensor, PackedFault> {
    let codes = members.need(Role::Codes, members.weight())?;
    let scales = members.need(Role::Scales, "SCB")?;
    let &[rows, columns] = &codes.shape[..] else {
        return Err(codes.wrong_dimensions("two"));
    };
    if let Some(format) = members.get(Role::Format)
        && format.integers(1)?.first().is_some_and(|&format| format != 0)
    {
        return Err(members.layout("of a graphics processor (weight_format is not 0)"));
    }
    let scales = Component { shape: vec![scales.count()], ..scales.clone() };
    scales.expect_shape(&[rows])?;
    let grid = Grid {
        bits: 8,
        order: Order::LowFirst,
        row_bytes: columns,
        table: Box::new(signed(8)),
        rows,
        columns,
        blocks: blocks(members, &codes.shape, &scales, &Settings::default())?,
        scales: Field::Rows(scales),
        zeros: None,
        biases: None,
        factor: Factor::Last(BY_127),
        codes: codes.clone(),
    };
    Ok(PackedTensor {
        shape: codes.shape.clone(),
        stored: Stored { scheme: "bitsandbytes-int8", bits: 8, group: None, assumed: None },
        engine: Engine::Grid(Box::new(grid)),
    })
}

/// Reads the description.
fn state(tensor: &Component) -> Result<State, PackedFault> {
    let wrong = |detail: &str| PackedFault::Description { name: tensor.name.clone(), detail: detail.to_owned() };
    let length = tensor.byte_length()?;
    if length > 1 << 16 {
        return Err(wrong("more than 64 KiB of JSON"));
    }
    let value: Value = serde_json::from_slice(&tensor.read(0..length)?).map_err(|error| wrong(&error.to_string()))?;
    let number = |key: &str| value.get(key).and_then(Value::as_u64).filter(|&number| number > 0);
    let nf4 = match value.get("quant_type").and_then(Value::as_str) {
        Some("nf4") => true,
        Some("fp4") => false,
        _ => return Err(wrong("no quant_type of nf4 or fp4")),
    };
    let shape: Option<Vec<u64>> =
        value.get("shape").and_then(Value::as_array).and_then(|shape| shape.iter().map(Value::as_u64).collect());
    let shape = shape.ok_or_else(|| wrong("no shape"))?;
    tensor.expect_size(&shape)?;
    let nested_offset = value.get("nested_offset").and_then(Value::as_f64).unwrap_or(0.0) as f32;
    if !nested_offset.is_finite() {
        return Err(wrong("nested_offset is not a 32-bit number"));
    }
    Ok(State {
        nf4,
        block: number("blocksize").ok_or_else(|| wrong("no blocksize"))?,
        shape,
        nested_block: number("nested_blocksize").unwrap_or(256),
        nested_offset,
    })
}

/// The scales of blocks, plain or nested.
fn absolute_maxima(members: &Members, absmax: &Component, state: &State) -> Result<Field, PackedFault> {
    if absmax.stored.is_wide_float() {
        return Ok(Field::Rows(absmax.clone()));
    }
    let scales = members.need(Role::NestedScales, &format!("{}.nested_absmax", members.weight()))?;
    let blocks = absmax.count().div_ceil(state.nested_block);
    if scales.count() != blocks {
        return Err(scales.wrong_shape(&[blocks]));
    }
    Ok(Field::Nested(Nested {
        codes: absmax.clone(),
        table: Box::new(map(members, Role::NestedMap, None, 256)?),
        scales: scales.clone(),
        block: state.nested_block,
        offset: state.nested_offset,
    }))
}

/// The values of codes: stored, else `known`.
fn map(members: &Members, role: Role, known: Option<&[f32]>, length: u64) -> Result<Table, PackedFault> {
    match (members.get(role), known) {
        (None, Some(known)) => Ok(listed(known)),
        (stored, _) => {
            let name = format!("{}.nested_quant_map", members.weight());
            let stored = stored.map_or_else(|| members.need(role, &name), Ok)?;
            if stored.count() != length {
                return Err(stored.wrong_shape(&[length]));
            }
            let mut values = Vec::new();
            stored.values(0..length, &mut values)?;
            match values.iter().position(|value| !value.is_finite()) {
                None => Ok(listed(&values)),
                Some(at) => {
                    Err(PackedFault::NotFinite { name: stored.name.clone(), position: at as u64, value: values[at] })
                }
            }
        }
    }
}
