//! ONNX Runtime's `MatMulNBits`: `B`, `scales`, optional `zero_points` and `g_idx`, with sizes in attributes.
//!
//! `B` is u8 `[N, blocks, block * bits / 8]`, a little-endian stream of codes; zero points are packed along the blocks
//! of a row, or floats of the scales' type, or all 2^(bits - 1). The value is `(code - zero) * scale`, exact for 16-bit
//! scales. The weight is `[N, K]`, the transpose of the operand that the node replaces.

use super::codes::{Order, unsigned};
use super::component::Component;
use super::fault::PackedFault;
use super::grid::{Blocks, Factor, Field, Grid};
use super::groups::out_of_order;
use super::members::{Members, Role};
use super::{Engine, PackedTensor, Stored, types};

const SCHEME: &str = "matmul-nbits";

/// The attributes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// `K`: elements of a row.
    pub inputs: u64,
    /// `N`: rows.
    pub outputs: u64,
    /// `bits`, 4 where it is absent.
    pub bits: u64,
    /// `block_size`: elements of a row that share a scale.
    pub block: u64,
}

/// Opens the weight of a node.
///
/// # Errors
///
/// If tensors are missing or do not go with the attributes.
pub fn open(members: &Members, attributes: Attributes) -> Result<PackedTensor, PackedFault> {
    let Attributes { inputs, outputs, bits, block } = attributes;
    let codes = members.need(Role::Codes, "B")?;
    let scales = members.need(Role::Scales, "scales")?;
    types::check_all(types::MATMUL_NBITS, members.list())?;
    if !matches!(bits, 2..=8) {
        return Err(members.bits(SCHEME, bits));
    }
    if block == 0 || block > 1 << 20 || !block.saturating_mul(bits).is_multiple_of(8) || inputs == 0 || outputs == 0 {
        return Err(PackedFault::Partial { weight: members.weight().to_owned(), columns: inputs, group: block });
    }
    codes.expect_size(&[outputs, inputs])?;
    let blocks = inputs.div_ceil(block);
    let row_bytes = blocks.saturating_mul(block * bits / 8);
    if codes.byte_length()? != outputs.saturating_mul(row_bytes) {
        return Err(codes.wrong_shape(&[outputs, blocks, block * bits / 8]));
    }
    if scales.count() != outputs.saturating_mul(blocks) {
        return Err(scales.wrong_shape(&[outputs, blocks]));
    }
    let zeros = zeros(members, attributes, blocks)?;
    let middle = if zeros.is_some() { 0.0 } else { (1u32 << (bits - 1)) as f32 };
    let grid = Grid {
        codes: codes.clone(),
        bits,
        order: Order::LowFirst,
        row_bytes,
        table: Box::new(unsigned(middle)),
        rows: outputs,
        columns: inputs,
        blocks: Blocks {
            matrix_rows: outputs,
            rows: 1,
            columns: block,
            scale_rows: outputs,
            scale_columns: blocks,
            groups: members.group_numbers(inputs, blocks)?.and_then(|numbers| out_of_order(numbers, block)),
        },
        scales: Field::Rows(scales.clone()),
        zeros,
        biases: None,
        factor: Factor::One,
    };
    let stored = Stored { scheme: SCHEME, bits, group: (block < inputs).then_some(block), assumed: None };
    Ok(PackedTensor { shape: vec![outputs, inputs], stored, engine: Engine::Grid(Box::new(grid)) })
}

/// Zero points, packed or as floats.
fn zeros(members: &Members, attributes: Attributes, blocks: u64) -> Result<Option<Field>, PackedFault> {
    let Some(zeros) = members.get(Role::Zeros) else {
        return Ok(None);
    };
    let expect = |zeros: &Component, columns: u64| match zeros.count() == attributes.outputs * columns {
        true => Ok(()),
        false => Err(zeros.wrong_shape(&[attributes.outputs, columns])),
    };
    if zeros.stored.is_wide_float() {
        return expect(zeros, blocks).map(|()| Some(Field::Rows(zeros.clone())));
    }
    let row_bytes = (blocks * attributes.bits).div_ceil(8);
    expect(zeros, row_bytes)?;
    Ok(Some(Field::Packed { codes: zeros.clone(), bits: attributes.bits, row_bytes }))
}
