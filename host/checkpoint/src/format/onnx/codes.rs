//! Codes and zero points as numbers: integers and floats of a byte or more, and those of less than a byte.

use std::ops::Range;

use super::storage::ElementStorage;
use super::tensor::{GraphTensor, Small, SmallStorage};
use crate::format::tensor::ElementSource;

/// The elements of a tensor of codes.
#[derive(Debug, Clone)]
pub(super) enum Codes {
    /// A byte or more each.
    Whole(ElementStorage),
    /// Less.
    Small(SmallStorage),
}

impl Codes {
    /// Those of a tensor.
    ///
    /// # Errors
    /// Why the tensor's elements cannot be read.
    pub(super) fn of(tensor: &GraphTensor) -> Result<Self, String> {
        match (&tensor.small, &tensor.stored) {
            (Some(small), _) => Ok(Self::Small(small.clone())),
            (None, Ok(stored)) => Ok(Self::Whole(stored.clone())),
            (None, Err(reason)) => Err(format!("{}: {reason}", tensor.name)),
        }
    }

    /// Bits of a code.
    pub(super) fn bits(&self) -> u64 {
        match self {
            Self::Whole(stored) => stored.element.size() as u64 * 8,
            Self::Small(small) => u64::from(small.kind.bits()),
        }
    }

    /// Where the bytes are.
    pub(super) fn storage(&self) -> &ElementStorage {
        match self {
            Self::Whole(stored) => stored,
            Self::Small(small) => &small.bytes,
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Result<Vec<f32>, String> {
        self.read(
            0..match self {
                Self::Whole(stored) => stored.count,
                Self::Small(small) => small.count,
            },
        )
    }

    /// Those at positions `range`. Integers beyond 24 bits are rounded.
    pub(super) fn read(&self, range: Range<u64>) -> Result<Vec<f32>, String> {
        match self {
            Self::Whole(stored) => {
                let bytes = stored.read(range)?;
                let codes = bytes.chunks_exact(stored.element.size());
                Ok(codes.filter_map(|code| stored.element.decode(code)).map(|code| code as f32).collect())
            }
            Self::Small(small) => {
                let bits = u64::from(small.kind.bits());
                let each = 8 / bits;
                let first = range.start / each;
                let bytes = small.bytes.read(first..range.end.div_ceil(each))?;
                let code = |position: u64| {
                    let byte = bytes.get((position / each - first) as usize).copied().unwrap_or_default();
                    small.kind.value(byte >> (position % each * bits))
                };
                Ok(range.map(code).collect())
            }
        }
    }
}

impl Small {
    /// The number in the lowest bits of a byte.
    fn value(self, byte: u8) -> f32 {
        /// E2M1 without its sign (OCP Microscaling Formats 1.0, section 5.3.3).
        const E2M1: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
        match self {
            Self::Unsigned { bits } => f32::from(byte & ((1 << bits) - 1)),
            Self::Signed { bits } => f32::from((byte << (8 - bits)) as i8 >> (8 - bits)),
            Self::Float => {
                let magnitude = E2M1[usize::from(byte & 7)];
                if byte & 8 == 0 { magnitude } else { -magnitude }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers() {
        let all = |kind: Small, count: u8| (0..count).map(|code| kind.value(code)).collect::<Vec<_>>();
        assert_eq!(all(Small::Signed { bits: 2 }, 4), [0.0, 1.0, -2.0, -1.0]);
        assert_eq!(all(Small::Unsigned { bits: 2 }, 5), [0.0, 1.0, 2.0, 3.0, 0.0]);
        assert_eq!(all(Small::Signed { bits: 4 }, 16)[7..10], [7.0, -8.0, -7.0]);
        assert_eq!(Small::Unsigned { bits: 4 }.value(0xf9), 9.0);
        assert_eq!((Small::Float.value(7), Small::Float.value(15)), (6.0, -6.0));
    }
}
