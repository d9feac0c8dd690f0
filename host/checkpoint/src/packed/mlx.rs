//! MLX: `weight` (u32 words), `scales`, and for affine codes `biases`.
//!
//! Codes are a little-endian stream along each row, so those of 3, 5 and 6 bits cross words. Affine values are `code *
//! scale + bias`, the product exact for 16-bit scales and the sum rounded once. Modes without biases: mxfp4 and mxfp8
//! (E8M0 scales for 32, exact), nvfp4 (E4M3 scales for 16, exact).

use kurtoscope_shared::Element;

use super::blocks::blocks;
use super::codes::{Order, e4m3, unsigned};
use super::component::{Component, StoredType, product};
use super::fault::PackedFault;
use super::grid::{Factor, Field, Grid};
use super::members::{Members, Role};
use super::settings::Settings;
use super::widths::candidates;
use super::{Engine, PackedTensor, Stored, nvfp4};

/// Opens a weight.
///
/// # Errors
///
/// If tensors are missing or do not go together, or contradict the configuration, or leave several numbers of bits
/// possible.
pub fn open(members: &Members, settings: &Settings) -> Result<PackedTensor, PackedFault> {
    let codes = members.need(Role::Codes, members.weight())?;
    let scales = members.need(Role::Scales, "scales")?;
    let ([leading @ .., words], Some(&groups)) = (&codes.shape[..], scales.shape.last()) else {
        return Err(codes.wrong_shape(&[0, 0]));
    };
    let (words, groups) = (*words, groups.max(1));
    scales.expect_shape(&[leading, &[groups]].concat())?;
    if scales.stored.is(Element::U8) && members.get(Role::Biases).is_none() {
        return float(members, settings, codes, scales, words * 32 / groups);
    }
    settings.check_mode(members.weight(), "mode", "affine")?;
    let biases = members.need(Role::Biases, "biases")?;
    biases.expect_shape(&scales.shape)?;
    if let Some(wrong) = [scales, biases].into_iter().find(|tensor| !tensor.stored.is_wide_float()) {
        return Err(wrong.wrong_type("a float of 16 bits or more"));
    }
    let (bits, group) = bits_and_group(members, settings, words, groups)?;
    let shape = [leading, &[groups * group]].concat();
    let grid = Grid {
        bits,
        order: Order::LowFirst,
        row_bytes: words * 4,
        table: Box::new(unsigned(0.0)),
        rows: product(leading),
        columns: groups * group,
        blocks: blocks(members, &shape, scales, &Settings { tile: Some([1, group]), ..Settings::default() })?,
        scales: Field::Rows(scales.clone()),
        zeros: None,
        biases: Some(Field::Rows(biases.clone())),
        factor: Factor::One,
        codes: codes.clone(),
    };
    let stored = Stored { scheme: "mlx", bits, group: Some(group) };
    Ok(PackedTensor { shape, stored, engine: Engine::Grid(Box::new(grid)) })
}

/// Bits and group: the only pair that the shapes and the configuration allow.
fn bits_and_group(members: &Members, settings: &Settings, words: u64, groups: u64) -> Result<(u64, u64), PackedFault> {
    let weight = members.weight();
    let mut possible = candidates(words, groups);
    if let (Some(bits), Some(group)) = (settings.bits, settings.group)
        && !possible.contains(&(bits, group))
    {
        return match possible.iter().find(|pair| pair.1 == group) {
            Some((found, _)) => settings.check_bits(weight, *found).and(Err(members.bits("mlx", bits))),
            None => Err(PackedFault::Group { weight: weight.to_owned(), columns: words * 32 / bits.max(1), groups }),
        };
    }
    possible.retain(|&(bits, group)| {
        settings.bits.is_none_or(|stated| stated == bits) && settings.group.is_none_or(|stated| stated == group)
    });
    match possible[..] {
        [] => Err(members.bits("mlx", settings.bits.unwrap_or(words * 32 / (groups * 64)))),
        [only] => Ok(only),
        _ => Err(PackedFault::Ambiguous { weight: weight.to_owned(), candidates: possible }),
    }
}

/// Modes of floating-point codes, by the bits that a group takes.
fn float(
    members: &Members,
    settings: &Settings,
    codes: &Component,
    scales: &Component,
    group_bits: u64,
) -> Result<PackedTensor, PackedFault> {
    let e8m0 = Component { stored: StoredType::E8m0, ..scales.clone() };
    let check = |mode| settings.check_mode(members.weight(), "mode", mode);
    match group_bits {
        128 => check("mxfp4").and_then(|()| nvfp4::grid(members, codes, e8m0, Factor::One, "mxfp4", 32)),
        64 => {
            check("nvfp4")?;
            let e4m3 = Component { stored: StoredType::Element(Element::F8E4m3), ..scales.clone() };
            nvfp4::grid(members, codes, e4m3, Factor::One, "nvfp4", 16)
        }
        256 => {
            check("mxfp8")?;
            eights(members, codes, e8m0)
        }
        bits => Err(members.bits("mlx", bits / 32)),
    }
}

/// E4M3 codes, four in a word, with a scale for 32.
fn eights(members: &Members, codes: &Component, scales: Component) -> Result<PackedTensor, PackedFault> {
    let mut shape = codes.shape.clone();
    let columns = shape.pop().unwrap_or(0) * 4;
    let rows = product(&shape);
    shape.push(columns);
    let grid = Grid {
        bits: 8,
        order: Order::LowFirst,
        row_bytes: columns,
        table: Box::new(e4m3()),
        rows,
        columns,
        blocks: blocks(members, &shape, &scales, &Settings { tile: Some([1, 32]), ..Settings::default() })?,
        scales: Field::Rows(scales),
        zeros: None,
        biases: None,
        factor: Factor::One,
        codes: codes.clone(),
    };
    let stored = Stored { scheme: "mxfp8", bits: 8, group: Some(32) };
    Ok(PackedTensor { shape, stored, engine: Engine::Grid(Box::new(grid)) })
}
