//! Counting magnitudes into the bins of a [`Tail`].

use alloc::{boxed::Box, vec, vec::Vec};

use kurtoscope_shared::{Tail, tail::BINS};

use super::decode::Sample;

/// Neighbours are often in the same bin, and a counter cannot be raised twice in a row at full speed: two tables take
/// turns where memory allows.
const TABLES: usize = if cfg!(feature = "std") { 2 } else { 1 };

/// Bins of one table: a power of two, so that a masked index needs no check. Those from [`BINS`] on take what is not
/// finite.
const SLOTS: usize = BINS.next_power_of_two();

/// A histogram in the making.
pub(super) struct Histogram {
    tables: Vec<[u32; SLOTS]>,
    zeros: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { tables: vec![[0; SLOTS]; TABLES], zeros: 0 }
    }

    /// Counts samples.
    pub(super) fn count<S: Sample>(&mut self, block: &[S]) {
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

    /// Says that of the samples counted so many are zero.
    pub(super) fn leave_out(&mut self, zeros: u64) {
        self.zeros += zeros;
    }

    /// The counts, without the zeros, which the first bin had taken.
    pub(super) fn finish(self) -> Tail {
        let mut sums: Box<[u64]> = vec![0; BINS].into();
        for table in &self.tables {
            for (sum, count) in sums.iter_mut().zip(table) {
                *sum += u64::from(*count);
            }
        }
        sums[0] -= self.zeros.min(sums[0]);
        Tail::from_dense(&sums)
    }
}

#[inline(always)]
fn raise<S: Sample>(table: &mut [u32; SLOTS], sample: S) {
    let count = &mut table[sample.bin() & (SLOTS - 1)];
    *count = count.wrapping_add(1);
}
