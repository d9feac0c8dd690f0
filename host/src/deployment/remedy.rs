//! Where a matrix's outliers are and what helps: a table of rules, tried in order, over a run's figures. The
//! thresholds are data, and every verdict carries the rule and the matrix's own numbers.
//!
//! The first rule whose conditions all hold decides. Cheap remedies come first: no remedy, clipping, a scale per channel, a
//! scale per group; then a rotation, which changes the network around the matrix; then not quantizing it. A remedy counts
//! only where the signal to noise that it reaches passes (see [`target`](super::target)).
//!
//! Clipping is judged by its error alone. Single huge weights can matter to a network beyond their share of the squares, so
//! evaluate a model whose weights were clipped.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error_estimate::{self, Basis};
use super::precision::{GroupSize, Precision, Scale};
use super::target::thresholds;
use super::weights::Matrix;
use crate::record::WithoutTop;
use crate::scheme_key::TensorScheme;

/// What helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// One scale for the tensor will do.
    None,
    /// One scale for the tensor, short of the largest magnitudes.
    Clipping,
    /// A scale for each output channel.
    ChannelScale,
    /// A scale for each group of 32 inputs.
    GroupScale,
    /// An orthogonal rotation of the inputs, undone elsewhere in the network (QuaRot, SpinQuant).
    Rotation,
    /// 16 bits.
    #[serde(rename = "keep_sixteen")]
    KeepUnquantized,
}

impl Treatment {
    /// In reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none needed",
            Self::Clipping => "clipping",
            Self::ChannelScale => "channel scale",
            Self::GroupScale => "group scale (32)",
            Self::Rotation => "rotation",
            Self::KeepUnquantized => "keep in 16 bit",
        }
    }
}

/// A figure that rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Pearson kurtosis.
    Kurtosis,
    /// Pearson kurtosis without the 16 farthest weights.
    #[serde(rename = "kurtosis_without_16")]
    KurtosisWithout16,
    /// The part of the excess kurtosis that goes with the 16 farthest weights.
    IsolatedShare,
    /// The share of `Σx⁴` in the heaviest hundredth of the output channels, over an even share.
    RowConcentration,
    /// The same of the input channels.
    ColumnConcentration,
    /// dB with one scale for the tensor.
    PerTensor,
    /// dB with one scale for the tensor, clipped.
    Clipped,
    /// dB that clipping gains.
    ClippingGain,
    /// dB with a scale per output channel.
    PerChannel,
    /// dB that this gains over one scale for the tensor.
    ChannelGain,
    /// dB with a scale per group of 32.
    PerGroup,
    /// dB that this gains over a scale per channel, or over one for the tensor where channels were not measured.
    GroupGain,
    /// dB of normal weights in groups of 32: what a rotation comes close to.
    Rotated,
}

impl Quantity {
    /// Every quantity, in the order in which verdicts list them.
    pub const ALL: [Self; 13] = [
        Self::Kurtosis,
        Self::KurtosisWithout16,
        Self::IsolatedShare,
        Self::RowConcentration,
        Self::ColumnConcentration,
        Self::PerTensor,
        Self::Clipped,
        Self::ClippingGain,
        Self::PerChannel,
        Self::ChannelGain,
        Self::PerGroup,
        Self::GroupGain,
        Self::Rotated,
    ];

    /// In rules.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kurtosis => "kurtosis",
            Self::KurtosisWithout16 => "kurtosis w/o 16",
            Self::IsolatedShare => "share of the excess in 16 weights",
            Self::RowConcentration => "heaviest 1 % of output channels, times an even share",
            Self::ColumnConcentration => "heaviest 1 % of input channels, times an even share",
            Self::PerTensor => "dB per tensor",
            Self::Clipped => "dB clipped",
            Self::ClippingGain => "dB gained by clipping",
            Self::PerChannel => "dB per channel",
            Self::ChannelGain => "dB gained per channel",
            Self::PerGroup => "dB per group of 32",
            Self::GroupGain => "dB gained per group",
            Self::Rotated => "dB of normal weights per group of 32",
        }
    }
}

/// What a quantity must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    /// A number.
    AtLeast(f64),
    /// Less than a number.
    Below(f64),
    /// The decibels at which a matrix passes at these bits.
    Pass,
}

/// A rule: the remedy, where it holds, and why.
struct Rule {
    treatment: Treatment,
    when: &'static [(Quantity, Limit)],
    because: &'static str,
}

/// Decibels that a remedy must gain to be worth its cost: half a bit.
const WORTH_IT: f64 = 3.0;
/// Times an even share from which channels stand out. Normal weights stay below 1.5 in matrices of 64 rows and more.
const CONCENTRATED: f64 = 5.0;
/// Half of the excess in 16 weights: what `report.md` calls carried by few.
const ISOLATED: f64 = 0.5;
/// Pearson kurtosis from which a tail is heavy all over: that of a Laplace distribution.
const HEAVY: f64 = 6.0;

const RULES: [Rule; 8] = [
    Rule {
        treatment: Treatment::None,
        when: &[(Quantity::PerTensor, Limit::Pass)],
        because: "one scale for the tensor passes",
    },
    Rule {
        treatment: Treatment::Clipping,
        when: &[
            (Quantity::IsolatedShare, Limit::AtLeast(ISOLATED)),
            (Quantity::ClippingGain, Limit::AtLeast(WORTH_IT)),
            (Quantity::Clipped, Limit::Pass),
        ],
        because: "isolated weights set the scale for all",
    },
    Rule {
        treatment: Treatment::ChannelScale,
        when: &[
            (Quantity::RowConcentration, Limit::AtLeast(CONCENTRATED)),
            (Quantity::ChannelGain, Limit::AtLeast(WORTH_IT)),
            (Quantity::PerChannel, Limit::Pass),
        ],
        because: "the outliers fill few output channels",
    },
    Rule {
        treatment: Treatment::ChannelScale,
        when: &[(Quantity::PerChannel, Limit::Pass)],
        because: "a scale per channel is enough, though no few channels carry the tail",
    },
    Rule {
        treatment: Treatment::GroupScale,
        when: &[(Quantity::PerGroup, Limit::Pass)],
        because: "a scale per channel is not enough, one per group is",
    },
    Rule {
        treatment: Treatment::Rotation,
        when: &[(Quantity::ColumnConcentration, Limit::AtLeast(CONCENTRATED)), (Quantity::Rotated, Limit::Pass)],
        because: "few input channels carry the tail, and a rotation spreads them over all",
    },
    Rule {
        treatment: Treatment::Rotation,
        when: &[
            (Quantity::KurtosisWithout16, Limit::AtLeast(HEAVY)),
            (Quantity::RowConcentration, Limit::Below(CONCENTRATED)),
            (Quantity::Rotated, Limit::Pass),
        ],
        because: "the tail is heavy all over, and a rotation makes weights nearly normal",
    },
    Rule {
        treatment: Treatment::KeepUnquantized,
        when: &[],
        because: "nothing else in this list reaches the threshold",
    },
];

/// What helps a matrix at so many bits, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Remedy {
    /// What helps; null where a figure that decides was not measured.
    pub treatment: Option<Treatment>,
    /// The bits that it is about, 4 or 8.
    pub bits: u8,
    /// The rule that decided, with its thresholds.
    pub rule: String,
    /// The matrix's numbers.
    pub numbers: BTreeMap<Quantity, f64>,
    /// dB that the remedy reaches; null for 16 bits.
    pub reaches_db: Option<f64>,
}

/// Finds what helps `matrix` at 4 or at 8 bits, whichever `nominal_bits` is nearer to.
pub fn remedy(matrix: &Matrix<'_>, nominal_bits: u8) -> Remedy {
    let bits = if nominal_bits <= 4 { 4 } else { 8 };
    let pass = thresholds(bits).pass;
    let numbers: BTreeMap<Quantity, f64> =
        Quantity::ALL.into_iter().filter_map(|quantity| Some((quantity, value(matrix, bits, quantity)?))).collect();
    let known = |quantity: Quantity| numbers.get(&quantity).copied();
    for rule in &RULES {
        let mut holds = Some(true);
        for (quantity, limit) in rule.when {
            holds = match (known(*quantity), holds) {
                (_, Some(false)) => Some(false),
                (Some(value), holds) => {
                    if limit.is_met(value, pass) {
                        holds
                    } else {
                        Some(false)
                    }
                }
                // Which channels are heavy is not known of every matrix; that alone leaves no rule open.
                (None, _) if quantity.may_be_unknown() => Some(false),
                (None, _) => None,
            };
        }
        match holds {
            Some(true) => {
                let reaches_db = rule.treatment.reached_by().and_then(known);
                let rule_text = rule.text(pass);
                return Remedy { treatment: Some(rule.treatment), bits, rule: rule_text, numbers, reaches_db };
            }
            Some(false) => {}
            None => {
                let missing: Vec<&str> = rule
                    .when
                    .iter()
                    .map(|(quantity, _)| *quantity)
                    .filter(|quantity| known(*quantity).is_none())
                    .map(Quantity::name)
                    .collect();
                let rule = format!("undecided: the run lacks {}", missing.join(", "));
                return Remedy { treatment: None, bits, rule, numbers, reaches_db: None };
            }
        }
    }
    Remedy { treatment: None, bits, rule: "undecided".into(), numbers, reaches_db: None }
}

impl Quantity {
    /// Whether valid runs may lack it: where lines were not measured, little remains without the farthest weights,
    /// and where rows are not output channels.
    const fn may_be_unknown(self) -> bool {
        matches!(
            self,
            Self::Kurtosis
                | Self::KurtosisWithout16
                | Self::IsolatedShare
                | Self::RowConcentration
                | Self::ColumnConcentration
                | Self::PerChannel
                | Self::ChannelGain
        )
    }
}

impl Treatment {
    const fn reached_by(self) -> Option<Quantity> {
        match self {
            Self::None => Some(Quantity::PerTensor),
            Self::Clipping => Some(Quantity::Clipped),
            Self::ChannelScale => Some(Quantity::PerChannel),
            Self::GroupScale => Some(Quantity::PerGroup),
            Self::Rotation => Some(Quantity::Rotated),
            Self::KeepUnquantized => None,
        }
    }
}

impl Limit {
    fn is_met(self, value: f64, pass: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::Below(bound) => value < bound,
            Self::Pass => value >= pass,
        }
    }
}

impl Rule {
    fn text(&self, pass: f64) -> String {
        let conditions: Vec<String> = self
            .when
            .iter()
            .map(|(quantity, limit)| match limit {
                Limit::AtLeast(least) => format!("{} ≥ {least}", quantity.name()),
                Limit::Below(bound) => format!("{} < {bound}", quantity.name()),
                Limit::Pass => format!("{} ≥ {pass}", quantity.name()),
            })
            .collect();
        if conditions.is_empty() {
            return self.because.to_owned();
        }
        format!("{}: {}", self.because, conditions.join("; "))
    }
}

/// A figure of the matrix; `None` where the run does not have it.
fn value(matrix: &Matrix<'_>, bits: u8, quantity: Quantity) -> Option<f64> {
    let tensor = matrix.tensor;
    let of = |quantity| value(matrix, bits, quantity);
    let gain = |to, from| Some(of(to)? - of(from)?);
    // No noise at all is as good as can be.
    let reached = |scale| {
        let noise = error_estimate::of(matrix, Precision::integer(bits, scale)).ok()?;
        (noise.basis != Basis::AtMost).then(|| noise.decibels().unwrap_or(f64::INFINITY))
    };
    let found = match quantity {
        Quantity::Kurtosis => tensor.kurtosis,
        Quantity::KurtosisWithout16 => tensor.kurtosis_without_top.sixteen,
        Quantity::IsolatedShare => isolated_share(tensor.kurtosis?, tensor.kurtosis_without_top),
        Quantity::RowConcentration | Quantity::ColumnConcentration => {
            let found = tensor.concentration?;
            let (rows, columns) = ((found.rows, found.row_count), (found.columns, found.column_count));
            let is_row = (quantity == Quantity::RowConcentration) != matrix.is_transposed;
            let (share, lines) = if is_row { rows } else { columns };
            Some(share / even_share(lines)?)
        }
        Quantity::PerTensor => reached(Scale::Tensor),
        Quantity::Clipped => {
            let clipped = if bits <= 4 { TensorScheme::Int4Clipped } else { TensorScheme::Int8Clipped };
            let error = tensor.quantization_error(clipped)?;
            error.relative_mse.map(|error| error_estimate::decibels(error).unwrap_or(f64::INFINITY))
        }
        Quantity::ClippingGain => gain(Quantity::Clipped, Quantity::PerTensor),
        Quantity::PerChannel => reached(Scale::Channel),
        Quantity::ChannelGain => gain(Quantity::PerChannel, Quantity::PerTensor),
        Quantity::PerGroup => reached(Scale::Group(GroupSize::G32)),
        Quantity::GroupGain => {
            gain(Quantity::PerGroup, Quantity::PerChannel).or_else(|| gain(Quantity::PerGroup, Quantity::PerTensor))
        }
        Quantity::Rotated => Some(if bits <= 4 { NORMAL_INT4_G32 } else { NORMAL_INT8_G32 }),
    };
    found.filter(|value| !value.is_nan())
}

/// Signal to noise of normal weights, symmetric in groups of 32; the tests compute both.
const NORMAL_INT4_G32: f64 = 20.25;
const NORMAL_INT8_G32: f64 = 45.4;

/// The share of a hundredth of `lines` lines, at least one, if all weigh the same.
fn even_share(lines: u64) -> Option<f64> {
    (lines > 0).then(|| lines.div_ceil(100) as f64 / lines as f64)
}

/// How much of the excess goes with the farthest weights; with fewer than 16 where the rest could not be resolved.
fn isolated_share(whole: f64, without: WithoutTop) -> Option<f64> {
    let rest = without.sixteen.or(without.four).or(without.one)?;
    let excess = whole - 3.0;
    // Tails as light as a normal distribution's have nothing to share.
    Some(if excess < 1.0 { 0.0 } else { ((excess - (rest - 3.0).max(0.0)) / excess).clamp(0.0, 1.0) })
}

#[cfg(test)]
#[path = "remedy_tests.rs"]
mod tests;
