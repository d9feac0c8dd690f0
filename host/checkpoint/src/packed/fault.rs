//! Why a packed weight is not measured, with names and numbers. Each costs that weight, never the file.

use std::fmt;
use std::io;

/// Dimensions, printed as `[2, 3]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape(pub Vec<u64>);

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Why a packed weight is not measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackedFault {
    /// A tensor that the scheme needs is absent.
    #[error("packed codes of {weight}: {member} is missing")]
    Missing {
        /// The weight.
        weight: String,
        /// The name of the absent tensor.
        member: String,
    },
    /// A tensor's shape does not go with those of the others.
    #[error("{name} has the shape {found}, the tensors beside it call for {expected}")]
    Shapes {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Shape,
        /// The shape that the others call for.
        expected: Shape,
    },
    /// A tensor that must have elements has none.
    #[error("{name} has no elements: its shape is {found}")]
    Empty {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Shape,
    },
    /// A tensor's shape has another number of dimensions than the scheme's.
    #[error("{name} has the shape {found}, not {expected} dimensions")]
    Dimensions {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Shape,
        /// Dimensions in the scheme, in words.
        expected: &'static str,
    },
    /// More elements than are computed with.
    #[error("{name} calls for the shape {found}, of more than 2^48 elements")]
    Huge {
        /// The tensor that says so.
        name: String,
        /// The shape.
        found: Shape,
    },
    /// Nothing states how many columns share a scale, and several numbers or none would do.
    #[error("packed codes of {weight}: the group size is not known: {groups} scales for {columns} columns")]
    Group {
        /// The weight.
        weight: String,
        /// Columns of the weight.
        columns: u64,
        /// Groups, by the scales.
        groups: u64,
    },
    /// The elements of a row are not whole groups of the scheme.
    #[error("packed codes of {weight}: {columns} columns are not whole groups of {group}")]
    Partial {
        /// The weight.
        weight: String,
        /// Columns of the weight.
        columns: u64,
        /// Columns that share a scale.
        group: u64,
    },
    /// No number of bits makes rows of so many words with so many scales.
    #[error("packed codes of {weight}: the width in bits is not known: {words} words and {groups} scales a row")]
    Width {
        /// The weight.
        weight: String,
        /// 32-bit words of a row.
        words: u64,
        /// Scales of a row.
        groups: u64,
    },
    /// A number of bits that the scheme does not have.
    #[error("packed codes of {weight}: {scheme} with {bits} bits is not known")]
    Bits {
        /// The weight.
        weight: String,
        /// The scheme.
        scheme: &'static str,
        /// Bits of a code.
        bits: u64,
    },
    /// Shapes allow several numbers of bits, and nothing states which.
    #[error("packed codes of {weight}: the width in bits is not known: {} are possible", Candidates(candidates))]
    Ambiguous {
        /// The weight.
        weight: String,
        /// Bits and group of each possibility.
        candidates: Vec<(u64, u64)>,
    },
    /// A column is in a group that does not exist.
    #[error("{name}[{position}] is {index}, there are {groups} groups")]
    GroupIndex {
        /// The tensor of group numbers.
        name: String,
        /// Which element.
        position: u64,
        /// Its value.
        index: i64,
        /// How many groups there are.
        groups: u64,
    },
    /// A scale, zero point or offset is not a finite number.
    #[error("{name}[{position}] is {value}")]
    NotFinite {
        /// The tensor.
        name: String,
        /// Which element, in row-major order.
        position: u64,
        /// Its value.
        value: f32,
    },
    /// The configuration says something else than the tensors.
    #[error("packed codes of {weight}: the configuration states {key} = {stated}, the tensors have {found}")]
    Config {
        /// The weight.
        weight: String,
        /// The key in the configuration.
        key: &'static str,
        /// Its value there.
        stated: String,
        /// What the tensors say.
        found: String,
    },
    /// A value in the configuration cannot be understood.
    #[error("packed codes of {weight}: the configuration states {key} = {stated}, which is not {expected}")]
    Value {
        /// The weight.
        weight: String,
        /// The key in the configuration.
        key: String,
        /// Its value there, as JSON.
        stated: String,
        /// What it would have to be.
        expected: &'static str,
    },
    /// A tensor of a type that the scheme does not use.
    #[error("{name} is of the type {found}, not {expected}")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
        /// The types that would do.
        expected: String,
    },
    /// A tensor that describes the weight cannot be understood.
    #[error("{name}: {detail}")]
    Description {
        /// The tensor.
        name: String,
        /// What is wrong.
        detail: String,
    },
    /// A variant of the scheme that is not read.
    #[error("packed codes of {weight}: the layout {layout} is not read")]
    Layout {
        /// The weight.
        weight: String,
        /// The variant.
        layout: String,
    },
    /// Elements were asked for that the weight does not have, or into too small or large a place.
    #[error("elements {start}..{end} of {count} do not fit into {places} places")]
    OutOfRange {
        /// The first element.
        start: u64,
        /// The one after the last.
        end: u64,
        /// Elements of the weight.
        count: u64,
        /// Length of the output.
        places: u64,
    },
    /// Bytes could not be read.
    #[error("{name} cannot be read")]
    Read {
        /// The tensor.
        name: String,
        /// Why.
        source: io::Error,
    },
}

/// Prints possibilities as `4 bits in groups of 64, 8 bits in groups of 32`.
struct Candidates<'a>(&'a [(u64, u64)]);

impl fmt::Display for Candidates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (bits, group)) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{bits} bits in groups of {group}")?;
        }
        Ok(())
    }
}
