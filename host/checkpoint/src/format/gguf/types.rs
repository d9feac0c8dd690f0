//! What the numbers of `enum ggml_type` mean: plain elements, blocks, or nothing that is measured.

use kurtoscope_shared::Element;

use super::unpack::{BLOCKS, Block};

/// How a tensor is stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum StorageType {
    /// As elements.
    Plain(Element),
    /// In blocks.
    Blocks(&'static Block),
}

impl StorageType {
    /// The name in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain(element) => element.name(),
            Self::Blocks(block) => block.name,
        }
    }

    /// Elements in the smallest block that can be stored, and the bytes that it takes.
    pub(super) fn block_size(self) -> (u64, u64) {
        match self {
            Self::Plain(element) => (1, element.size() as u64),
            Self::Blocks(block) => (block.elements as u64, block.bytes as u64),
        }
    }
}

/// A type that is not measured.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnmeasuredType {
    /// Its name in reports.
    pub(super) name: String,
    /// Why, in one sentence.
    pub(super) reason: &'static str,
}

/// Why the types that llama.cpp has given up are not measured.
const GIVEN_UP: &str = "llama.cpp no longer reads this type; convert the model again";

/// The type of this number.
pub(super) fn stored(kind: u32) -> Result<StorageType, UnmeasuredType> {
    if let Some(block) = BLOCKS.iter().find(|block| block.kind == kind) {
        return Ok(StorageType::Blocks(block));
    }
    let (name, reason) = match kind {
        0 => return Ok(StorageType::Plain(Element::F32)),
        1 => return Ok(StorageType::Plain(Element::F16)),
        24 => return Ok(StorageType::Plain(Element::I8)),
        25 => return Ok(StorageType::Plain(Element::I16)),
        26 => return Ok(StorageType::Plain(Element::I32)),
        27 => return Ok(StorageType::Plain(Element::I64)),
        28 => return Ok(StorageType::Plain(Element::F64)),
        30 => return Ok(StorageType::Plain(Element::Bf16)),
        9 => ("q8_1", "this type holds intermediate results, and its layout differs between versions of llama.cpp"),
        4 => ("q4_2", GIVEN_UP),
        5 => ("q4_3", GIVEN_UP),
        31 => ("q4_0_4_4", GIVEN_UP),
        32 => ("q4_0_4_8", GIVEN_UP),
        33 => ("q4_0_8_8", GIVEN_UP),
        36 => ("iq4_nl_4_4", GIVEN_UP),
        37 => ("iq4_nl_4_8", GIVEN_UP),
        38 => ("iq4_nl_8_8", GIVEN_UP),
        _ => {
            let reason = "this version does not know the type; a newer one may";
            return Err(UnmeasuredType { name: format!("ggml_type_{kind}"), reason });
        }
    };
    Err(UnmeasuredType { name: name.to_owned(), reason })
}
