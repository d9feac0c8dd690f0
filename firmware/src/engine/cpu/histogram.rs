//! Counting magnitudes into the bins of a [`MagnitudeHistogram`].

use alloc::{boxed::Box, vec, vec::Vec};

use kurtoscope_shared::{MagnitudeHistogram, statistics::histogram::BINS};

use super::{
    BLOCK, PARTS,
    collect::{Block, Collect, Collector},
    decode::Sample,
    prefetch::prefetch,
};
use crate::engine::ChunkSpec;

/// Neighbours are often in the same bin, and a counter cannot be raised twice in a row at full speed: two tables take
/// turns where memory allows.
const TABLES: usize = if cfg!(feature = "std") { 2 } else { 1 };

/// Bins of one table: a power of two, so that a masked index needs no check. Those from [`BINS`] on take what is not
/// finite.
const SLOTS: usize = BINS.next_power_of_two();

/// A histogram in the making.
pub struct HistogramCollector {
    tables: Vec<[u32; SLOTS]>,
    zeros: u64,
    /// Bytes of the next block that are brought into the cache while one part is counted.
    part_bytes: usize,
}

impl Collect for MagnitudeHistogram {
    type Collector<'a, S: Sample> = HistogramCollector;
}

impl<S: Sample> Collector<'_, S> for HistogramCollector {
    type Statistic = MagnitudeHistogram;

    fn new((): (), spec: &ChunkSpec, _: &[u8]) -> Self {
        Self { tables: vec![[0; SLOTS]; TABLES], zeros: 0, part_bytes: BLOCK / PARTS * spec.element.size() }
    }

    fn take(&mut self, block: &Block<'_, S>) {
        // The slowest of the passes: meanwhile the next block comes into the cache.
        let mut next = block.next.chunks(self.part_bytes);
        for part in block.samples.chunks(BLOCK / PARTS) {
            prefetch(next.next().unwrap_or_default());
            self.count(part);
        }
        self.zeros += block.zeros;
    }

    fn take_finite(&mut self, samples: &[S], zeros: u64) {
        self.count(samples);
        self.zeros += zeros;
    }

    /// The counts, without the zeros, which the first bin had taken.
    fn finish(self) -> MagnitudeHistogram {
        let mut sums: Box<[u64]> = vec![0; BINS].into();
        for table in &self.tables {
            for (sum, count) in sums.iter_mut().zip(table) {
                *sum += u64::from(*count);
            }
        }
        sums[0] -= self.zeros.min(sums[0]);
        MagnitudeHistogram::from_dense(&sums)
    }
}

impl HistogramCollector {
    /// Counts samples.
    fn count<S: Sample>(&mut self, block: &[S]) {
        let Some(tables) = self.tables.first_chunk_mut::<TABLES>() else { return };
        let (groups, rest) = block.as_chunks::<TABLES>();
        for group in groups {
            for (table, sample) in tables.iter_mut().zip(group) {
                raise(table, *sample);
            }
        }
        for sample in rest {
            raise(&mut tables[0], *sample);
        }
    }
}

#[inline(always)]
fn raise<S: Sample>(table: &mut [u32; SLOTS], sample: S) {
    let count = &mut table[sample.bin() & (SLOTS - 1)];
    *count = count.wrapping_add(1);
}
