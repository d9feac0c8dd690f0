//! How a chunk is laid over an adapter's units.

use kurtoscope_shared::Element;

/// Units of a cube: what the smallest adapters allow.
pub(super) const UNITS: u32 = 256;
/// Words whose elements are summed before anything else is.
pub(super) const TILE_WORDS: u32 = 8;
/// Tiles whose sums are added before anything else is.
pub(super) const GROUP_TILES: u32 = 8;
/// Elements that one unit takes at most: what keeps its sums within about 1e-7.
const MAX_UNIT_ELEMENTS: u32 = 1024;
/// Units that keep a large adapter busy. With more words than these need, each takes more.
const BUSY_UNITS: u32 = 1 << 16;

/// How elements are placed in a word, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Format {
    /// One binary32.
    F32,
    /// Two binary16.
    F16,
    /// Two bfloat16.
    Bf16,
    /// Four signed bytes.
    I8,
}

impl Format {
    /// The format of an element type; `None` for types whose values need more than the 24 bits of a binary32, or are rare.
    pub(super) const fn of(element: Element) -> Option<Self> {
        match element {
            Element::F32 => Some(Self::F32),
            Element::F16 => Some(Self::F16),
            Element::Bf16 => Some(Self::Bf16),
            Element::I8 => Some(Self::I8),
            _ => None,
        }
    }

    /// Elements in a word: 1, 2 or 4.
    pub(super) const fn elements_per_word(self) -> u32 {
        match self {
            Self::F32 => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::I8 => 4,
        }
    }
}

/// A chunk laid over cubes of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// How elements are placed in a word.
    pub(super) format: Format,
    /// Elements of the chunk; at least 1.
    pub(super) elements: u32,
    /// Groups of tiles that each unit takes.
    pub(super) groups: u32,
    /// Cubes.
    pub(super) cubes: u32,
}

impl Layout {
    /// Lays `elements` elements, at least one, over units.
    pub(super) fn new(format: Format, elements: u32) -> Self {
        let group_words = TILE_WORDS * GROUP_TILES;
        let words = elements.div_ceil(format.elements_per_word());
        let most = MAX_UNIT_ELEMENTS / (group_words * format.elements_per_word());
        let groups = words.div_ceil(BUSY_UNITS * group_words).clamp(1, most);
        Self { format, elements, groups, cubes: words.div_ceil(UNITS * group_words * groups) }
    }

    /// Units of all cubes.
    pub(super) fn units(&self) -> usize {
        self.cubes as usize * UNITS as usize
    }

    /// Words that each unit takes.
    pub(super) fn unit_words(&self) -> u32 {
        self.groups * TILE_WORDS * GROUP_TILES
    }

    /// The elements that `unit` takes, as ranges in rising order. Those of a cube's units interleave.
    pub(super) fn elements_of(&self, unit: usize) -> impl Iterator<Item = core::ops::Range<u64>> {
        let (cube, place) = (unit as u64 / u64::from(UNITS), unit as u64 % u64::from(UNITS));
        let (unit_words, end) = (u64::from(self.unit_words()), u64::from(self.elements));
        let per_word = u64::from(self.format.elements_per_word());
        (0..unit_words)
            .map(move |step| (cube * unit_words + step) * u64::from(UNITS) + place)
            .map(move |word| word * per_word..((word + 1) * per_word).min(end))
            .take_while(|range| !range.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    #[test]
    fn every_element_belongs_to_one_unit() {
        for format in [Format::F32, Format::F16, Format::I8] {
            for elements in [1, 2, 255, 257, 16_383, 16_384, 16_385, 100_001, 1 << 20] {
                let layout = Layout::new(format, elements);
                let mut seen = vec![0u8; elements as usize];
                for unit in 0..layout.units() {
                    let mine: Vec<u64> = layout.elements_of(unit).flatten().collect();
                    assert!(mine.len() as u32 <= MAX_UNIT_ELEMENTS);
                    assert!(mine.is_sorted());
                    mine.iter().for_each(|element| seen[*element as usize] += 1);
                }
                assert!(seen.iter().all(|times| *times == 1), "{format:?} {elements}");
            }
        }
    }

    #[test]
    fn large_chunks_stay_within_what_a_dispatch_may_have() {
        // The largest payload that a frame can announce.
        for format in [Format::F32, Format::F16, Format::I8] {
            let layout = Layout::new(format, (u32::MAX / 4) * format.elements_per_word().min(2));
            assert!(layout.cubes <= 65_535, "{layout:?}");
            assert!(layout.unit_words() * format.elements_per_word() <= MAX_UNIT_ELEMENTS);
        }
    }
}
