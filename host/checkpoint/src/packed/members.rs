//! The tensors that together are one packed weight, by what each is for.

use super::component::Component;
use super::fault::PackedFault;

/// What a tensor of a packed weight is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The codes.
    Codes,
    /// Scales of blocks of codes.
    Scales,
    /// Zero points of blocks of codes.
    Zeros,
    /// What is added to scaled codes.
    Biases,
    /// The group of each column.
    Groups,
    /// The dimensions of the weight.
    Shape,
    /// A scale of all scales, that multiplies them.
    ScaleTimes,
    /// A scale of all scales, that divides them.
    ScaleOver,
    /// The values of the codes.
    Map,
    /// Scales of the scales' blocks.
    NestedScales,
    /// The values of the scales' codes.
    NestedMap,
    /// A description in JSON.
    State,
    /// The order in which codes lie.
    Format,
    /// Bits of a code.
    Bits,
    /// Elements that share a scale.
    Group,
    /// The axis along which elements share a scale.
    Axis,
    /// Part of the description that dequantization does not need.
    Extra,
}

/// The tensors of one packed weight.
#[derive(Debug)]
pub struct Members {
    weight: String,
    list: Vec<(Role, Component)>,
}

impl Members {
    /// The tensors of the weight of this name.
    pub fn new(weight: impl Into<String>, list: Vec<(Role, Component)>) -> Self {
        Self { weight: weight.into(), list }
    }

    /// The weight's name.
    pub(super) fn weight(&self) -> &str {
        &self.weight
    }

    /// All tensors.
    pub(super) fn list(&self) -> &[(Role, Component)] {
        &self.list
    }

    /// A tensor, if it is there.
    pub(super) fn get(&self, role: Role) -> Option<&Component> {
        self.list.iter().find(|(found, _)| *found == role).map(|(_, component)| component)
    }

    /// A tensor that must be there.
    pub(super) fn need(&self, role: Role, name: &str) -> Result<&Component, PackedFault> {
        self.get(role).ok_or_else(|| PackedFault::Missing { weight: self.weight.clone(), member: name.to_owned() })
    }

    /// A fault: so many bits are not known.
    pub(super) fn bits(&self, scheme: &'static str, bits: u64) -> PackedFault {
        PackedFault::Bits { weight: self.weight.clone(), scheme, bits }
    }

    /// A fault: this variant is not read.
    pub(super) fn layout(&self, layout: impl Into<String>) -> PackedFault {
        PackedFault::Layout { weight: self.weight.clone(), layout: layout.into() }
    }

    /// The group of each column, checked: all below `groups`, and one for each of `columns`; `None` where the tensor is
    /// absent or empty.
    pub(super) fn group_numbers(&self, columns: u64, groups: u64) -> Result<Option<Vec<u32>>, PackedFault> {
        let Some(tensor) = self.get(Role::Groups).filter(|tensor| tensor.count() > 0) else {
            return Ok(None);
        };
        if tensor.count() != columns {
            return Err(tensor.wrong_shape(&[columns]));
        }
        let numbers = tensor.integers(columns)?;
        let wrong = |&index: &i64| !u64::try_from(index).is_ok_and(|index| index < groups);
        if let Some(position) = numbers.iter().position(wrong) {
            return Err(PackedFault::GroupIndex {
                name: tensor.name.clone(),
                position: position as u64,
                index: numbers[position],
                groups,
            });
        }
        Ok(Some(numbers.into_iter().map(|index| index as u32).collect()))
    }
}
