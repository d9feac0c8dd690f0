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
use super::settings::{Settings, contradiction};
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
    let [leading @ .., words] = &codes.shape[..] else { return Err(codes.wrong_dimensions("one or more")) };
    let Some(&groups) = scales.shape.last() else { return Err(scales.wrong_dimensions("one or more")) };
    let words = *words;
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
    let stored = Stored { scheme: "mlx", bits, group: Some(group), assumed: None };
    Ok(PackedTensor { shape, stored, engine: Engine::Grid(Box::new(grid)) })
}

/// Bits and group: the only pair that the shapes and the configuration allow.
fn bits_and_group(members: &Members, settings: &Settings, words: u64, groups: u64) -> Result<(u64, u64), PackedFault> {
    let weight = members.weight();
    let possible = candidates(words, groups);
    let agrees = |stated: Option<u64>, found: u64| stated.is_none_or(|stated| stated == found);
    let fitting: Vec<_> = possible
        .iter()
        .copied()
        .filter(|&(bits, group)| agrees(settings.bits, bits) && agrees(settings.group, group))
        .collect();
    let with = |bits: Option<u64>, group: Option<u64>| {
        possible
            .iter()
            .find(|pair| bits.is_some_and(|bits| pair.0 == bits) || group.is_some_and(|group| pair.1 == group))
    };
    match (&fitting[..], with(None, settings.group), with(settings.bits, None)) {
        ([only], ..) => Ok(*only),
        ([_, ..], ..) => Err(PackedFault::Ambiguous { weight: weight.to_owned(), candidates: fitting }),
        ([], Some(&(found, _)), _) => settings.check_bits(weight, found).and(Err(members.bits("mlx", found))),
        ([], None, Some(&(_, found))) => {
            let stated = settings.group.unwrap_or_default().to_string();
            Err(contradiction(weight, "group_size", &stated, &found.to_string()))
        }
        ([], None, None) => Err(PackedFault::Width { weight: weight.to_owned(), words, groups }),
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
    scales.expect_shape(&[&shape[..], &[columns / 32]].concat())?;
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
    let stored = Stored { scheme: "mxfp8", bits: 8, group: Some(32), assumed: None };
    Ok(PackedTensor { shape, stored, engine: Engine::Grid(Box::new(grid)) })
}
