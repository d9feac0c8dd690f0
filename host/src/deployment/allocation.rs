//! A plan for an average number of bits: precisions spread over the matrices for the least noise, shown beside one precision
//! for all of them and beside the kurtosis rule.
//!
//! What is minimised is the sum of the matrices' relative errors, the measure of [`outcome`](super::outcome); bits are averaged
//! over the elements of the matrices that the target's tools quantize, scales included. The precisions to choose from are
//! the target's [ladder](super::target::Target::ladder).
//!
//! The kurtosis rule gives a matrix two bits more than the base where its fourth standardised moment is above 8, one more
//! above 5 and one less below 3.5. It has a base instead of a budget, and spends what it spends. So the largest base that
//! stays within the budget is taken, and besides the plan for the budget there is one for exactly the bits that the rule
//! spends: only these two are comparable.

use serde::Serialize;

use super::budget::{Choice, allocate};
use super::error_estimate::{self, ErrorEstimate};
use super::outcome::{Outcome, Rest, bytes_before, outcome};
use super::plan::{PlanError, not_measured, remarks, sorted};
use super::precision::Precision;
use super::target::Target;
use super::weights::{Matrix, elements};
use crate::record::Run;
use crate::scheme_key::SchemeKey;
use kurtoscope_checkpoint::model::Component;

/// A matrix and what it is stored as.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assigned {
    /// The checkpoint's name for it.
    pub name: String,
    /// Its place in the network.
    pub component: Component,
    /// Elements.
    pub elements: u64,
    /// Pearson kurtosis, which the kurtosis rule goes by.
    pub kurtosis: Option<f64>,
    /// What it is stored as.
    pub precision: Precision,
    /// Bits an element takes.
    pub bits_per_weight: f64,
    /// The error of that.
    pub noise: ErrorEstimate,
}

/// One precision for all matrices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Uniform {
    /// Which: of those within the budget the one with the least noise.
    pub precision: Precision,
    /// What it comes to.
    pub outcome: Outcome,
}

/// What the kurtosis rule makes of the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KurtosisRule {
    /// The bits that it starts from.
    pub base: u8,
    /// What it comes to.
    pub outcome: Outcome,
    /// The best choice for as many bits.
    pub best_at_its_bits: Outcome,
    /// Matrices whose bits the ladder does not have, stored in the next that it has.
    pub rounded: usize,
}

/// A plan for an average number of bits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Allocated {
    /// The target's name.
    pub target: &'static str,
    /// The bits that were asked for.
    pub budget: f64,
    /// The precisions to choose from.
    pub ladder: Vec<Precision>,
    /// The precision of most elements.
    pub common: Precision,
    /// What every matrix is stored as, in the checkpoint's order.
    pub entries: Vec<Assigned>,
    /// What the plan comes to.
    pub outcome: Outcome,
    /// No choice within the budget has a higher signal to noise than this; null where none is bounded.
    pub bound_db: Option<f64>,
    /// One precision for all; null where the cheapest exceeds the budget.
    pub uniform: Option<Uniform>,
    /// The kurtosis rule; null where its lowest base exceeds the budget.
    pub kurtosis_rule: Option<KurtosisRule>,
    /// Bytes of the model as it is stored.
    pub bytes_before: f64,
    /// Elements that are not quantized.
    pub others: u64,
    /// What a reader must know.
    pub remarks: Vec<String>,
}

/// A precision that a matrix can be stored in.
#[derive(Debug, Clone, Copy)]
struct Storage {
    step: Precision,
    precision: Precision,
    noise: ErrorEstimate,
}

impl Allocated {
    /// Spends `bits` an element on average.
    ///
    /// # Errors
    /// Where the budget is out of range, or the run lacks what the target rests on.
    pub fn of(run: &Run, target: &'static Target, bits: f64) -> Result<Self, PlanError> {
        let sorted = sorted(run, target)?;
        let ladder = target.ladder();
        let space = Space::of(&sorted.matrices, &ladder).map_err(|keys| not_measured(run, target, keys))?;
        let least = space.average(&space.cheapest());
        let out_of_range = || PlanError::Budget { bits, target: target.name.into(), least };
        // A budget given with two decimals may mean the cheapest itself.
        if !(bits >= least - 0.005 && bits <= 16.0) {
            return Err(out_of_range());
        }
        let rest = Rest::of(&sorted.others);
        let comes_to = |picked: &[usize]| outcome(&sorted.matrices, space.stored(picked), rest);
        let budget = bits.max(least);
        let (best, bound) = space.best(budget, &ladder).ok_or_else(out_of_range)?;
        let uniform =
            space.uniform(budget, &ladder).map(|(precision, picked)| Uniform { precision, outcome: comes_to(&picked) });
        let kurtosis_rule = space.kurtosis_rule(budget, &ladder).and_then(|(base, picked, rounded)| {
            let (best, _) = space.best(space.average(&picked), &ladder)?;
            Some(KurtosisRule { base, outcome: comes_to(&picked), best_at_its_bits: comes_to(&best), rounded })
        });
        let entries = space.assigned(&best);
        Ok(Self {
            target: target.name,
            budget: bits,
            common: common(&entries),
            outcome: comes_to(&best),
            bound_db: error_estimate::decibels(bound / sorted.matrices.len() as f64),
            uniform,
            kurtosis_rule,
            bytes_before: bytes_before(run, &sorted),
            others: sorted.others.iter().map(|tensor| elements(tensor)).sum(),
            remarks: remarks(&sorted.matrices),
            entries,
            ladder,
        })
    }
}

/// The precision of most elements; of two the one of fewer bits.
fn common(entries: &[Assigned]) -> Precision {
    let elements = |precision: Precision| -> u64 {
        entries.iter().filter(|entry| entry.precision == precision).map(|entry| entry.elements).sum()
    };
    let bits = |precision: Precision| std::cmp::Reverse(precision.nominal_bits());
    let precisions = entries.iter().map(|entry| entry.precision);
    precisions.max_by_key(|precision| (elements(*precision), bits(*precision))).unwrap_or(Precision::Unquantized)
}

/// Everything that can be chosen.
struct Space<'a> {
    matrices: &'a [Matrix<'a>],
    options: Vec<Vec<Storage>>,
    choices: Vec<Vec<Choice>>,
}

impl<'a> Space<'a> {
    /// The steps of the ladder that are known of each matrix; 16 bits always are. Where no matrix has any other, the keys
    /// that are missing.
    fn of(matrices: &'a [Matrix<'a>], ladder: &[Precision]) -> Result<Self, Vec<SchemeKey>> {
        let mut missing = Vec::new();
        let mut options = Vec::new();
        for matrix in matrices {
            let known = ladder.iter().filter_map(|step| {
                let precision = step.fitted(matrix.inputs);
                match error_estimate::of(matrix, precision) {
                    Ok(noise) => Some(Storage { step: *step, precision, noise }),
                    Err(keys) => {
                        missing.extend(keys);
                        None
                    }
                }
            });
            options.push(known.collect::<Vec<_>>());
        }
        let is_quantized = |option: &Storage| option.precision.is_quantized();
        if !missing.is_empty() && !options.iter().flatten().any(is_quantized) {
            return Err(missing);
        }
        let choices = matrices
            .iter()
            .zip(&options)
            .map(|(matrix, options)| {
                let choice = |option: &Storage| Choice {
                    bits: bits(matrix, option.precision),
                    noise: option.noise.relative_mse,
                };
                options.iter().map(choice).collect()
            })
            .collect();
        Ok(Self { matrices, options, choices })
    }

    fn cheapest(&self) -> Vec<usize> {
        let cheapest = |choices: &Vec<Choice>| {
            (0..choices.len()).min_by(|a, b| choices[*a].bits.total_cmp(&choices[*b].bits)).unwrap_or(0)
        };
        self.choices.iter().map(cheapest).collect()
    }

    fn weights(&self) -> f64 {
        self.matrices.iter().map(|matrix| elements(matrix.tensor) as f64).sum()
    }

    fn total(&self, picked: &[usize], of: fn(&Choice) -> f64) -> f64 {
        self.choices.iter().zip(picked).map(|(choices, option)| of(&choices[*option])).sum()
    }

    /// Average bits of a choice.
    fn average(&self, picked: &[usize]) -> f64 {
        self.total(picked, |choice| choice.bits) / self.weights().max(1.0)
    }

    /// The best choice within `bits` on average, and the least noise that any choice can have. One precision for all is a
    /// choice, too, and taken where the allocation is no better.
    fn best(&self, bits: f64, ladder: &[Precision]) -> Option<(Vec<usize>, f64)> {
        let chosen = allocate(&self.choices, bits * self.weights())?;
        let noise = |picked: &[usize]| self.total(picked, |choice| choice.noise);
        match self.uniform(bits, ladder) {
            Some((_, uniform)) if noise(&uniform) < chosen.noise => Some((uniform, chosen.bound)),
            _ => Some((chosen.options, chosen.bound)),
        }
    }

    /// The precision within `bits` that has least noise for all matrices.
    fn uniform(&self, bits: f64, ladder: &[Precision]) -> Option<(Precision, Vec<usize>)> {
        let within = ladder.iter().filter_map(|step| {
            let picked: Option<Vec<usize>> =
                self.options.iter().map(|options| options.iter().position(|option| option.step == *step)).collect();
            picked.filter(|picked| self.average(picked) <= bits * (1.0 + 1e-12)).map(|picked| (*step, picked))
        });
        within.min_by(|a, b| {
            let noise = |picked: &[usize]| self.total(picked, |choice| choice.noise);
            noise(&a.1).total_cmp(&noise(&b.1))
        })
    }

    /// The largest base of the kurtosis rule that stays within `bits`, and how many matrices got other bits than it asked
    /// for.
    fn kurtosis_rule(&self, bits: f64, ladder: &[Precision]) -> Option<(u8, Vec<usize>, usize)> {
        let lowest = ladder.iter().map(|step| step.nominal_bits()).min()?;
        (lowest..=8).rev().find_map(|base| {
            let asked: Vec<u8> = self.matrices.iter().map(|matrix| rule_bits(matrix.tensor.kurtosis, base)).collect();
            let picked: Option<Vec<usize>> =
                self.options.iter().zip(&asked).map(|(options, bits)| nearest(options, *bits)).collect();
            let picked = picked.filter(|picked| self.average(picked) <= bits * (1.0 + 1e-12))?;
            let got = self.options.iter().zip(&picked).map(|(options, option)| options[*option].step.nominal_bits());
            let rounded = got.zip(&asked).filter(|(got, asked)| got != *asked).count();
            Some((base, picked, rounded))
        })
    }

    fn stored<'b>(&'b self, picked: &'b [usize]) -> impl Iterator<Item = (Precision, ErrorEstimate)> + 'b {
        self.options.iter().zip(picked).map(|(options, option)| (options[*option].precision, options[*option].noise))
    }

    fn assigned(&self, picked: &[usize]) -> Vec<Assigned> {
        let stored = self.matrices.iter().zip(self.stored(picked));
        stored
            .map(|(matrix, (precision, noise))| Assigned {
                name: matrix.tensor.name.clone(),
                component: matrix.tensor.component,
                elements: elements(matrix.tensor),
                kurtosis: matrix.tensor.kurtosis,
                precision,
                bits_per_weight: precision.bits_per_weight(matrix.inputs),
                noise,
            })
            .collect()
    }
}

fn bits(matrix: &Matrix<'_>, precision: Precision) -> f64 {
    elements(matrix.tensor) as f64 * precision.bits_per_weight(matrix.inputs)
}

/// The bits that the kurtosis rule gives.
fn rule_bits(kurtosis: Option<f64>, base: u8) -> u8 {
    match kurtosis {
        Some(kurtosis) if kurtosis > 8.0 => base + 2,
        Some(kurtosis) if kurtosis > 5.0 => base + 1,
        Some(kurtosis) if kurtosis < 3.5 => base.saturating_sub(1),
        _ => base,
    }
}

/// The option of so many nominal bits, or the next above it, or the last; of several the one with least noise.
fn nearest(options: &[Storage], bits: u8) -> Option<usize> {
    let key = |option: &Storage| {
        let found = option.step.nominal_bits();
        (found < bits, found.abs_diff(bits))
    };
    (0..options.len()).min_by(|a, b| {
        let (a, b) = (&options[*a], &options[*b]);
        key(a).cmp(&key(b)).then(a.noise.relative_mse.total_cmp(&b.noise.relative_mse))
    })
}

#[cfg(test)]
#[path = "allocation_tests.rs"]
mod tests;
