//! Which types the tensors of a packed weight may have: data, one row for each scheme and part. What else must agree
//! (shapes, other parts) is left to the schemes.
//!
//! A wrong type is found out when a weight is opened. Its bytes would be read as something else, or end early.

use kurtoscope_shared::Element;

use super::component::{Component, StoredType};
use super::fault::PackedFault;
use super::listing::Scheme;
use super::members::Role;

const fn of(element: Element) -> StoredType {
    StoredType::Element(element)
}

const F8: &[StoredType] = &[of(Element::F8E4m3), of(Element::F8E5m2)];

/// 32-bit words; their sign means nothing.
const WORDS: &[StoredType] = &[of(Element::I32), of(Element::U32)];

/// Scales, zero points and offsets as numbers.
const FLOATS: &[StoredType] = &[of(Element::F64), of(Element::F32), of(Element::F16), of(Element::Bf16)];

/// Scales that may also be powers of two in a byte.
const FLOATS_OR_POWERS: &[StoredType] =
    &[of(Element::F64), of(Element::F32), of(Element::F16), of(Element::Bf16), of(Element::U8), StoredType::E8m0];

/// Floats, or bytes that are codes themselves.
const FLOATS_OR_BYTES: &[StoredType] =
    &[of(Element::F64), of(Element::F32), of(Element::F16), of(Element::Bf16), of(Element::U8)];

/// Zero points of codes of one byte, of the codes' type or wider.
const ZEROS: &[StoredType] = &[
    of(Element::I8),
    of(Element::I32),
    of(Element::F8E4m3),
    of(Element::F8E5m2),
    of(Element::F64),
    of(Element::F32),
    of(Element::F16),
    of(Element::Bf16),
];

/// Numbers that are positions, dimensions or counts.
const COUNTS: &[StoredType] = &[of(Element::I64), of(Element::I32), of(Element::I16), of(Element::I8), of(Element::U8)];

const BYTES: &[StoredType] = &[of(Element::U8)];

const INT8: &[StoredType] = &[of(Element::I8)];

/// Bytes of a weight, viewed as any type that a framework trains.
const STORAGE: &[StoredType] =
    &[of(Element::U8), of(Element::I8), of(Element::I32), of(Element::F32), of(Element::F16), of(Element::Bf16)];

/// What the tensors of one scheme may be; roles that are not named may be anything.
type Table = &'static [(Role, &'static [StoredType])];

static GPTQ: Table = &[(Role::Codes, WORDS), (Role::Scales, FLOATS), (Role::Zeros, WORDS), (Role::Groups, COUNTS)];

static COMPRESSED_TENSORS: Table = &[
    (Role::Codes, &[of(Element::I32), of(Element::U8)]),
    (
        Role::Scales,
        &[
            of(Element::F64),
            of(Element::F32),
            of(Element::F16),
            of(Element::Bf16),
            of(Element::F8E4m3),
            of(Element::U8),
            StoredType::E8m0,
        ],
    ),
    (Role::Zeros, &[of(Element::I32)]),
    (Role::Groups, COUNTS),
    (Role::Shape, COUNTS),
    (Role::ScaleOver, FLOATS),
];

static HQQ: Table = &[
    (Role::Codes, STORAGE),
    (Role::Scales, FLOATS),
    (Role::Zeros, FLOATS),
    (Role::Shape, COUNTS),
    (Role::Bits, COUNTS),
    (Role::Group, COUNTS),
    (Role::Axis, COUNTS),
];

static TORCHAO: Table = &[(Role::Zeros, ZEROS)];

static MXFP4: Table = &[(Role::Codes, BYTES), (Role::Scales, &[of(Element::U8), StoredType::E8m0])];

static BITS_AND_BYTES_4: Table = &[
    (Role::Codes, STORAGE),
    (Role::Scales, FLOATS_OR_BYTES),
    (Role::Map, FLOATS),
    (Role::NestedScales, FLOATS),
    (Role::NestedMap, FLOATS),
    (Role::State, BYTES),
];

static BITS_AND_BYTES_8: Table = &[(Role::Codes, INT8), (Role::Scales, FLOATS), (Role::Format, COUNTS)];

static FP8: Table = &[(Role::Codes, F8), (Role::Scales, FLOATS_OR_POWERS), (Role::Zeros, ZEROS)];

static INT8_OR_E2M1: Table = &[(Role::Codes, INT8), (Role::Scales, FLOATS_OR_POWERS), (Role::Zeros, ZEROS)];

static NVFP4: Table = &[
    (Role::Codes, &[of(Element::U8), StoredType::F4]),
    (Role::Scales, &[of(Element::F8E4m3), of(Element::U8), StoredType::E8m0]),
    (Role::ScaleTimes, FLOATS),
    (Role::ScaleOver, FLOATS),
];

static MLX: Table = &[(Role::Codes, &[of(Element::U32)]), (Role::Scales, FLOATS_OR_BYTES), (Role::Biases, FLOATS)];

/// ONNX Runtime's node.
pub(super) static MATMUL_NBITS: Table =
    &[(Role::Codes, BYTES), (Role::Scales, FLOATS), (Role::Zeros, FLOATS_OR_BYTES), (Role::Groups, COUNTS)];

/// Refuses a tensor of a type that its part of this scheme never has.
pub(super) fn check(scheme: Scheme, list: &[(Role, Component)]) -> Result<(), PackedFault> {
    let table = match scheme {
        // AWQ has the parts of GPTQ.
        Scheme::Gptq | Scheme::Awq => GPTQ,
        Scheme::CompressedTensors => COMPRESSED_TENSORS,
        Scheme::BitsAndBytes4 => BITS_AND_BYTES_4,
        Scheme::BitsAndBytes8 => BITS_AND_BYTES_8,
        Scheme::Fp8 => FP8,
        Scheme::Int8 => INT8_OR_E2M1,
        Scheme::Mxfp4 => MXFP4,
        Scheme::Nvfp4 => NVFP4,
        Scheme::Mlx => MLX,
        Scheme::Hqq => HQQ,
        Scheme::Torchao => TORCHAO,
    };
    check_all(table, list)
}

/// Refuses a tensor of a type that its part never has by this table.
pub(super) fn check_all(table: Table, list: &[(Role, Component)]) -> Result<(), PackedFault> {
    for (role, component) in list {
        let allowed = table.iter().find(|(named, _)| named == role).map(|&(_, allowed)| allowed);
        if let Some(allowed) = allowed.filter(|allowed| !allowed.contains(&component.stored)) {
            return Err(component.wrong_type(either(allowed)));
        }
    }
    Ok(())
}

/// Types as `i32 or u32`.
fn either(types: &[StoredType]) -> String {
    let names: Vec<String> = types.iter().map(ToString::to_string).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}
