//! The elements that are to be quantized, until the rows that they are from are complete and all scales known.

use alloc::vec::Vec;

use kurtoscope_shared::quantization::{LARGEST_BLOCK as GROUP, Scheme, nearest};

use super::{
    GROUPS, SMALL, SMALLS, Sums, kernel,
    scales::{self, Scales},
    survey::{self, BlockExtremes},
    vector::LANES,
};

/// Samples, and what the scales of their blocks come from.
#[derive(Default)]
pub(super) struct Samples {
    /// One of every eight consecutive elements of a group, repeatedly.
    values: Vec<[f32; LANES]>,
    /// For each of them the number of its group, among those that samples are taken of.
    groups: Vec<u32>,
    /// The extremes of each group's blocks.
    extremes: Vec<BlockExtremes>,
    /// The largest magnitude in each group's row, repeated for every small block; as far as rows are complete.
    row_largest: Vec<BlockExtremes>,
    /// How many samples there were when the current row began.
    before_row: usize,
}

impl Samples {
    /// Takes every `stride`th sample of a group, from the one at shift `first`. Returns how many that are.
    pub(super) fn take(&mut self, group: &[f32; GROUP], extremes: BlockExtremes, first: usize, stride: usize) -> usize {
        let before = self.values.len();
        survey::sample(group, first, stride, &mut self.values);
        self.groups.resize(self.values.len(), self.extremes.len() as u32);
        self.extremes.push(extremes);
        self.values.len() - before
    }

    /// How many samples the current row has.
    pub(super) fn of_row(&self) -> usize {
        self.values.len() - self.before_row
    }

    /// Discards the current row.
    pub(super) fn drop_row(&mut self) {
        self.values.truncate(self.before_row);
        self.groups.truncate(self.before_row);
        self.extremes.truncate(self.row_largest.len());
    }

    /// The current row is complete, and `largest` the largest magnitude in it. Where enough groups have come together,
    /// their sums are added to `sums`.
    pub(super) fn end_row(&mut self, largest: f32, scales: &mut Scales, sums: &mut Sums) {
        self.row_largest.resize(self.extremes.len(), [largest; SMALLS]);
        self.before_row = self.values.len();
        if self.extremes.len() >= GROUPS {
            self.sum_up(scales, sums);
        }
    }

    /// Quantizes all samples, adds the squared errors to `sums`, and begins anew.
    pub(super) fn sum_up(&mut self, scales: &mut Scales, sums: &mut Sums) {
        let (mut values, mut groups) = (self.values.as_slice(), self.groups.as_slice());
        let lists = self.extremes.chunks(GROUPS).zip(self.row_largest.chunks(GROUPS));
        for (number, (extremes, row_largest)) in lists.enumerate() {
            let begin = (number * GROUPS) as u32;
            let count = groups.partition_point(|group| *group < begin + GROUPS as u32);
            let (now, later) = values.split_at(count);
            let (groups_now, groups_later) = groups.split_at(count);
            (values, groups) = (later, groups_later);
            let found = if scales::find(scales, extremes, row_largest) {
                kernel::sums(now, groups_now, begin, scales)
            } else {
                one_by_one(now, groups_now, begin, extremes, row_largest)
            };
            for (sum, found) in sums.iter_mut().zip(found) {
                *sum += found;
            }
        }
        self.values.clear();
        self.groups.clear();
        self.extremes.clear();
        self.row_largest.clear();
        self.before_row = 0;
    }
}

/// The squared errors of samples, one at a time and by the definition: for scales that binary32 does not hold well.
fn one_by_one(
    values: &[[f32; LANES]],
    groups: &[u32],
    begin: u32,
    extremes: &[BlockExtremes],
    row_largest: &[BlockExtremes],
) -> Sums {
    let mut sums = [0.0; Scheme::ALL.len()];
    let further = |a: f32, b: f32| if b.abs() > a.abs() { b } else { a };
    for (values, group) in values.iter().zip(groups) {
        let group = (group - begin) as usize;
        for (lane, value) in values.iter().enumerate() {
            let small = lane % SMALLS;
            for scheme in Scheme::ALL {
                let extreme = match scheme.block() {
                    None => row_largest[group][small],
                    Some(block) => {
                        let smalls = block / SMALL;
                        let begin = small / smalls * smalls;
                        extremes[group][begin..begin + smalls].iter().copied().fold(0.0, further)
                    }
                };
                let error = f64::from(*value) - f64::from(nearest(scheme, extreme, *value));
                sums[scheme as usize] += error * error;
            }
        }
    }
    sums
}
