//! From merged measurements to the records of a run.

use std::collections::BTreeMap;

use kurtoscope_shared::{Extreme, Moments, Tail, protocol::Measurement, quantization::Scheme};

use super::{
    collect::{Merged, TOP},
    concentration::{self, Sums},
    plan::{MeasurementPlan, PlannedTensor, RecordedTensor, Source},
};
use crate::{
    quantization,
    record::{self, Concentration, Outlier, Role, Tensor, WithoutTop},
};
use kurtoscope_checkpoint::{
    Checkpoint,
    model::{Component, Family, Identity, row_length, unravel},
};

/// The quantiles of |x| that a record holds.
const QUANTILES: [(&str, f64); 5] = [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99), ("0.999", 0.999), ("0.9999", 0.9999)];

/// The relative error up to which a kurtosis without the farthest elements is stated.
const RESOLVED: f64 = 1e-3;

/// The records of all tensors: each stored one in the checkpoint's order, followed by its parts.
pub(super) fn tensors(
    checkpoint: &Checkpoint,
    plan: &MeasurementPlan,
    merged: &[Merged],
    tolerance: f64,
) -> Vec<Tensor> {
    let shape = |entry: &RecordedTensor| checkpoint.tensors[entry.tensor].shape.as_slice();
    let whole: Vec<Whole> = plan.entries.iter().map(|entry| whole(&entry.source, shape(entry), plan, merged)).collect();
    let mut records = Vec::with_capacity(plan.entries.len());
    for (index, entry) in plan.entries.iter().enumerate() {
        let stored = &checkpoint.tensors[entry.tensor];
        let (role, of, found) = match entry.source {
            Source::Tied(other) => {
                (Role::Tied, Some(checkpoint.tensors[plan.entries[other].tensor].name.clone()), &whole[other])
            }
            _ if entry.identity.buffer => (Role::Buffer, None, &whole[index]),
            _ => (Role::Parameter, None, &whole[index]),
        };
        let header = Header {
            name: stored.name.clone(),
            shape: stored.shape.clone(),
            dtype: stored.stored.clone(),
            component: entry.identity.component,
            layer: entry.identity.layer,
            role,
            of,
        };
        records.push(tensor(header, found, tolerance));
        if let Source::Parts(parts) = &entry.source {
            records.extend(parts.iter().map(|(part, target)| {
                let Identity { layer, .. } = entry.identity;
                let header = Header {
                    name: format!("{}[{}]", stored.name, part.suffix),
                    shape: part.shape.clone(),
                    dtype: stored.stored.clone(),
                    component: part.component,
                    layer,
                    role: Role::View,
                    of: Some(stored.name.clone()),
                };
                let found = &merged[*target];
                let density = plan.targets[*target].statistics.quantization;
                tensor(header, &Whole::of(found, density), tolerance)
            }));
        }
    }
    records
}

/// The record of the model itself.
pub(super) fn model(checkpoint: &Checkpoint, family: Family, tensors: &[Tensor]) -> record::Model {
    let parameters = tensors.iter().filter(|tensor| tensor.role == Role::Parameter);
    record::Model {
        source: checkpoint.source.clone(),
        revision: checkpoint.revision.clone(),
        format: checkpoint.format.into(),
        family,
        config: checkpoint.config.clone(),
        parameters: parameters.map(|tensor| tensor.count + tensor.non_finite).sum(),
        fingerprint: checkpoint.fingerprint(),
        synthetic: checkpoint.synthetic,
    }
}

/// What is known of a tensor.
#[derive(Default)]
struct Whole {
    measurement: Measurement,
    concentration: Option<Concentration>,
    /// Of how many elements one was quantized.
    density: u8,
}

impl Whole {
    fn of(found: &Merged, density: u8) -> Self {
        Self { measurement: found.measurement.clone(), concentration: found.concentration, density }
    }
}

/// A stored tensor's measurement; a fused one's is the merge of its parts, with positions in the whole.
fn whole(source: &Source, shape: &[u64], plan: &MeasurementPlan, merged: &[Merged]) -> Whole {
    match source {
        Source::Whole(target) => Whole::of(&merged[*target], plan.targets[*target].statistics.quantization),
        Source::Tied(_) => Whole::default(),
        Source::Parts(parts) => {
            let mut whole = Measurement::default();
            let mut sums = None;
            let mut density = 0;
            // Rows of the whole are rows of its parts, or else made up of one row of each.
            let part_row = parts.first().and_then(|(part, _)| row_length(&part.shape));
            let shares_rows = part_row.is_some() && part_row == row_length(shape);
            for (_, target) in parts {
                let PlannedTensor { runs, row, statistics, .. } = &plan.targets[*target];
                let Measurement { moments, tail, top, noise, .. } = &merged[*target].measurement;
                let mut top = top.clone();
                for extreme in top.highest.iter_mut().chain(&mut top.lowest) {
                    extreme.position = runs.position(extreme.position);
                }
                whole.moments = whole.moments.merge(*moments);
                whole.tail.merge(tail);
                whole.top.merge(&top, 0, TOP);
                let is_cut = |scheme: Scheme| {
                    let row = *row as usize;
                    !shares_rows && scheme.block().is_none_or(|block| row == 0 || !row.is_multiple_of(block))
                };
                let mut noise = noise.clone();
                noise.retain(|scheme| !is_cut(scheme));
                whole.noise.merge(&noise);
                density = density.max(statistics.quantization);
                let part = &merged[*target].sums;
                sums = Some(match sums {
                    None => part.clone(),
                    Some(sums) if shares_rows => Sums::below(sums, part),
                    Some(sums) => Sums::beside(sums, part),
                });
            }
            let concentration = sums.and_then(|sums| concentration::of(&sums, &whole.moments));
            Whole { measurement: whole, concentration, density }
        }
    }
}

struct Header {
    name: String,
    shape: Vec<u64>,
    dtype: String,
    component: Component,
    layer: Option<u32>,
    role: Role,
    of: Option<String>,
}

fn tensor(header: Header, whole: &Whole, tolerance: f64) -> Tensor {
    let found = &whole.measurement;
    let Measurement { moments, tail, top, noise, .. } = found;
    let any = moments.count > 0;
    // A small device may keep no histogram; what follows from one that lacks elements would be wrong.
    let counted = tail.total().checked_add(moments.zeros) == Some(moments.count);
    let none = Tail::default();
    let tail = if counted { tail } else { &none };
    let finite = |value: f64| (any && value.is_finite()).then_some(value);
    let sigma = moments.standard_deviation().filter(|sigma| *sigma > 0.0 && sigma.is_finite());
    let farthest = top.farthest(moments.mean, TOP);
    let outlier = |extreme: &Extreme| Outlier {
        index: unravel(extreme.position, &header.shape),
        value: extreme.value,
        z: sigma.map(|sigma| (extreme.value - moments.mean) / sigma),
    };
    Tensor {
        top: farthest.iter().map(outlier).collect(),
        count: moments.count,
        mean: finite(moments.mean),
        variance: moments.variance().and_then(finite),
        skewness: moments.skewness(),
        kurtosis: moments.kurtosis(),
        excess_kurtosis: moments.excess_kurtosis(),
        min: finite(moments.min),
        max: finite(moments.max),
        non_finite: moments.non_finite,
        zeros: moments.zeros,
        kurtosis_without_top: WithoutTop {
            one: kurtosis_without(moments, &farthest, 1, tolerance),
            four: kurtosis_without(moments, &farthest, 4, tolerance),
            sixteen: kurtosis_without(moments, &farthest, 16, tolerance),
        },
        quantiles: if any && counted { quantiles(found) } else { BTreeMap::new() },
        concentration: whole.concentration,
        quantization: quantization::all(tail, noise, moments, whole.density),
        name: header.name,
        shape: header.shape,
        dtype: header.dtype,
        component: header.component,
        layer: header.layer,
        role: header.role,
        of: header.of,
    }
}

fn quantiles(found: &Measurement) -> BTreeMap<String, f64> {
    let zeros = found.moments.zeros;
    // The last bin reaches beyond the largest element.
    let largest = found.moments.min.abs().max(found.moments.max.abs());
    let of = |q: f64| Some(found.tail.quantile(q, zeros)?.min(largest));
    QUANTILES.iter().filter_map(|(key, q)| Some((String::from(*key), of(*q)?))).collect()
}

/// Kurtosis with the `k` farthest elements taken out. `None` where it is undefined, or where those carry so much of the
/// fourth moment that the rest drowns in the engine's error.
fn kurtosis_without(moments: &Moments, farthest: &[Extreme], k: usize, tolerance: f64) -> Option<f64> {
    let taken = farthest.get(..k)?;
    let part = taken.iter().fold(Moments::EMPTY, |part, extreme| part.merge(Moments::of(extreme.value)));
    let rest = moments.without(part)?;
    if rest.m4 * RESOLVED < moments.m4 * tolerance || rest.m2 * RESOLVED < moments.m2 * tolerance {
        return None;
    }
    rest.kurtosis()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(values: &[f64]) -> Measurement {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let statistics = kurtoscope_shared::protocol::Statistics::FULL;
        let piece = kurtoscope_firmware::engine::Piece::of(kurtoscope_shared::Element::F64, statistics);
        kurtoscope_firmware::engine::cpu::measure(&bytes, piece)
    }

    #[test]
    fn no_quantile_exceeds_the_largest_element() {
        for values in [&[1.0; 40][..], &[-3.01, 0.5, 0.25, 0.125]] {
            let largest = values.iter().fold(0f64, |largest: f64, x: &f64| largest.max(x.abs()));
            let quantiles = quantiles(&measured(values));
            assert_eq!(quantiles.len(), QUANTILES.len());
            assert!(quantiles.values().all(|quantile| *quantile <= largest), "{quantiles:?}");
        }
    }

    #[test]
    fn taking_out_the_farthest_equals_measuring_without_them() {
        let mut values: Vec<f64> = (0..500).map(|i| f64::from(i * i % 83) / 10.0).collect();
        values[77] = 300.0;
        values[200] = -90.0;
        let found = measured(&values);
        let farthest = found.top.farthest(found.moments.mean, TOP);
        assert_eq!((farthest[0].position, farthest[1].position), (77, 200));
        for k in [1, 4, 16] {
            let left: Vec<f64> = (0..values.len())
                .filter(|index| !farthest[..k].iter().any(|extreme| extreme.position == *index as u64))
                .map(|index| values[index])
                .collect();
            let expected = Moments::from_values(left.iter().copied()).kurtosis().expect("defined");
            let kurtosis = kurtosis_without(&found.moments, &farthest, k, 1e-10).expect("resolved");
            assert!((kurtosis / expected - 1.0).abs() < 1e-9, "k {k}: {kurtosis} against {expected}");
        }
    }

    #[test]
    fn nothing_is_said_about_magnitudes_that_were_not_counted() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let header = || Header {
            name: "weight".into(),
            shape: vec![100],
            dtype: "F64".into(),
            component: Component::Other,
            layer: None,
            role: Role::Parameter,
            of: None,
        };
        let mut whole = Whole { measurement: measured(&values), concentration: None, density: 1 };
        let counted = tensor(header(), &whole, 1e-10);
        assert!(counted.quantiles.len() == 5 && counted.quantization["int8_per_tensor"].sqnr_db.is_some());
        whole.measurement.tail = Tail::default();
        let not_counted = tensor(header(), &whole, 1e-10);
        assert!(not_counted.quantiles.is_empty() && !not_counted.quantization.contains_key("int8_per_tensor"));
        assert_eq!(not_counted.kurtosis, counted.kurtosis);
    }

    #[test]
    fn a_rest_that_drowns_in_the_error_is_not_stated() {
        let mut values: Vec<f64> = (0..100).map(|i| f64::from(i % 7)).collect();
        values[3] = 1e30;
        let found = measured(&values);
        let farthest = found.top.farthest(found.moments.mean, TOP);
        assert_eq!(kurtosis_without(&found.moments, &farthest, 1, 1e-10), None);
        assert_eq!(kurtosis_without(&found.moments, &farthest[..3], 4, 1e-10), None, "fewer elements than asked for");
    }
}
