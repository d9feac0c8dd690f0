//! What a user deploys to: a name, the precision behind it, what the tool quantizes, and its verdicts' thresholds.

use super::precision::{GroupSize, Precision, Scale};
use super::weights::QuantizedTensors;

/// Decibels at which a matrix passes or is at risk. Below the second it is kept in more bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// From here on a matrix passes.
    pub pass: f64,
    /// From here on it is at risk.
    pub risk: f64,
    /// Why these.
    pub reason: &'static str,
}

/// Verdicts at 4 bits.
///
/// The best 8 and 16 levels for normal weights reach 14.62 and 20.22 dB (J. Max, *Quantizing for minimum distortion*, IRE
/// Transactions on Information Theory 6, 1960).
pub const FOUR_BITS: Thresholds = Thresholds {
    pass: 17.4,
    risk: 14.6,
    reason: "the best 3-bit levels reach 14.6 dB on normal weights and the best 4-bit levels 20.2 dB: below 14.6 dB four bits \
             do the work of fewer than three, and 17.4 dB is halfway",
};

/// Verdicts at 8 bits.
pub const EIGHT_BITS: Thresholds = Thresholds {
    pass: 30.2,
    risk: 20.2,
    reason: "20.2 dB is what the best 4-bit levels reach on normal weights: below it eight bits do the work of fewer than \
             four; at 30.2 dB there is a tenth of that noise",
};

/// The thresholds for precisions of so many bits.
pub const fn thresholds(nominal_bits: u8) -> Thresholds {
    if nominal_bits <= 4 { FOUR_BITS } else { EIGHT_BITS }
}

/// What a user deploys to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// As the command line has it.
    pub name: &'static str,
    /// What a matrix is stored as.
    pub precision: Precision,
    /// What it is stored as where that will not do, in this order; then 16 bits.
    pub higher: &'static [Precision],
    /// What the tools quantize.
    pub quantizes: QuantizedTensors,
}

const fn linear(name: &'static str, precision: Precision, higher: &'static [Precision]) -> Target {
    Target { name, precision, higher, quantizes: QuantizedTensors::LinearLayers }
}

const fn gguf(name: &'static str, precision: Precision, higher: &'static [Precision]) -> Target {
    Target { name, precision, higher, quantizes: QuantizedTensors::AllMatrices }
}

const INT8_CHANNEL: Precision = Precision::integer(8, Scale::Channel);
const G32: Scale = Scale::Group(GroupSize::G32);
const G64: Scale = Scale::Group(GroupSize::G64);
const G128: Scale = Scale::Group(GroupSize::G128);

/// Every target, in the order in which they are listed.
pub const ALL: [Target; 12] = [
    linear("int8-per-tensor", Precision::integer(8, Scale::Tensor), &[INT8_CHANNEL]),
    linear("int8-per-channel", INT8_CHANNEL, &[Precision::integer(8, G32)]),
    linear("int8-g32", Precision::integer(8, G32), &[]),
    linear("int4-per-channel", Precision::integer(4, Scale::Channel), &[INT8_CHANNEL]),
    linear("int4-g128", Precision::integer(4, G128), &[Precision::integer(8, G128)]),
    linear("int4-g64", Precision::integer(4, G64), &[Precision::integer(8, G64)]),
    linear("int4-g32", Precision::integer(4, G32), &[Precision::integer(8, G32)]),
    gguf("q8_0", Precision::Q8_0, &[]),
    gguf("q4_0", Precision::Q4_0, &[Precision::Q8_0]),
    gguf("q4_k", Precision::Q4K, &[Precision::Q6K, Precision::Q8_0]),
    linear("nf4", Precision::Nf4, &[INT8_CHANNEL]),
    linear("mxfp4", Precision::Mxfp4, &[INT8_CHANNEL]),
];

impl Target {
    /// The target of this name; hyphens, underscores and case do not matter.
    pub fn named(name: &str) -> Option<&'static Self> {
        let plain = |name: &str| name.to_ascii_lowercase().replace('_', "-");
        ALL.iter().find(|target| plain(target.name) == plain(name))
    }

    /// Where its verdicts turn.
    pub const fn thresholds(&self) -> Thresholds {
        thresholds(self.precision.nominal_bits())
    }

    /// The precisions among which bits can be spent with this target's tools, fewest bits first.
    pub fn ladder(&self) -> Vec<Precision> {
        let mut steps = match (self.quantizes, self.precision) {
            (QuantizedTensors::AllMatrices, _) => {
                vec![Precision::Q3K, Precision::Q4_0, Precision::Q4K, Precision::Q5K, Precision::Q6K, Precision::Q8_0]
            }
            (QuantizedTensors::LinearLayers, Precision::Integer { scale, .. }) => {
                (3..=8).map(|bits| Precision::integer(bits, scale)).collect()
            }
            (QuantizedTensors::LinearLayers, other) => vec![other, INT8_CHANNEL],
        };
        steps.push(Precision::Unquantized);
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signal to noise of the best `levels` levels for normal weights, by Lloyd's and Max's iteration.
    fn best_levels(levels: usize) -> f64 {
        let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
        let points: Vec<(f64, f64)> =
            (-80_000..=80_000).map(|i| f64::from(i) * 1e-4).map(|x| (x, density(x))).collect();
        let mut found: Vec<f64> = (0..levels).map(|i| 3.0 * (2.0 * (i as f64 + 0.5) / levels as f64 - 1.0)).collect();
        let mut error = 0.0;
        for _ in 0..400 {
            let (mut sums, mut masses) = (vec![0.0; levels], vec![0.0; levels]);
            error = 0.0;
            let mut cell = 0;
            for (x, mass) in &points {
                while cell + 1 < levels && *x > (found[cell] + found[cell + 1]) / 2.0 {
                    cell += 1;
                }
                sums[cell] += x * mass;
                masses[cell] += mass;
                error += (x - found[cell]).powi(2) * mass * 1e-4;
            }
            for cell in 0..levels {
                found[cell] = sums[cell] / masses[cell];
            }
        }
        -10.0 * f64::log10(error)
    }

    #[test]
    fn thresholds_are_those_of_the_best_levels() {
        let (three, four) = (best_levels(8), best_levels(16));
        assert!((FOUR_BITS.risk - three).abs() < 0.05, "{three}");
        assert!((EIGHT_BITS.risk - four).abs() < 0.05, "{four}");
        assert!((FOUR_BITS.pass - (three + four) / 2.0).abs() < 0.05);
        assert!((EIGHT_BITS.pass - four - 10.0).abs() < 0.05);
    }

    #[test]
    fn names_are_found_however_they_are_written() {
        for (name, found) in
            [("Q4_K", Some("q4_k")), ("int4_g128", Some("int4-g128")), ("q4-0", Some("q4_0")), ("int5", None)]
        {
            assert_eq!(Target::named(name).map(|target| target.name), found, "{name}");
        }
    }

    #[test]
    fn ladders_rise() {
        for target in &ALL {
            let bits: Vec<f64> = target.ladder().iter().map(|precision| precision.bits_per_weight(1024)).collect();
            assert!(bits.is_sorted(), "{}: {bits:?}", target.name);
            assert!(target.ladder().contains(&target.precision), "{}", target.name);
        }
    }
}
