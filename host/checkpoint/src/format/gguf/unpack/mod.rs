//! The blocks of quantized types: their layouts, and the numbers that they encode.
//!
//! Each function takes one block and gives its elements with the operations of ggml's reference in the same order, so the
//! values are the same to the last bit. Layouts are written `[field bytes | …]`, in the order of the file; `d` is a
//! half-precision scale unless said otherwise. Source: `ggml-common.h` and `ggml-quants.c` in ggml-org/ggml.

mod codebook;
mod fp4;
mod grids;
mod k;
mod legacy;
mod table;
mod ternary;

pub(super) use table::{BLOCKS, Block, LONGEST};

use half::f16;

/// The half-precision number at byte `at`.
fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_bits(u16_at(block, at)).to_f32()
}

/// The 16-bit word at byte `at`.
fn u16_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

/// The 32-bit word at byte `at`.
fn u32_at(block: &[u8], at: usize) -> u32 {
    u32::from(u16_at(block, at)) | u32::from(u16_at(block, at + 2)) << 16
}

/// The low and the high half of a byte.
const fn nibbles(byte: u8) -> [u8; 2] {
    [byte & 0x0f, byte >> 4]
}

/// The half-byte at position `at` of `bytes`, low halves first.
fn nibble_at(bytes: &[u8], at: usize) -> u8 {
    nibbles(bytes[at / 2])[at % 2]
}
