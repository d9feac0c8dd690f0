//! HQQ: `W_q`, `scale`, `zero`, `shape`, `nbits`, `group_size`, `axis`.
//!
//! The flattened weight is seen as a matrix whose rows (axis 1) or columns (axis 0) are groups. It is cut into as many
//! equal parts, by rows, as a byte (or a 32-bit word, for 3 bits) holds codes, and the parts lie over one another, the
//! first in the highest bits. The value is `(code - zero) * scale`, the difference and the product rounded once each.

use std::ops::Range;

use super::component::{Component, product};
use super::fault::PackedFault;
use super::members::{Members, Role};
use super::settings::Settings;
use super::{Engine, PackedTensor, Stored};

const SCHEME: &str = "hqq";

/// Columns that are read at once.
const PIECE: u64 = 1 << 14;

/// A matrix of groups.
#[derive(Debug)]
pub(super) struct Hqq {
    codes: Component,
    scales: Component,
    zeros: Component,
    bits: u64,
    /// Bytes of what holds one code of each part.
    unit: u64,
    /// Parts that lie over one another.
    parts: u64,
    /// Rows of one part.
    part_rows: u64,
    columns: u64,
    /// Whether groups are rows.
    by_rows: bool,
}

/// Opens a weight.
///
/// # Errors
///
/// If tensors are missing or do not go together, or contradict the configuration.
pub fn open(members: &Members, settings: &Settings) -> Result<PackedTensor, PackedFault> {
    let codes = members.need(Role::Codes, "W_q")?;
    let scales = members.need(Role::Scales, "scale")?;
    let zeros = members.need(Role::Zeros, "zero")?;
    let shape = members.need(Role::Shape, "shape")?.dimensions()?;
    let bits = scalar(members, Role::Bits)?.or(settings.bits);
    let bits = bits.ok_or_else(|| missing(members, "nbits"))?;
    settings.check_bits(members.weight(), bits)?;
    let (unit, parts) = match bits {
        1 | 2 | 4 | 8 => (1, 8 / bits),
        3 => (4, 10),
        _ => return Err(members.bits(SCHEME, bits)),
    };
    // Codes may be viewed as floats, whose elements have any size.
    if codes.stored.is_integer() && codes.stored.size() != Some(unit) {
        return Err(codes.wrong_type(if unit == 1 { "u8 or a float" } else { "i32 or a float" }));
    }
    let (count, groups) = (product(&shape), scales.count());
    let group = group(members, settings, count, groups)?;
    if zeros.count() != groups && zeros.count() != 1 {
        return Err(zeros.wrong_shape(&scales.shape));
    }
    let by_rows = match scalar(members, Role::Axis)? {
        Some(axis @ (0 | 1)) => axis == 1,
        Some(axis) => return Err(members.layout(format!("with groups along the axis {axis}"))),
        None => scales.shape.last() == Some(&1),
    };
    let (rows, columns) = if by_rows { (groups, group) } else { (group, groups) };
    let part_rows = rows.div_ceil(parts);
    if codes.byte_length()? != part_rows * columns * unit {
        return Err(codes.wrong_shape(&[part_rows, columns]));
    }
    let engine = Engine::Hqq(Box::new(Hqq {
        codes: codes.clone(),
        scales: scales.clone(),
        zeros: zeros.clone(),
        bits,
        unit,
        parts,
        part_rows,
        columns,
        by_rows,
    }));
    Ok(PackedTensor { shape, stored: Stored { scheme: SCHEME, bits, group: Some(group), assumed: None }, engine })
}

/// Elements that share a scale: stated beside the codes, else in the configuration, else what the scales leave.
fn group(members: &Members, settings: &Settings, count: u64, groups: u64) -> Result<u64, PackedFault> {
    let weight = members.weight().to_owned();
    match scalar(members, Role::Group)?.or(settings.group) {
        Some(group) if group.checked_mul(groups) == Some(count) => Ok(group),
        Some(group) => Err(PackedFault::Partial { weight, columns: count, group }),
        None if count.is_multiple_of(groups) => Ok(count / groups),
        None => Err(PackedFault::Group { weight, columns: count, groups }),
    }
}

fn missing(members: &Members, name: &str) -> PackedFault {
    PackedFault::Missing { weight: members.weight().to_owned(), member: name.to_owned() }
}

/// A tensor of one integer, if it is there.
fn scalar(members: &Members, role: Role) -> Result<Option<u64>, PackedFault> {
    let Some(tensor) = members.get(role) else {
        return Ok(None);
    };
    let value = tensor.integers(1)?;
    let value = value.first().and_then(|&value| u64::try_from(value).ok());
    value.map(Some).ok_or_else(|| PackedFault::Description {
        name: tensor.name.clone(),
        detail: "not a positive number".to_owned(),
    })
}

impl Hqq {
    /// The values of a range of the flattened weight, which lies inside.
    pub(super) fn range(&self, range: Range<u64>, out: &mut [f32]) -> Result<(), PackedFault> {
        let (mut start, mut rest) = (range.start, out);
        while start < range.end {
            let row = start / self.columns;
            let end = range.end.min((row + 1) * self.columns).min(start + PIECE);
            let (piece, after) = rest.split_at_mut((end - start) as usize);
            let begin = row * self.columns;
            self.row(row, start - begin..end - begin, piece)?;
            (rest, start) = (after, end);
        }
        Ok(())
    }

    /// Looks at every scale and zero point once.
    pub(super) fn verify(&self) -> Result<(), PackedFault> {
        for field in [&self.scales, &self.zeros] {
            let mut start = 0;
            while start < field.count() {
                let end = field.count().min(start + PIECE);
                finite(field, start..end)?;
                start = end;
            }
        }
        Ok(())
    }

    fn row(&self, row: u64, columns: Range<u64>, out: &mut [f32]) -> Result<(), PackedFault> {
        let begin = row % self.part_rows * self.columns;
        let shift = (self.parts - 1 - row / self.part_rows) * self.bits;
        let mask = (1u32 << self.bits) - 1;
        let groups = if self.by_rows { row..row + 1 } else { columns.clone() };
        let scales = finite(&self.scales, groups.clone())?;
        let zeros = finite(&self.zeros, if self.zeros.count() == 1 { 0..1 } else { groups })?;
        let bytes = self.codes.read((begin + columns.start) * self.unit..(begin + columns.end) * self.unit)?;
        let number = |values: &[f32], at: usize| values[if values.len() == 1 { 0 } else { at }];
        for (at, (value, unit)) in out.iter_mut().zip(bytes.chunks_exact(self.unit as usize)).enumerate() {
            let unit = unit.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
            let code = (unit >> shift & mask) as f32;
            *value = (code - number(&zeros, at)) * number(&scales, at);
        }
        Ok(())
    }
}

/// The elements `range`, which must be finite.
fn finite(field: &Component, range: Range<u64>) -> Result<Vec<f32>, PackedFault> {
    let mut values = Vec::with_capacity((range.end - range.start) as usize);
    field.values(range.clone(), &mut values)?;
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(at) => Err(PackedFault::NotFinite {
            name: field.name.clone(),
            position: range.start + at as u64,
            value: values[at],
        }),
    }
}
