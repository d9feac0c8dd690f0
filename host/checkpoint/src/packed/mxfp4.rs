//! MXFP4 as gpt-oss stores it: `STEM_blocks`, u8 `[…, outputs, groups, 16]`, and `STEM_scales`, u8 `[…, outputs,
//! groups]`.
//!
//! A byte holds two E2M1 codes, the first in its lower half; the value is `code * 2^(scale - 127)`, exact. The weight
//! is `[…, outputs, groups * 32]`: outputs are rows, as for every other scheme. (Some libraries swap the last two axes
//! of such a stack when they unpack it.)

use super::codes::{Order, e2m1};
use super::component::{StoredType, product};
use super::fault::PackedFault;
use super::grid::{Blocks, Factor, Field, Grid};
use super::members::{Members, Role};
use super::{Engine, PackedTensor, Stored};

/// Codes that share a scale.
const GROUP: u64 = 32;

/// Opens a weight.
///
/// # Errors
///
/// If tensors are missing or do not go together.
pub fn open(members: &Members) -> Result<PackedTensor, PackedFault> {
    let codes = members.need(Role::Codes, "_blocks")?;
    let mut scales = members.need(Role::Scales, "_scales")?.clone();
    let [leading @ .., groups, 16] = &codes.shape[..] else {
        return Err(codes.wrong_shape(&[&scales.shape[..], &[16]].concat()));
    };
    let expected = [leading, &[*groups]].concat();
    scales.expect_shape(&expected)?;
    scales.stored = StoredType::E8m0;
    let shape = [leading, &[groups * GROUP]].concat();
    let rows = product(leading);
    let blocks =
        Blocks { matrix_rows: rows, rows: 1, columns: GROUP, scale_rows: rows, scale_columns: *groups, groups: None };
    let grid = Grid {
        codes: codes.clone(),
        bits: 4,
        order: Order::LowFirst,
        row_bytes: groups * 16,
        table: Box::new(e2m1()),
        rows,
        columns: groups * GROUP,
        blocks,
        scales: Field::Rows(scales),
        zeros: None,
        biases: None,
        factor: Factor::One,
    };
    Ok(PackedTensor {
        shape,
        stored: Stored { scheme: "mxfp4", bits: 4, group: Some(GROUP), assumed: None },
        engine: Engine::Grid(Box::new(grid)),
    })
}
