//! What a device can take: how much, of which types, in which forms.

use serde::{Deserialize, Serialize};

use crate::Element;

/// What a device can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest payload of one chunk, bytes.
    pub max_payload: u32,
    /// Largest sum of unanswered payloads, bytes; at least `max_payload`.
    pub window_bytes: u32,
    /// The element types that the engine measures.
    pub elements: ElementSet,
}

/// A set of element types: bit `n` is the `n`th of [`Element::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementSet(pub u32);

impl ElementSet {
    /// Every element type.
    pub const ALL: Self = Self((1 << Element::ALL.len()) - 1);

    /// Whether `element` is in the set.
    pub const fn contains(self, element: Element) -> bool {
        self.0 >> (element as u32) & 1 == 1
    }
}

/// The form in which a chunk's elements travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// As they are.
    Plain,
    /// In the form of [`compression`](crate::compression), which is shorter.
    BytePlanes,
}

/// A set of forms of payload: bit `n` is the `n`th variant of [`Compression`]. Plain payloads are always understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompressionSet(pub u8);

impl CompressionSet {
    /// Plain payloads alone.
    pub const PLAIN: Self = Self(1 << Compression::Plain as u8);
    /// Every form.
    pub const ALL: Self = Self(Self::PLAIN.0 | 1 << Compression::BytePlanes as u8);

    /// Whether `compression` is in the set.
    pub const fn contains(self, compression: Compression) -> bool {
        self.0 >> (compression as u8) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_element_set_names_its_elements() {
        assert!(Element::ALL.into_iter().all(|element| ElementSet::ALL.contains(element)));
        let only_f16 = ElementSet(1 << Element::F16 as u32);
        assert!(only_f16.contains(Element::F16) && !only_f16.contains(Element::F32));
        for (index, element) in Element::ALL.into_iter().enumerate() {
            assert_eq!(element as usize, index, "ALL is in wire order");
        }
    }
}
