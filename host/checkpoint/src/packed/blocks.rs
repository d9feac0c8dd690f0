//! Which scale belongs to which element, from the shapes of codes and scales: one a tensor, channel, group or tile.

use super::component::{Component, product};
use super::fault::PackedFault;
use super::grid::Blocks;
use super::members::Members;
use super::settings::{Settings, contradiction};

/// Rows and columns of a tile where nothing states them: those of all published fp8 checkpoints with tiles.
const TILE: u64 = 128;

/// The blocks of `scales` over a weight of `shape`, a matrix or a stack of matrices.
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
    let (scale_rows, scale_columns) = grid(scales, shape.len(), stack, rows, columns)
        .ok_or_else(|| scales.wrong_shape(&[shape.get(..shape.len().max(1) - 1).unwrap_or(&[]), &[1]].concat()))?;
    if scale_rows == 0 {
        // One scale for the whole stack.
        let rows = stack * rows;
        return Ok(Blocks { matrix_rows: rows, rows, columns, scale_rows: 1, scale_columns: 1, groups: None });
    }
    let fault = || PackedFault::Group { weight: members.weight().to_owned(), columns, groups: scale_columns };
    let fits = |&[high, wide]: &[u64; 2]| {
        high > 0 && wide > 0 && rows.div_ceil(high) == scale_rows && columns.div_ceil(wide) == scale_columns
    };
    let [high, wide] = match settings.tile {
        Some(tile) if fits(&tile) => tile,
        Some(tile) => {
            let found = format!("{scale_rows} x {scale_columns} scales for {rows} x {columns}");
            return Err(contradiction(members.weight(), "weight_block_size", &format!("{tile:?}"), &found));
        }
        None if scale_rows != rows && fits(&[TILE; 2]) => [TILE; 2],
        None => [even(rows, scale_rows).ok_or_else(fault)?, even(columns, scale_columns).ok_or_else(fault)?],
    };
    let groups = members.groups(columns, scale_columns, wide)?;
    Ok(Blocks { matrix_rows: rows, rows: high, columns: wide, scale_rows, scale_columns, groups })
}

/// Rows and columns of scales for one matrix; zero rows where one scale serves the stack.
fn grid(scales: &Component, dimensions: usize, stack: u64, rows: u64, columns: u64) -> Option<(u64, u64)> {
    let shape = &scales.shape;
    if product(shape) == 1 {
        return Some((0, 1));
    }
    let (scale_rows, scale_columns) = match (shape.as_slice(), dimensions.checked_sub(shape.len())?) {
        ([leading @ .., high, wide], 0) if product(leading) == stack => (*high, *wide),
        ([wide], 0) => (1, *wide),
        ([leading @ .., high], 1) if product(leading) == stack && *high == rows => (rows, 1),
        ([each], _) if *each == stack => (1, 1),
        _ => return None,
    };
    (scale_rows <= rows && scale_columns <= columns).then_some((scale_rows, scale_columns))
}

/// The length of `parts` equal parts.
fn even(length: u64, parts: u64) -> Option<u64> {
    (parts > 0 && length.is_multiple_of(parts)).then(|| length / parts)
}
