//! Weights of the package compressed-tensors with codes in words or bytes: `weight_packed`, `weight_scale`,
//! `weight_zero_point`, `weight_shape`, `weight_g_idx`, `weight_global_scale`.
//!
//! Integers of 1 to 8 bits are a little-endian stream along each row, 2^(bits - 1) added; zero points are packed the
//! same way along the outputs. The value is `(code - zero) * scale`, exact for 16-bit scales. E2M1 and E2M3 codes lie
//! in bytes, with E8M0 scales for 32 (MXFP4, MXFP6) or as NVFP4. Formats that keep one code a byte are read by
//! [`super::fp8`].

use kurtoscope_shared::Element;

use super::blocks::blocks;
use super::codes::{Order, e2m3, unsigned};
use super::component::{Component, StoredType, product};
use super::fault::PackedFault;
use super::grid::{Blocks, Factor, Field, Grid};
use super::members::{Members, Role};
use super::settings::{Settings, contradiction};
use super::{Engine, PackedTensor, Stored, nvfp4};

const SCHEME: &str = "compressed-tensors";

/// Columns that share an E8M0 scale.
const MX_GROUP: u64 = 32;

/// Opens a weight whose codes are `weight_packed`.
///
/// # Errors
///
/// If tensors are missing or do not go together, or contradict the configuration.
pub fn open(members: &Members, settings: &Settings) -> Result<PackedTensor, PackedFault> {
    let codes = members.need(Role::Codes, "weight_packed")?;
    if let Some(layout) = settings.layout().filter(|&layout| layout == "marlin-24") {
        return Err(members.layout(layout));
    }
    let scales = members.need(Role::Scales, "weight_scale")?;
    if codes.stored.is(Element::I32) {
        return integers(members, settings, codes, scales);
    }
    if scales.stored.is(Element::F8E4m3) {
        return nvfp4::open(members);
    }
    if !scales.stored.is(Element::U8) && scales.stored != StoredType::E8m0 {
        return Err(scales.wrong_type("f8_e4m3, f8_e8m0 or u8"));
    }
    let scales = Component { stored: StoredType::E8m0, ..scales.clone() };
    let (bytes, groups) = (last(codes), last(&scales));
    match bytes * 8 / (groups * MX_GROUP).max(1) {
        4 => nvfp4::grid(members, codes, scales, Factor::One, "mxfp4", MX_GROUP),
        6 => sixes(members, codes, scales),
        bits => Err(members.bits("mxfp", bits)),
    }
}

fn last(component: &Component) -> u64 {
    component.shape.last().copied().unwrap_or(0)
}

/// E2M3 codes, four in three bytes.
fn sixes(members: &Members, codes: &Component, scales: Component) -> Result<PackedTensor, PackedFault> {
    let columns = last(&scales) * MX_GROUP;
    let leading = &scales.shape[..scales.shape.len() - 1];
    codes.expect_shape(&[leading, &[columns * 6 / 8]].concat())?;
    let shape = [leading, &[columns]].concat();
    let grid = Grid {
        bits: 6,
        order: Order::LowFirst,
        row_bytes: columns * 6 / 8,
        table: Box::new(e2m3()),
        rows: product(leading),
        columns,
        blocks: blocks(members, &shape, &scales, &Settings { tile: Some([1, MX_GROUP]), ..Settings::default() })?,
        scales: Field::Rows(scales),
        zeros: None,
        biases: None,
        factor: Factor::One,
        codes: codes.clone(),
    };
    let stored = Stored { scheme: "mxfp6", bits: 6, group: Some(MX_GROUP), assumed: None };
    Ok(PackedTensor { shape, stored, engine: Engine::Grid(Box::new(grid)) })
}

/// Integers in 32-bit words.
fn integers(
    members: &Members,
    settings: &Settings,
    codes: &Component,
    scales: &Component,
) -> Result<PackedTensor, PackedFault> {
    if !scales.stored.is_wide_float() {
        return Err(scales.wrong_type("a float of 16 bits or more"));
    }
    let dimensions = members.need(Role::Shape, "weight_shape")?;
    let shape = dimensions.dimensions()?;
    let (&columns, leading) = shape.split_last().ok_or_else(|| dimensions.wrong_shape(&[2]))?;
    let words = last(codes);
    codes.expect_shape(&[leading, &[words]].concat())?;
    let bits = bits(members, settings, columns, words)?;
    let blocks = blocks(members, &shape, scales, settings)?;
    let zeros = match members.get(Role::Zeros) {
        Some(zeros) => Some(packed_zeros(zeros, leading, bits, &blocks)?),
        None => None,
    };
    // Codes and zero points carry the same offset, which cancels.
    let offset = if zeros.is_some() { 0.0 } else { (1u32 << (bits - 1)) as f32 };
    let group = (blocks.scale_columns > 1).then_some(blocks.columns);
    let grid = Grid {
        bits,
        order: Order::LowFirst,
        row_bytes: words * 4,
        table: Box::new(unsigned(offset)),
        rows: product(leading),
        columns,
        blocks,
        scales: Field::Rows(scales.clone()),
        zeros,
        biases: None,
        factor: Factor::One,
        codes: codes.clone(),
    };
    Ok(PackedTensor {
        shape,
        stored: Stored { scheme: SCHEME, bits, group, assumed: None },
        engine: Engine::Grid(Box::new(grid)),
    })
}

/// Bits of a code: the only number that gives so many words.
fn bits(members: &Members, settings: &Settings, columns: u64, words: u64) -> Result<u64, PackedFault> {
    let fits = |&bits: &u64| columns.saturating_mul(bits).div_ceil(32) == words;
    let possible: Vec<u64> = (1..=8).filter(fits).collect();
    match (settings.bits, &possible[..]) {
        (Some(stated), possible) if possible.contains(&stated) => Ok(stated),
        (Some(stated), [found, ..]) => {
            Err(contradiction(members.weight(), "bits", &stated.to_string(), &found.to_string()))
        }
        (None, [only]) => Ok(*only),
        (_, []) => {
            let detail = format!("no code of 1 to 8 bits makes {columns} columns of {words} words");
            let name = members.need(Role::Shape, "weight_shape")?.name.clone();
            Err(PackedFault::Description { name, detail })
        }
        (None, several) => Err(PackedFault::Ambiguous {
            weight: members.weight().to_owned(),
            candidates: several.iter().map(|&bits| (bits, columns)).collect(),
        }),
    }
}

/// Zero points in words along the outputs.
fn packed_zeros(zeros: &Component, leading: &[u64], bits: u64, blocks: &Blocks) -> Result<Field, PackedFault> {
    let rows = blocks.scale_rows;
    let stack = &leading[..leading.len().max(1) - 1];
    zeros.expect_shape(&[stack, &[(rows * bits).div_ceil(32), blocks.scale_columns]].concat())?;
    Ok(Field::PackedColumns { words: zeros.clone(), bits, rows, columns: blocks.scale_columns })
}
