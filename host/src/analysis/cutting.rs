//! How one target is cut into chunks, and what is measured of them: chunks hold whole rows where rows fit.

use kurtoscope_shared::{
    Element, Requests,
    quantization::LARGEST_BLOCK,
    statistics::{ChunkSpan, SampleStride},
};

/// Elements that are quantized of a target at least, where it has them: the relative standard deviation of a sum of squared
/// errors is then about 1/181, or 0.024 dB.
const SAMPLES: u64 = 1 << 15;
/// The fewest rows of a chunk whose fourth powers are worth a number for each column in its report.
const ROWS: u64 = 4;

/// The most rows and columns together in one report.
pub(super) const MAX_LINES: usize = 1 << 17;

/// The most bytes that a measurement takes, in a report or a journal.
pub(super) fn max_measurement_len() -> usize {
    // One row with as many columns as there may be is the longest.
    let lines = MAX_LINES as u64;
    Requests::LARGEST.largest_encoded_len(&ChunkSpan { offset: 0, count: lines, row: lines })
}

/// What holds for all targets of a plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cutting {
    /// The most bytes of a chunk.
    pub(super) chunk_bytes: usize,
    /// The most that is measured.
    pub(super) wanted: Requests,
}

/// How a target is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// Elements of a chunk; fewer at the end of a target, and of a row that is longer than this.
    pub(super) count: u32,
    /// Elements in a row, 0 for none.
    pub(super) row: u32,
    /// What is measured.
    pub(super) requests: Requests,
}

impl Cutting {
    /// Cuts `elements` elements in rows of `row`; as many are quantized as of a target of `sampled` elements.
    pub(super) fn cut(self, element: Element, elements: u64, sampled: u64, row: Option<u64>) -> Cut {
        let Self { chunk_bytes, wanted } = self;
        // A chunk holds at least one element, whatever the device announced.
        let most = u32::try_from(chunk_bytes / element.size()).unwrap_or(u32::MAX).max(1);
        let plain = Cut { count: most, row: 0, requests: wanted.without_rows() };
        if !wanted.goes_by_row() {
            return plain;
        }
        let quantization_errors = wanted.quantization_errors.map(|longest| sample_stride(sampled).max(longest));
        // By row and by column there is something to say of many whole rows alone.
        let sampled = Requests { quantization_errors, ..plain.requests };
        let block = LARGEST_BLOCK as u32;
        match row.and_then(|row| u32::try_from(row).ok()) {
            Some(row) if row <= most => {
                let count = most / row * row;
                let rows = (u64::from(count)).min(elements) / u64::from(row);
                let has_lines = rows >= ROWS && rows + u64::from(row) <= MAX_LINES as u64;
                let all = Requests { quantization_errors, ..wanted };
                Cut { count, row, requests: if has_lines { all } else { sampled } }
            }
            // Smaller chunks than blocks have nothing to quantize.
            _ if most < block => plain,
            Some(row) => {
                let parts = row.div_ceil(most / block * block);
                Cut { count: row.div_ceil(parts).next_multiple_of(block), row, requests: sampled }
            }
            None => Cut { count: most / block * block, row: 0, requests: sampled },
        }
    }
}

/// The stride with which a target of so many elements is sampled.
fn sample_stride(elements: u64) -> SampleStride {
    let longest = SampleStride::LONGEST.get();
    let stride = u8::try_from(elements / SAMPLES).unwrap_or(longest).clamp(1, longest);
    // The largest power of two that leaves as many samples.
    SampleStride::new(1 << stride.ilog2()).unwrap_or(SampleStride::EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVERYTHING: Requests = Requests::FULL;

    fn cut(chunk_bytes: usize, elements: u64, row: Option<u64>) -> Cut {
        Cutting { chunk_bytes, wanted: EVERYTHING }.cut(Element::F32, elements, elements, row)
    }

    #[test]
    fn chunks_hold_whole_rows_where_rows_fit() {
        let found = cut(1 << 20, 768 * 3072, Some(768));
        assert_eq!((found.count, found.row), (341 * 768, 768));
        assert_eq!(found.requests.quantization_errors, Some(SampleStride::LONGEST));
        assert!(found.requests.row_column_sums.is_some());
        // 1000 elements in chunks of at most 256: four parts, of 256 but the last.
        let found = cut(1 << 10, 4000, Some(1000));
        assert_eq!((found.count, found.row, found.requests.row_column_sums), (256, 1000, None));
        assert!(
            cut(1 << 22, 1 << 24, Some(1 << 17)).requests.row_column_sums.is_none(),
            "an answer holds fewer columns"
        );
        assert_eq!(cut(100, 4000, Some(1000)).requests, Requests::TAILS);
        assert_eq!(cut(1 << 20, 50, None).requests, Requests { row_column_sums: None, ..EVERYTHING });
    }

    #[test]
    fn the_moments_alone_need_no_rows() {
        let found = Cutting { chunk_bytes: 1000, wanted: Requests::MOMENTS }.cut(Element::F32, 5000, 5000, Some(100));
        assert_eq!(found, Cut { count: 250, row: 0, requests: Requests::MOMENTS });
    }

    proptest! {
        #[test]
        fn no_chunk_is_larger_than_allowed(bytes in 8usize..100_000, elements in 1u64..10_000_000, row in 32u64..20_000) {
            let found = cut(bytes, elements, Some(row));
            prop_assert!(found.count as usize * 4 <= bytes.max(4) && found.count > 0);
        }
    }
}
