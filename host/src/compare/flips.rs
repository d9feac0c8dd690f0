//! What the differences would change: entries of plans, remedies, and whether a tail is called heavy, that would come out
//! otherwise on the other device.

use std::collections::HashMap;

use serde::Serialize;

use crate::deployment::{DeploymentPlan, PlannedMatrix, TargetVerdict, remedy, target, weights};
use crate::record::{Model, Run, Tensor};

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// The entry of the plan for a target.
    Plan {
        /// The target.
        target: &'static str,
    },
    /// What helps at so many bits.
    Remedy {
        /// The bits.
        bits: u8,
    },
    /// Whether the kurtosis is called heavy.
    HeavyTail,
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plan { target } => write!(f, "plan for {target}"),
            Self::Remedy { bits } => write!(f, "remedy at {bits} bits"),
            Self::HeavyTail => write!(f, "heavy tail"),
        }
    }
}

/// A verdict that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flip {
    /// The tensor's name.
    pub name: String,
    /// What is judged.
    pub subject: Subject,
    /// The reference's verdict.
    pub reference: String,
    /// The candidate's.
    pub candidate: String,
    /// What the reference's verdict rests on most: dB, or the kurtosis of a heavy tail.
    pub reference_figure: Option<f64>,
    /// The candidate's.
    pub candidate_figure: Option<f64>,
}

/// Verdicts on two runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Flips {
    /// Verdicts that were held against each other.
    pub compared: usize,
    /// Targets that both runs could be planned for.
    pub targets: Vec<&'static str>,
    /// Targets that only one of the runs has figures for.
    pub one_sided: Vec<&'static str>,
    /// Those that differ, the farthest apart first.
    pub flipped: Vec<Flip>,
}

impl Flips {
    /// Judges both runs and holds the verdicts against each other.
    pub fn between(reference: &Run, candidate: &Run) -> Self {
        let mut flips = Self::default();
        for target in &target::ALL {
            match (DeploymentPlan::of(reference, target), DeploymentPlan::of(candidate, target)) {
                (Ok(a), Ok(b)) => {
                    flips.targets.push(target.name);
                    flips.plans(&a, &b);
                }
                (Err(_), Err(_)) => {}
                _ => flips.one_sided.push(target.name),
            }
        }
        flips.tensors(reference, candidate);
        let distance = |flip: &Flip| match (flip.reference_figure, flip.candidate_figure) {
            (Some(a), Some(b)) => (a - b).abs(),
            (None, None) => 0.0,
            _ => f64::INFINITY,
        };
        flips.flipped.sort_by(|a, b| distance(b).total_cmp(&distance(a)).then(a.subject.cmp(&b.subject)));
        flips
    }

    fn plans(&mut self, reference: &DeploymentPlan, candidate: &DeploymentPlan) {
        let found: HashMap<&str, &PlannedMatrix> =
            candidate.entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
        for a in &reference.entries {
            let Some(b) = found.get(a.name.as_str()) else { continue };
            let verdict = |entry: &PlannedMatrix| match entry.verdict {
                TargetVerdict::Keep => format!("keep in {}", entry.precision),
                verdict => verdict.name().to_owned(),
            };
            let decibels = |entry: &PlannedMatrix| entry.at_target.and_then(|noise| noise.decibels());
            self.judge(Flip {
                name: a.name.clone(),
                subject: Subject::Plan { target: reference.target },
                reference: verdict(a),
                candidate: verdict(b),
                reference_figure: decibels(a),
                candidate_figure: decibels(b),
            });
        }
    }

    fn tensors(&mut self, reference: &Run, candidate: &Run) {
        let found: HashMap<&str, &Tensor> =
            candidate.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let sorted = weights::sort(reference, weights::QuantizedTensors::AllMatrices);
        for a in sorted.matrices.iter().map(|matrix| matrix.tensor) {
            let Some(b) = found.get(a.name.as_str()).filter(|tensor| tensor.is_matrix()) else { continue };
            for bits in [8, 4] {
                self.judge(helped(a, b, &reference.model, bits));
            }
            let heavy = |tensor: &Tensor| {
                let verdict = match (tensor.is_heavy(), tensor.parts_unknown) {
                    (true, _) => "yes",
                    (false, true) => "not known",
                    (false, false) => "no",
                };
                verdict.to_owned()
            };
            self.judge(Flip {
                name: a.name.clone(),
                subject: Subject::HeavyTail,
                reference: heavy(a),
                candidate: heavy(b),
                reference_figure: a.kurtosis,
                candidate_figure: b.kurtosis,
            });
        }
    }

    fn judge(&mut self, flip: Flip) {
        self.compared += 1;
        if flip.reference != flip.candidate {
            self.flipped.push(flip);
        }
    }
}

fn helped(a: &Tensor, b: &Tensor, model: &Model, bits: u8) -> Flip {
    let of = |tensor: &Tensor| {
        let found = remedy::remedy(&weights::matrix(tensor, model), bits);
        let name = found.treatment.map_or("not measured", |treatment| treatment.name());
        (name.to_owned(), found.numbers.get(&remedy::Quantity::PerTensor).copied())
    };
    let ((reference, reference_figure), (candidate, candidate_figure)) = (of(a), of(b));
    Flip {
        name: a.name.clone(),
        subject: Subject::Remedy { bits },
        reference,
        candidate,
        reference_figure,
        candidate_figure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::testing::{Made, run};
    use crate::scheme_key::TensorScheme;
    use kurtoscope_shared::quantization::Scheme;

    fn made(name: &str) -> Made {
        Made::new(name, &[1024, 1024]).all(0.0).kurtosis(9.9, 9.0).concentrated(0.0105, 0.0105)
    }

    #[test]
    fn equal_runs_flip_nothing() {
        let run = run(vec![made("a").tensor(), made("b").tensor()]);
        let found = Flips::between(&run, &run);
        assert_eq!((found.flipped, found.one_sided), (vec![], vec![]));
        // Two matrices: an entry for each target, two remedies and one tail each.
        assert_eq!((found.targets.len(), found.compared), (target::ALL.len(), 2 * (target::ALL.len() + 3)));
    }

    #[test]
    fn what_crosses_a_threshold_is_listed_the_farthest_first() {
        let reference = run(vec![made("a").tensor(), made("b").tensor()]);
        let candidate = run(vec![
            // From 21.3 dB: no longer passes; 17.4 would.
            made("a").measured(Scheme::Q4_0, 17.3).tensor(),
            // From 38.9 dB down to where 8 bits keep it higher and a scale per channel helps; and a heavier tail.
            made("b").predicted(TensorScheme::Int8, 20.0).kurtosis(10.1, 9.0).tensor(),
        ]);
        let found = Flips::between(&reference, &candidate).flipped;
        let listed: Vec<String> = found
            .iter()
            .map(|flip| format!("{} {}: {} > {}", flip.name, flip.subject, flip.reference, flip.candidate))
            .collect();
        assert_eq!(
            listed,
            [
                "b plan for int8-per-tensor: pass > keep in int8-per-channel",
                "b remedy at 8 bits: none needed > channel scale",
                "a plan for q4_0: pass > at risk",
                "b heavy tail: no > yes",
            ]
        );
        assert_eq!((found[3].reference_figure, found[3].candidate_figure), (Some(9.9), Some(10.1)));
    }

    #[test]
    fn differences_short_of_a_threshold_flip_nothing() {
        let reference = run(vec![made("a").tensor()]);
        let candidate = run(vec![made("a").measured(Scheme::Q4_0, 17.5).kurtosis(9.99, 9.0).tensor()]);
        assert_eq!(Flips::between(&reference, &candidate).flipped, []);
    }

    #[test]
    fn a_target_that_one_run_lacks_is_named() {
        let reference = run(vec![made("a").tensor()]);
        let mut candidate = reference.clone();
        candidate.tensors[0].quantization.remove(Scheme::Mxfp4.key());
        assert_eq!(Flips::between(&reference, &candidate).one_sided, ["mxfp4"]);
    }
}
