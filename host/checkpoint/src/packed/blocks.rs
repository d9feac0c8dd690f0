//! Which scale belongs to which element, from the shapes of codes and scales: one a tensor, channel, group or tile.

use super::component::{Component, product};
use super::fault::PackedFault;
use super::grid::Blocks;
use super::groups::grouping;
use super::members::Members;
use super::settings::{Settings, contradiction};
use super::sizes::unstated;

/// Rows and columns of square tiles where nothing states them. No two of them cut a matrix into the same number of
/// tiles, if there are several.
const TILES: [u64; 6] = [16, 32, 64, 128, 256, 512];

/// How many scales there are.
enum Scales {
    /// One for the whole stack.
    One,
    /// So many rows and columns of them for each matrix.
    Matrix(u64, u64),
}

/// The blocks of `scales` over a weight of `shape`, a matrix or a stack of matrices.
///
/// # Errors
///
/// If the shapes do not go together, nothing determines the blocks, or the configuration states others.
pub(super) fn blocks(
    members: &Members,
    shape: &[u64],
    scales: &Component,
    settings: &Settings,
) -> Result<Blocks, PackedFault> {
    let (stack, rows, columns) = match *shape {
        [] => (1, 1, 1),
        [columns] => (1, 1, columns),
        [ref stack @ .., rows, columns] => (product(stack), rows, columns),
    };
    let found = arrangement(scales, shape.len(), stack, rows, columns)
        .ok_or_else(|| scales.wrong_shape(&[shape.get(..shape.len().max(1) - 1).unwrap_or(&[]), &[1]].concat()))?;
    let (scale_rows, scale_columns) = match found {
        Scales::One => (1, 1),
        Scales::Matrix(scale_rows, scale_columns) => (scale_rows, scale_columns),
    };
    let weight = members.weight();
    let fits = |&[high, wide]: &[u64; 2]| {
        high > 0 && wide > 0 && rows.div_ceil(high) == scale_rows && columns.div_ceil(wide) == scale_columns
    };
    if let Some(tile) = settings.tile.filter(|tile| !fits(tile)) {
        let found = format!("{scale_rows} x {scale_columns} scales for {rows} x {columns}");
        return Err(contradiction(weight, "weight_block_size", &format!("{tile:?}"), &found));
    }
    if matches!(found, Scales::One) {
        settings.check_row(weight, columns)?;
        let rows = stack * rows;
        return Ok(Blocks { matrix_rows: rows, rows, columns, scale_rows: 1, scale_columns: 1, groups: None });
    }
    let numbers = members.group_numbers(columns, scale_columns)?;
    let ([high, wide], groups) = match settings.tile.or_else(|| TILES.map(|side| [side; 2]).into_iter().find(fits)) {
        Some(tile) if settings.tile.is_some() || scale_rows != rows => (tile, numbers),
        _ if scale_rows == rows => {
            let (group, numbers) = grouping(weight, settings, numbers, columns, scale_columns)?;
            ([1, group], numbers)
        }
        _ => {
            let sides = unstated(rows, scale_rows).zip(unstated(columns, scale_columns));
            let fault = || PackedFault::Group { weight: weight.to_owned(), columns, groups: scale_columns };
            let (high, wide) = sides.ok_or_else(fault)?;
            ([high, wide], numbers)
        }
    };
    Ok(Blocks { matrix_rows: rows, rows: high, columns: wide, scale_rows, scale_columns, groups })
}

/// Rows and columns of scales for one matrix.
fn arrangement(scales: &Component, dimensions: usize, stack: u64, rows: u64, columns: u64) -> Option<Scales> {
    let shape = &scales.shape;
    if product(shape) == 1 {
        return Some(Scales::One);
    }
    let (scale_rows, scale_columns) = match (shape.as_slice(), dimensions.checked_sub(shape.len())?) {
        ([leading @ .., high, wide], 0) if product(leading) == stack => (*high, *wide),
        ([wide], 0) => (1, *wide),
        ([leading @ .., high], 1) if product(leading) == stack && *high == rows => (rows, 1),
        ([each], _) if *each == stack => (1, 1),
        _ => return None,
    };
    let fits = (1..=rows).contains(&scale_rows) && (1..=columns).contains(&scale_columns);
    fits.then_some(Scales::Matrix(scale_rows, scale_columns))
}
