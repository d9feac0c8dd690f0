//! How one target is cut into chunks, and what is measured of them: chunks hold whole rows where rows fit.

use kurtoscope_shared::{Element, protocol::Statistics, quantization::LARGEST_BLOCK};

/// Elements that are quantized of a target at least, where it has them: the relative standard deviation of a sum of squared
/// errors is then about 1/181, or 0.024 dB.
const SAMPLES: u64 = 1 << 15;
/// The fewest rows of a chunk whose fourth powers are worth a number for each column in its report.
const ROWS: u64 = 4;

/// The most rows and columns together in one report.
pub(super) const MAX_LINES: usize = 1 << 17;

/// What holds for all targets of a plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cutting {
    /// The most bytes of a chunk.
    pub(super) chunk_bytes: usize,
    /// The most that is measured.
    pub(super) wanted: Statistics,
}

/// How a target is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// Elements of a chunk; fewer at the end of a target, and of a row that is longer than this.
    pub(super) count: u32,
    /// Elements in a row, 0 for none.
    pub(super) row: u32,
    /// What is measured.
    pub(super) statistics: Statistics,
}

impl Cutting {
    /// Cuts `elements` elements in rows of `row`.
    pub(super) fn cut(self, element: Element, elements: u64, row: Option<u64>) -> Cut {
        let Self { chunk_bytes, wanted } = self;
        // A chunk holds at least one element, whatever the device announced.
        let most = u32::try_from(chunk_bytes / element.size()).unwrap_or(u32::MAX).max(1);
        let plain = Cut { count: most, row: 0, statistics: Statistics { quantization: 0, lines: false, ..wanted } };
        let density = if wanted.quantization == 0 { 0 } else { density(elements).max(wanted.quantization) };
        if density == 0 && !wanted.lines {
            return plain;
        }
        let sampled = Statistics { quantization: density, ..plain.statistics };
        let block = LARGEST_BLOCK as u32;
        match row.and_then(|row| u32::try_from(row).ok()) {
            Some(row) if row <= most => {
                let count = most / row * row;
                let rows = (u64::from(count)).min(elements) / u64::from(row);
                let lines = wanted.lines && rows >= ROWS && rows + u64::from(row) <= MAX_LINES as u64;
                Cut { count, row, statistics: Statistics { lines, ..sampled } }
            }
            // Smaller chunks than blocks have nothing to quantize.
            _ if most < block => plain,
            Some(row) => {
                let parts = row.div_ceil(most / block * block);
                Cut { count: row.div_ceil(parts).next_multiple_of(block), row, statistics: sampled }
            }
            None => Cut { count: most / block * block, row: 0, statistics: sampled },
        }
    }
}

/// Of how many elements one is quantized.
fn density(elements: u64) -> u8 {
    match elements / SAMPLES {
        0..2 => 1,
        2..4 => 2,
        4..8 => 4,
        8..16 => 8,
        16..32 => 16,
        32..64 => 32,
        _ => 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVERYTHING: Statistics = Statistics::FULL;

    fn cut(chunk_bytes: usize, elements: u64, row: Option<u64>) -> Cut {
        Cutting { chunk_bytes, wanted: EVERYTHING }.cut(Element::F32, elements, row)
    }

    #[test]
    fn chunks_hold_whole_rows_where_rows_fit() {
        let found = cut(1 << 20, 768 * 3072, Some(768));
        assert_eq!((found.count, found.row), (341 * 768, 768));
        assert_eq!((found.statistics.quantization, found.statistics.lines), (64, true));
        // 1000 elements in chunks of at most 256: four parts, of 256 but the last.
        let found = cut(1 << 10, 4000, Some(1000));
        assert_eq!((found.count, found.row, found.statistics.lines), (256, 1000, false));
        assert!(!cut(1 << 22, 1 << 24, Some(1 << 17)).statistics.lines, "an answer has room for fewer columns");
        assert_eq!(cut(100, 4000, Some(1000)).statistics, Statistics::TAILS);
        assert_eq!(cut(1 << 20, 50, None).statistics, Statistics { lines: false, ..EVERYTHING });
    }

    #[test]
    fn the_moments_alone_need_no_rows() {
        let found = Cutting { chunk_bytes: 1000, wanted: Statistics::MOMENTS }.cut(Element::F32, 5000, Some(100));
        assert_eq!(found, Cut { count: 250, row: 0, statistics: Statistics::MOMENTS });
    }

    proptest! {
        #[test]
        fn no_chunk_is_larger_than_allowed(bytes in 8usize..100_000, elements in 1u64..10_000_000, row in 32u64..20_000) {
            let found = cut(bytes, elements, Some(row));
            prop_assert!(found.count as usize * 4 <= bytes.max(4) && found.count > 0);
        }
    }
}
