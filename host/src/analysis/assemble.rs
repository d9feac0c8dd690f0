//! From merged measurements to the records of a run.

use std::collections::BTreeMap;

use kurtoscope_shared::{Extreme, Moments, protocol::Measurement};

use super::{
    collect::TOP,
    plan::{Plan, Source},
};
use crate::{
    checkpoint::Checkpoint,
    model::{Component, Family, Identity, unravel},
    quantization,
    record::{self, Outlier, Role, Tensor, WithoutTop},
};

/// The quantiles of |x| that a record holds.
const QUANTILES: [(&str, f64); 5] = [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99), ("0.999", 0.999), ("0.9999", 0.9999)];

/// The relative error up to which a kurtosis without the farthest elements is stated.
const RESOLVED: f64 = 1e-3;

/// The records of all tensors: each stored one in the checkpoint's order, followed by its parts.
pub(super) fn tensors(checkpoint: &Checkpoint, plan: &Plan, merged: &[Measurement], tolerance: f64) -> Vec<Tensor> {
    let whole: Vec<Measurement> = plan.entries.iter().map(|entry| whole(&entry.source, plan, merged)).collect();
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
                tensor(header, &merged[*target], tolerance)
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

/// A stored tensor's measurement; a fused one's is the merge of its parts, with positions in the whole.
fn whole(source: &Source, plan: &Plan, merged: &[Measurement]) -> Measurement {
    match source {
        Source::Whole(target) => merged[*target].clone(),
        Source::Tied(_) => Measurement::default(),
        Source::Parts(parts) => {
            let mut whole = Measurement::default();
            for (_, target) in parts {
                let Measurement { moments, tail, top } = &merged[*target];
                let runs = &plan.targets[*target].runs;
                let mut top = top.clone();
                for extreme in top.highest.iter_mut().chain(&mut top.lowest) {
                    extreme.position = runs.position(extreme.position);
                }
                whole.moments = whole.moments.merge(*moments);
                whole.tail.merge(tail);
                whole.top.merge(&top, 0, TOP);
            }
            whole
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

fn tensor(header: Header, found: &Measurement, tolerance: f64) -> Tensor {
    let Measurement { moments, tail, top } = found;
    let any = moments.count > 0;
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
        quantiles: if any { quantiles(found) } else { BTreeMap::new() },
        quantization: quantization::predict(tail, moments),
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
    let of = |q: f64| found.tail.quantile(q, zeros);
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
        kurtoscope_firmware::engine::cpu::measure(&bytes, kurtoscope_shared::Element::F64, statistics)
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
    fn a_rest_that_drowns_in_the_error_is_not_stated() {
        let mut values: Vec<f64> = (0..100).map(|i| f64::from(i % 7)).collect();
        values[3] = 1e30;
        let found = measured(&values);
        let farthest = found.top.farthest(found.moments.mean, TOP);
        assert_eq!(kurtosis_without(&found.moments, &farthest, 1, 1e-10), None);
        assert_eq!(kurtosis_without(&found.moments, &farthest[..3], 4, 1e-10), None, "fewer elements than asked for");
    }
}
