//! The table of quantized types, by the numbers that files give them.

use super::{codebook, fp4, k, legacy, ternary};

/// A type of block.
#[derive(Debug)]
pub(in super::super) struct Block {
    /// Its number in `enum ggml_type`.
    pub(in super::super) kind: u32,
    /// Its name in reports.
    pub(in super::super) name: &'static str,
    /// Bytes that it takes.
    pub(in super::super) bytes: usize,
    /// Elements that it holds, at most [`LONGEST`].
    pub(in super::super) elements: usize,
    /// Unpacks whole blocks into as many whole blocks of elements.
    pub(in super::super) unpack: fn(&[u8], &mut [f32]),
}

/// Elements in the largest block.
pub(in super::super) const LONGEST: usize = 256;

/// Unpacks block after block.
fn each<const B: usize, const N: usize>(stored: &[u8], elements: &mut [f32], unpack: fn(&[u8; B], &mut [f32; N])) {
    for (block, elements) in stored.as_chunks().0.iter().zip(elements.as_chunks_mut().0) {
        unpack(block, elements);
    }
}

/// A row of [`BLOCKS`], with the sizes taken from the function's own.
macro_rules! block {
    ($kind:literal, $name:literal, $unpack:path, $bytes:literal => $elements:literal) => {
        Block {
            kind: $kind,
            name: $name,
            bytes: $bytes,
            elements: $elements,
            unpack: |stored, elements| each::<$bytes, $elements>(stored, elements, $unpack),
        }
    };
}

/// Every type that is measured.
pub(in super::super) static BLOCKS: &[Block] = &[
    block!(2, "q4_0", legacy::q4_0, 18 => 32),
    block!(3, "q4_1", legacy::q4_1, 20 => 32),
    block!(6, "q5_0", legacy::q5_0, 22 => 32),
    block!(7, "q5_1", legacy::q5_1, 24 => 32),
    block!(8, "q8_0", legacy::q8_0, 34 => 32),
    block!(10, "q2_k", k::q2, 84 => 256),
    block!(11, "q3_k", k::q3, 110 => 256),
    block!(12, "q4_k", k::q4, 144 => 256),
    block!(13, "q5_k", k::q5, 176 => 256),
    block!(14, "q6_k", k::q6, 210 => 256),
    block!(15, "q8_k", k::q8, 292 => 256),
    block!(16, "iq2_xxs", codebook::iq2_xxs, 66 => 256),
    block!(17, "iq2_xs", codebook::iq2_xs, 74 => 256),
    block!(18, "iq3_xxs", codebook::iq3_xxs, 98 => 256),
    block!(19, "iq1_s", codebook::iq1_s, 50 => 256),
    block!(20, "iq4_nl", fp4::iq4_nl, 18 => 32),
    block!(21, "iq3_s", codebook::iq3_s, 110 => 256),
    block!(22, "iq2_s", codebook::iq2_s, 82 => 256),
    block!(23, "iq4_xs", fp4::iq4_xs, 136 => 256),
    block!(29, "iq1_m", codebook::iq1_m, 56 => 256),
    block!(34, "tq1_0", ternary::tq1_0, 54 => 256),
    block!(35, "tq2_0", ternary::tq2_0, 66 => 256),
    block!(39, "mxfp4", fp4::mxfp4, 17 => 32),
    block!(40, "nvfp4", fp4::nvfp4, 36 => 64),
    block!(41, "q1_0", ternary::q1_0, 18 => 128),
    block!(42, "q2_0", ternary::q2_0, 18 => 64),
];
