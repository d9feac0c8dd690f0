//! The errors of quantizing a chunk in blocks, scheme by scheme; see [`kurtoscope_shared::quantization`] for what they
//! are.
//!
//! Rows are cut into groups of 128 elements, the largest block, the last one filled up with zeros: every scheme keeps
//! zeros exactly, so that they add neither error nor scale. Every block's scale comes from all of its elements. Which
//! elements are then quantized is specified in [`survey`].

mod collector;
mod kernel;
mod nf4;
mod samples;
mod scales;
mod survey;
mod vector;

use alloc::vec::Vec;

use kurtoscope_shared::{
    QuantizationErrors,
    quantization::{LARGEST_BLOCK as GROUP, Scheme},
    statistics::{SampleStride, ScaleSums, SquaredErrors},
};

use samples::Samples;
use scales::Scales;
use survey::{BlockExtremes, Magnitudes, PER_LANE, first_shift};
use vector::LANES;

/// The smallest block of any scheme.
const SMALL: usize = 32;
/// Small blocks in a group.
const SMALLS: usize = GROUP / SMALL;
/// Groups whose scales are found together.
const GROUPS: usize = if cfg!(feature = "std") { 32 } else { 2 };

/// Largest magnitudes between which no square of an error leaves what binary32 holds well. Blocks beyond are quantized
/// one element at a time, in binary64.
const SAFE: core::ops::Range<f32> = 1e-12..1e15;

/// The share of a group that one sample of each lane takes.
const SHARE: f64 = LANES as f64 / GROUP as f64;

/// The ratio of largest magnitudes in small blocks above which a group is quantized in full.
const UNEVEN_GROUP: f32 = 3.0;

/// The ratio of largest magnitudes in groups above which a row is quantized in full. Such a row can carry a share of all
/// errors of the schemes with a scale a row that its samples alone would not estimate well.
const UNEVEN_ROW: f32 = 6.0;

/// Sums by scheme, in the order of [`Scheme::ALL`].
type Sums = [f64; Scheme::ALL.len()];

/// Quantizes rows that arrive in pieces, in order.
pub(super) struct Quantizer {
    /// Of how many elements one is quantized: 1, 2, 4, 8, 16, 32 or 64.
    stride: usize,
    /// The number of the current row, counted from the tensor's first.
    row: u64,
    /// Groups of this row that came before, in this chunk or an earlier one.
    groups_before: u64,
    /// A group that is not complete, filled up with zeros, and how many elements it has.
    partial: [f32; GROUP],
    filled: usize,
    /// Where the extremes of the groups that are taken together are put.
    surveys: Vec<BlockExtremes>,
    /// The largest magnitudes in the groups of the current row.
    row_magnitudes: Magnitudes,
    /// The scales of its blocks, and how many groups of it samples are taken of.
    row_blocks: ScaleSums,
    row_groups: usize,
    /// Samples of the groups of which every `stride`th element is quantized, and of those that are quantized in full.
    sampled: Samples,
    full: Samples,
    /// Whether the current row is quantized in full.
    is_in_full: bool,
    /// Squared errors of both.
    sampled_errors: Sums,
    full_errors: Sums,
    blocks: ScaleSums,
    rows: ScaleSums,
    scales: Scales,
}

impl Quantizer {
    /// A quantizer whose first element is in `row`, behind `groups_before` groups of it. One of `stride` elements is
    /// quantized.
    pub(super) fn new(stride: SampleStride, row: u64, groups_before: u64) -> Self {
        Self {
            stride: usize::from(stride.get()),
            row,
            groups_before,
            partial: [0.0; GROUP],
            filled: 0,
            surveys: Vec::new(),
            row_magnitudes: Magnitudes::NONE,
            row_blocks: ScaleSums::default(),
            row_groups: 0,
            sampled: Samples::default(),
            full: Samples::default(),
            is_in_full: false,
            sampled_errors: [0.0; Scheme::ALL.len()],
            full_errors: [0.0; Scheme::ALL.len()],
            blocks: ScaleSums::default(),
            rows: ScaleSums::default(),
            scales: Scales::ZERO,
        }
    }

    /// Takes the next elements of the current row; all of them finite.
    pub(super) fn take(&mut self, mut elements: &[f32]) {
        if self.filled > 0 {
            let taken = elements.len().min(GROUP - self.filled);
            self.partial[self.filled..self.filled + taken].copy_from_slice(&elements[..taken]);
            self.filled += taken;
            elements = &elements[taken..];
            if self.filled < GROUP {
                return;
            }
            self.end_group();
        }
        let (groups, rest) = elements.as_chunks::<GROUP>();
        self.groups(groups);
        self.partial[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    /// The current row is complete. `again` gives its elements again if it has to be quantized in full; none where
    /// an earlier chunk has a part of them.
    pub(super) fn end_row(&mut self, again: Option<impl FnOnce(&mut Vec<f32>)>) {
        self.end_group();
        if let Some(again) = again.filter(|_| self.stride > 1 && self.row_magnitudes.differ_by(UNEVEN_ROW)) {
            self.take_in_full(again);
        }
        let largest = self.row_magnitudes.largest;
        let square = f64::from(largest) * f64::from(largest);
        self.rows.all += square * self.row_groups as f64;
        self.rows.sampled += square * self.sampled.of_row() as f64 * SHARE;
        self.close_row(largest);
        (self.row, self.groups_before) = (self.row + 1, 0);
    }

    /// Quantizes the current row again, every element of it.
    fn take_in_full(&mut self, again: impl FnOnce(&mut Vec<f32>)) {
        let mut elements = Vec::new();
        again(&mut elements);
        self.sampled.drop_row();
        self.full.drop_row();
        (self.row_blocks, self.row_groups) = (ScaleSums::default(), 0);
        self.is_in_full = true;
        self.take(&elements);
        self.end_group();
        self.is_in_full = false;
    }

    /// Ends the current row, in which `largest` is the largest magnitude.
    fn close_row(&mut self, largest: f32) {
        self.sampled.end_row(largest, &mut self.scales, &mut self.sampled_errors);
        self.full.end_row(largest, &mut self.scales, &mut self.full_errors);
        self.blocks.all += self.row_blocks.all;
        self.blocks.sampled += self.row_blocks.sampled;
        (self.row_blocks, self.row_groups) = (ScaleSums::default(), 0);
        self.row_magnitudes = Magnitudes::NONE;
    }

    /// The errors; those of schemes with a scale a row only where `has_whole_rows`. A sum that left the range of its
    /// numbers is not stated.
    pub(super) fn finish(mut self, has_whole_rows: bool) -> QuantizationErrors {
        // What is left is the part of a row, for which no scheme with a scale a row is stated.
        self.end_group();
        self.close_row(0.0);
        self.sampled.sum_up(&mut self.scales, &mut self.sampled_errors);
        self.full.sum_up(&mut self.scales, &mut self.full_errors);
        let errors = self.sampled_errors.into_iter().zip(self.full_errors);
        let errors = errors.map(|(sampled, in_full)| SquaredErrors { in_full, sampled });
        let is_stated = |scheme: Scheme, errors: &SquaredErrors| {
            (scheme.block().is_some() || has_whole_rows) && errors.in_full.is_finite() && errors.sampled.is_finite()
        };
        let errors = Scheme::ALL.into_iter().zip(errors);
        let errors = errors.map(|(scheme, errors)| Some(errors).filter(|errors| is_stated(scheme, errors)));
        QuantizationErrors { errors: errors.collect(), blocks: self.blocks, rows: self.rows }
    }

    fn end_group(&mut self) {
        if self.filled == 0 {
            return;
        }
        self.partial[self.filled..].fill(0.0);
        self.filled = 0;
        let group = self.partial;
        self.groups(&[group]);
    }

    /// Takes complete groups of the current row.
    fn groups(&mut self, groups: &[[f32; GROUP]]) {
        self.surveys.clear();
        survey::survey(groups, &mut self.surveys);
        for (group, extremes) in groups.iter().zip(&self.surveys) {
            let magnitudes = Magnitudes::of(extremes);
            self.row_magnitudes.include(magnitudes.largest);
            if self.is_in_full || self.stride > 1 && magnitudes.differ_by(UNEVEN_GROUP) {
                self.full.take(group, *extremes, 0, 1);
            } else {
                // In binary64, where no square of a binary32 is out of range.
                let [a, b, c, d] = extremes.map(|extreme| f64::from(extreme) * f64::from(extreme));
                let square = (a + b) + (c + d);
                self.row_groups += 1;
                self.row_blocks.all += square;
                let first = first_shift(self.row, self.groups_before, self.stride);
                if first < PER_LANE {
                    let samples = self.sampled.take(group, *extremes, first, self.stride);
                    self.row_blocks.sampled += square * samples as f64 * SHARE;
                }
            }
            self.groups_before += 1;
        }
    }
}

#[cfg(test)]
mod tests;
