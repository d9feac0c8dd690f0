//! The errors of quantizing a chunk in blocks, scheme by scheme; see [`kurtoscope_shared::quantization`] for what they
//! are.
//!
//! Rows are cut into groups of 128 elements, the largest block, the last one filled up with zeros: every scheme keeps
//! zeros exactly, so that they add neither error nor scale. Every block's scale comes from all of its elements. Which
//! elements are then quantized is said in [`survey`].

mod kernel;
mod nf4;
mod scales;
mod survey;
mod vector;

use alloc::vec::Vec;

use kurtoscope_shared::quantization::{Errors, LARGEST_BLOCK as GROUP, Noise, Scales as Squares, Scheme, nearest};

use scales::Scales;
use survey::{Extremes, Pick, is_uneven, shifts};
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

/// The ratio of largest magnitudes in groups above which a row is quantized in full. Such a row can carry a share of all
/// errors of the schemes with a scale a row that its samples alone would not tell well.
const UNEVEN_ROW: f32 = 6.0;

/// Sums by scheme, in the order of [`Scheme::ALL`].
type Sums = [f64; Scheme::ALL.len()];

/// Quantizes rows that arrive in pieces, in order.
pub(super) struct Quantizer {
    /// Of how many elements one is quantized: 1, 2, 4, 8, 16, 32 or 64.
    density: usize,
    /// The number of the row at hand, counted from the tensor's first.
    row: u64,
    /// Groups of this row that came before, in this chunk or an earlier one.
    groups_before: u64,
    /// A group that is not complete, filled up with zeros, and how many elements it has.
    partial: [f32; GROUP],
    filled: usize,
    /// Complete groups whose rows are not summed yet.
    surveys: Vec<Extremes>,
    /// For each of them, the largest magnitude in its row, once a small block.
    row_largest: Vec<Extremes>,
    /// Where in `surveys` the row at hand begins, and where in the samples.
    row_begin: usize,
    samples_begin: [usize; 2],
    /// The scales of this row's blocks, and how many groups of it samples are taken of.
    row_blocks: Squares,
    row_groups: usize,
    /// Samples of the groups of which every `density`th element is quantized, and of those that are quantized in full.
    sampled: Samples,
    full: Samples,
    /// Whether the row at hand is quantized in full.
    is_in_full: bool,
    errors: [Errors; Scheme::ALL.len()],
    blocks: Squares,
    rows: Squares,
    scales: Scales,
}

/// Elements to quantize, and the groups that they are from.
#[derive(Default)]
struct Samples {
    values: Vec<[f32; LANES]>,
    picks: Vec<Pick>,
}

impl Quantizer {
    /// A quantizer whose first element is in `row`, behind `groups_before` groups of it. One of `density` elements is
    /// quantized.
    pub(super) fn new(density: u8, row: u64, groups_before: u64) -> Self {
        Self {
            density: usize::from(density.max(1)),
            row,
            groups_before,
            partial: [0.0; GROUP],
            filled: 0,
            surveys: Vec::new(),
            row_largest: Vec::new(),
            row_begin: 0,
            samples_begin: [0; 2],
            row_blocks: Squares::default(),
            row_groups: 0,
            sampled: Samples::default(),
            full: Samples::default(),
            is_in_full: false,
            errors: [Errors::default(); Scheme::ALL.len()],
            blocks: Squares::default(),
            rows: Squares::default(),
            scales: Scales::ZERO,
        }
    }

    /// Takes the next elements of the row at hand; all of them finite.
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

    /// The row at hand is complete. `again` gives its elements once more, should it have to be quantized in full; none where
    /// an earlier chunk has a part of them.
    pub(super) fn end_row(&mut self, again: Option<impl FnOnce(&mut Vec<f32>)>) {
        self.end_group();
        let (mut largest, mut least) = (0f32, f32::INFINITY);
        for [a, b, c, d] in self.surveys[self.row_begin..].iter().map(|extremes| extremes.map(f32::abs)) {
            let of_group = larger(larger(a, b), larger(c, d));
            largest = larger(largest, of_group);
            least = if of_group < least && of_group > 0.0 { of_group } else { least };
        }
        if let Some(again) = again.filter(|_| self.density > 1 && largest > UNEVEN_ROW * least) {
            self.take_in_full(again);
        }
        let square = f64::from(largest) * f64::from(largest);
        let picks = self.sampled.picks.len() - self.samples_begin[0];
        self.rows.all += square * self.row_groups as f64;
        self.rows.sampled += square * picks as f64 * SHARE;
        self.row_largest.resize(self.surveys.len(), [largest; SMALLS]);
        (self.row, self.groups_before) = (self.row + 1, 0);
        self.begin_row();
        if self.surveys.len() >= GROUPS {
            self.sum_up();
        }
    }

    /// Quantizes the row at hand once more, every element of it.
    fn take_in_full(&mut self, again: impl FnOnce(&mut Vec<f32>)) {
        let mut elements = Vec::new();
        again(&mut elements);
        for (list, begin) in [&mut self.sampled, &mut self.full].into_iter().zip(self.samples_begin) {
            list.picks.truncate(begin);
            list.values.truncate(begin);
        }
        self.surveys.truncate(self.row_begin);
        (self.row_blocks, self.row_groups) = (Squares::default(), 0);
        self.is_in_full = true;
        self.take(&elements);
        self.end_group();
        self.is_in_full = false;
    }

    fn begin_row(&mut self) {
        self.blocks.all += self.row_blocks.all;
        self.blocks.sampled += self.row_blocks.sampled;
        (self.row_blocks, self.row_groups) = (Squares::default(), 0);
        self.row_begin = self.surveys.len();
        self.samples_begin = [self.sampled.picks.len(), self.full.picks.len()];
    }

    /// The errors; those of schemes with a scale a row only where `has_whole_rows`. A sum that left the range of its
    /// numbers is not stated.
    pub(super) fn finish(mut self, has_whole_rows: bool) -> Noise {
        if self.row_begin < self.surveys.len() || self.filled > 0 {
            // The part of a row, for which no scheme with a scale a row is stated.
            self.end_group();
            self.row_largest.resize(self.surveys.len(), [0.0; SMALLS]);
        }
        self.sum_up();
        let is_stated = |scheme: Scheme, errors: &Errors| {
            (scheme.block().is_some() || has_whole_rows) && errors.in_full.is_finite() && errors.sampled.is_finite()
        };
        let errors = Scheme::ALL.into_iter().zip(self.errors);
        let errors = errors.map(|(scheme, errors)| Some(errors).filter(|errors| is_stated(scheme, errors)));
        Noise { errors: errors.collect(), blocks: self.blocks, rows: self.rows }
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

    /// Takes complete groups of the row at hand.
    fn groups(&mut self, groups: &[[f32; GROUP]]) {
        let begin = self.surveys.len();
        survey::survey(groups, &mut self.surveys);
        for (number, survey) in self.surveys[begin..].iter().enumerate() {
            let is_in_full = self.is_in_full || self.density > 1 && is_uneven(survey);
            let (density, list) = if is_in_full { (1, &mut self.full) } else { (self.density, &mut self.sampled) };
            let group = (begin + number) as u32;
            let shifts = shifts(self.row, self.groups_before + number as u64, density);
            let before = list.picks.len();
            list.picks.extend(shifts.map(|shift| Pick { group, shift }));
            if !is_in_full {
                // In binary64, where no square of a binary32 is out of range.
                let [a, b, c, d] = survey.map(f64::from);
                let square = (a * a + b * b) + (c * c + d * d);
                self.row_groups += 1;
                self.row_blocks.all += square;
                self.row_blocks.sampled += square * (list.picks.len() - before) as f64 * SHARE;
            }
        }
        for list in [&mut self.sampled, &mut self.full] {
            survey::sample(groups, begin as u32, &list.picks[list.values.len()..], &mut list.values);
        }
        self.groups_before += groups.len() as u64;
    }

    /// Quantizes the samples of all complete rows.
    fn sum_up(&mut self) {
        let (mut sampled, mut full) = (self.sampled.cursor(), self.full.cursor());
        for (number, (surveys, row_largest)) in
            self.surveys.chunks(GROUPS).zip(self.row_largest.chunks(GROUPS)).enumerate()
        {
            let begin = number * GROUPS;
            let end = (begin + surveys.len()) as u32;
            let are_safe = scales::find(&mut self.scales, surveys, row_largest);
            for (cursor, is_in_full) in [(&mut sampled, false), (&mut full, true)] {
                let (values, picks) = cursor.up_to(end);
                let sums = if are_safe {
                    kernel::sums(values, picks, begin as u32, &self.scales)
                } else {
                    one_by_one(values, picks, begin as u32, surveys, row_largest)
                };
                for (errors, sum) in self.errors.iter_mut().zip(sums) {
                    *(if is_in_full { &mut errors.in_full } else { &mut errors.sampled }) += sum;
                }
            }
        }
        self.surveys.clear();
        self.row_largest.clear();
        self.sampled.clear();
        self.full.clear();
        self.begin_row();
    }
}

impl Samples {
    fn cursor(&self) -> Cursor<'_> {
        Cursor { values: &self.values, picks: &self.picks }
    }

    fn clear(&mut self) {
        self.values.clear();
        self.picks.clear();
    }
}

fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// What is left of a list of samples.
struct Cursor<'a> {
    values: &'a [[f32; LANES]],
    picks: &'a [Pick],
}

impl<'a> Cursor<'a> {
    /// Takes the samples of groups below `end`.
    fn up_to(&mut self, end: u32) -> (&'a [[f32; LANES]], &'a [Pick]) {
        let taken = self.picks.partition_point(|pick| pick.group < end);
        let (values, picks);
        (values, self.values) = self.values.split_at(taken);
        (picks, self.picks) = self.picks.split_at(taken);
        (values, picks)
    }
}

/// The squared errors of samples, one at a time and by the definition: for scales that binary32 does not hold well.
fn one_by_one(
    values: &[[f32; LANES]],
    picks: &[Pick],
    begin: u32,
    surveys: &[Extremes],
    row_largest: &[Extremes],
) -> Sums {
    let mut sums = [0.0; Scheme::ALL.len()];
    let further = |a: f32, b: f32| if b.abs() > a.abs() { b } else { a };
    for (values, pick) in values.iter().zip(picks) {
        let group = (pick.group - begin) as usize;
        for (lane, value) in values.iter().enumerate() {
            let small = lane % SMALLS;
            for scheme in Scheme::ALL {
                let extreme = match scheme.block() {
                    None => row_largest[group][small],
                    Some(block) => {
                        let smalls = block / SMALL;
                        let begin = small / smalls * smalls;
                        surveys[group][begin..begin + smalls].iter().copied().fold(0.0, further)
                    }
                };
                let error = f64::from(*value) - f64::from(nearest(scheme, extreme, *value));
                sums[scheme as usize] += error * error;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests;
