//! From merged measurements to the records of a run.

use std::collections::BTreeMap;

use kurtoscope_shared::{
    ColumnErrors, Extreme, MagnitudeHistogram, Measurement, Moments,
    statistics::{ExtremeCount, SampleStride},
};

use super::{
    collect::Merged,
    concentration,
    joined::joined,
    plan::{MeasurementPlan, RecordedTensor, Source},
};
use crate::{
    quantization,
    record::{self, Concentration, Outlier, Role, Tensor, WithoutTop},
    scheme_key::TensorScheme,
};
use kurtoscope_checkpoint::{
    Checkpoint, QuantizationTensor, StoredTensor,
    model::{Component, Family, Identity, Naming, unravel},
    packed,
};

/// Elements farthest from the mean that a record shows.
const TOP: usize = ExtremeCount::DEFAULT.get();

/// The quantiles of |x| that a record holds.
const QUANTILES: [(&str, f64); 5] = [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99), ("0.999", 0.999), ("0.9999", 0.9999)];

/// The relative error up to which a kurtosis without the farthest elements is stated.
const RESOLVED: f64 = 1e-3;

/// The records of all tensors: each stored one in the checkpoint's order, followed by its parts; then those that
/// describe quantized weights.
pub(super) fn tensors(
    checkpoint: &Checkpoint,
    family: Family,
    plan: &MeasurementPlan,
    merged: &[Merged],
    tolerance: f64,
) -> Vec<Tensor> {
    let shape = |entry: &RecordedTensor| checkpoint.tensors[entry.tensor].shape.as_slice();
    let whole: Vec<Whole> = plan.entries.iter().map(|entry| whole(&entry.source, shape(entry), plan, merged)).collect();
    let mut records = Vec::with_capacity(plan.entries.len());
    for (index, entry) in plan.entries.iter().enumerate() {
        let stored = &checkpoint.tensors[entry.tensor];
        let tower = entry.identity.tower.as_deref().map(str::to_owned);
        let (role, of, found) = match entry.source {
            Source::Tied(other) => {
                (Role::Tied, Some(checkpoint.tensors[plan.entries[other].tensor].name.clone()), &whole[other])
            }
            _ if entry.identity.buffer || stored.is_integer_code => (Role::Buffer, None, &whole[index]),
            _ => (Role::Parameter, None, &whole[index]),
        };
        let header = Header {
            name: stored.name.clone(),
            shape: stored.shape.clone(),
            dtype: stored.stored.clone(),
            component: entry.identity.component,
            layer: entry.identity.layer,
            tower: tower.clone(),
            role,
            of,
            path: stored.graph.path.clone(),
            output_axis: stored.graph.output_axis,
            stored: stored.quantization.map(stored_as),
            parts_unknown: matches!(entry.source, Source::Mixture(_)),
        };
        records.push(tensor(header, found, tolerance));
        if let Source::Parts(found) = &entry.source {
            let is_large = found.parts.len() / found.per_matrix.max(1) > record::LARGE_STACK;
            records.extend(found.parts.iter().map(|(part, target)| {
                let header = Header {
                    name: format!("{}{}", stored.name, part.label),
                    shape: part.shape.clone(),
                    dtype: stored.stored.clone(),
                    component: part.component,
                    layer: entry.identity.layer,
                    tower: tower.clone(),
                    role: Role::View,
                    of: Some(stored.name.clone()),
                    path: None,
                    output_axis: stored
                        .graph
                        .output_axis
                        .and_then(|axis| axis.checked_sub(stored.shape.len().saturating_sub(part.shape.len()))),
                    stored: stored.quantization.map(stored_as),
                    parts_unknown: part.is_mixture,
                };
                let found = &merged[*target];
                let stride = plan.targets[*target].requests.quantization_errors;
                let part = tensor(header, &Whole::of(found, stride), tolerance);
                if is_large { brief(part) } else { part }
            }));
        }
    }
    let names = checkpoint.tensors.iter().map(StoredTensor::path);
    let naming = Naming::of(family, names.chain(checkpoint.quantization.iter().map(|part| part.name.as_str())));
    records.extend(checkpoint.quantization.iter().map(|part| quantization_part(&naming, part)));
    records
}

/// The record of one of many experts, a fourth as long: with the farthest weight alone, and of the quantization errors those that
/// need no blocks. Tools quantize the stack, whose record has all.
fn brief(mut expert: Tensor) -> Tensor {
    expert.top.truncate(1);
    expert.quantization.retain(|key, _| TensorScheme::ALL.iter().any(|scheme| scheme.key() == key));
    expert.column_errors = None;
    expert
}

/// The record of a tensor that only describes quantized weights.
fn quantization_part(naming: &Naming, part: &QuantizationTensor) -> Tensor {
    let Identity { layer, tower, .. } = naming.identify(&part.name, &part.shape);
    let header = Header {
        name: part.name.clone(),
        shape: part.shape.clone(),
        dtype: part.dtype.clone(),
        component: Component::Other,
        layer,
        tower: tower.map(|tower| tower.to_string()),
        role: Role::Quantization,
        of: None,
        path: None,
        output_axis: None,
        stored: None,
        parts_unknown: false,
    };
    Tensor { quantization: BTreeMap::new(), ..tensor(header, &Whole::default(), 0.0) }
}

fn stored_as(stored: packed::Stored) -> record::Stored {
    record::Stored {
        scheme: stored.scheme.to_owned(),
        bits: stored.bits,
        group: stored.group,
        assumed: stored.assumed.map(str::to_owned),
    }
}

/// The first magnitude from which on 64-bit floats do not hold every integer: 2^53.
const ROUNDED_FROM: f64 = 9_007_199_254_740_992.0;

/// What a reader must know of 64-bit integers that are not exact in the 64-bit floats that are measured, in one sentence.
pub(super) fn rounded_integers(tensors: &[Tensor]) -> Option<String> {
    let is_beyond = |value: Option<f64>| value.is_some_and(|value| value.abs() >= ROUNDED_FROM);
    let is_rounded = |tensor: &&Tensor| {
        matches!(tensor.dtype.as_str(), "i64" | "u64") && (is_beyond(tensor.min) || is_beyond(tensor.max))
    };
    let mut rounded = tensors.iter().filter(is_rounded);
    let first = &rounded.next()?.name;
    let others = match rounded.count() {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    Some(format!("64-bit integers of 2^53 and beyond were rounded to 64-bit floats to be measured: {first}{others}."))
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
    stride: Option<SampleStride>,
}

impl Whole {
    fn of(found: &Merged, stride: Option<SampleStride>) -> Self {
        Self { measurement: found.measurement.clone(), concentration: found.concentration, stride }
    }
}

/// A stored tensor's measurement; a fused one's is the merge of its parts, with positions in the whole.
fn whole(source: &Source, shape: &[u64], plan: &MeasurementPlan, merged: &[Merged]) -> Whole {
    match source {
        Source::Whole(target) | Source::Mixture(target) => {
            Whole::of(&merged[*target], plan.targets[*target].requests.quantization_errors)
        }
        Source::Tied(_) => Whole::default(),
        Source::Parts(found) => {
            let measurement = joined(found, shape, plan, merged);
            let strides =
                found.parts.iter().filter_map(|(_, target)| plan.targets[*target].requests.quantization_errors);
            Whole { concentration: concentration::of(&measurement), measurement, stride: strides.max() }
        }
    }
}

struct Header {
    name: String,
    shape: Vec<u64>,
    dtype: String,
    component: Component,
    layer: Option<u32>,
    tower: Option<String>,
    role: Role,
    of: Option<String>,
    path: Option<String>,
    output_axis: Option<usize>,
    stored: Option<record::Stored>,
    parts_unknown: bool,
}

fn tensor(header: Header, whole: &Whole, tolerance: f64) -> Tensor {
    let found = &whole.measurement;
    let moments = &found.moments;
    let any = moments.count > 0;
    // A small device may keep no histogram; what follows from one that lacks elements would be wrong.
    let none = MagnitudeHistogram::default();
    let histogram = found.histogram.as_ref().unwrap_or(&none);
    let counted = histogram.total().checked_add(moments.zeros) == Some(moments.count);
    let histogram = if counted { histogram } else { &none };
    let finite = |value: f64| (any && value.is_finite()).then_some(value);
    let sigma = moments.standard_deviation().filter(|sigma| *sigma > 0.0 && sigma.is_finite());
    let farthest = found.extremes.as_ref().map(|extremes| extremes.farthest(moments.mean, TOP)).unwrap_or_default();
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
        quantiles: if any && counted { quantiles(histogram, moments) } else { BTreeMap::new() },
        concentration: whole.concentration,
        column_errors: found.column_errors.as_ref().map(column_errors),
        quantization: quantization::all(histogram, found.quantization_errors.as_ref(), moments, whole.stride),
        name: header.name,
        shape: header.shape,
        dtype: header.dtype,
        component: header.component,
        layer: header.layer,
        tower: header.tower,
        role: header.role,
        of: header.of,
        path: header.path,
        output_axis: header.output_axis,
        stored: header.stored,
        parts_unknown: header.parts_unknown,
    }
}

fn column_errors(found: &ColumnErrors) -> record::ColumnErrors {
    let finite = |sums: &[f64]| sums.iter().map(|sum| Some(*sum).filter(|sum| sum.is_finite())).collect();
    record::ColumnErrors { squares: finite(&found.squares), int4_g32: finite(&found.errors) }
}

fn quantiles(histogram: &MagnitudeHistogram, moments: &Moments) -> BTreeMap<String, f64> {
    // The last bin reaches beyond the largest element.
    let largest = moments.min.abs().max(moments.max.abs());
    let of = |q: f64| Some(histogram.quantile(q, moments.zeros)?.min(largest));
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
    use kurtoscope_firmware::engine::cpu;

    fn farthest(found: &Measurement) -> Vec<Extreme> {
        found.extremes.as_ref().expect("asked for").farthest(found.moments.mean, TOP)
    }

    fn measured(values: &[f64]) -> Measurement {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let requests = kurtoscope_shared::Requests::FULL;
        let spec = kurtoscope_firmware::engine::ChunkSpec::of(kurtoscope_shared::Element::F64, requests);
        cpu::measure::<cpu::Everything>(&bytes, spec)
    }

    fn header() -> Header {
        Header {
            name: "weight".into(),
            shape: vec![100],
            dtype: "F64".into(),
            component: Component::Other,
            layer: None,
            tower: None,
            role: Role::Parameter,
            of: None,
            path: None,
            output_axis: None,
            stored: None,
            parts_unknown: false,
        }
    }

    #[test]
    fn no_quantile_exceeds_the_largest_element() {
        for values in [&[1.0; 40][..], &[-3.01, 0.5, 0.25, 0.125]] {
            let largest = values.iter().fold(0f64, |largest: f64, x: &f64| largest.max(x.abs()));
            let found = measured(values);
            let quantiles = quantiles(&found.histogram.expect("asked for"), &found.moments);
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
        let farthest = farthest(&found);
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
    fn integers_that_floats_do_not_hold_are_said_to_be_rounded() {
        let named = |name: &str, dtype: &str, max: f64| {
            let header = Header { name: name.into(), dtype: dtype.into(), ..header() };
            Tensor { max: Some(max), ..tensor(header, &Whole::default(), 1e-10) }
        };
        let exact = [named("a", "i64", ROUNDED_FROM - 1.0), named("b", "f64", 1e300), named("c", "i32", 2e9)];
        assert_eq!(rounded_integers(&exact), None);
        let rounded = [named("a", "u64", 1.8e19), named("b", "i64", ROUNDED_FROM), named("c", "i64", 1.0)];
        let text = rounded_integers(&rounded).expect("a sentence");
        assert!(text.ends_with("measured: a and 1 more."), "{text}");
        assert!(rounded_integers(&rounded[1..]).is_some_and(|text| text.ends_with("measured: b.")));
    }

    #[test]
    fn nothing_is_said_about_magnitudes_that_were_not_counted() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let mut whole =
            Whole { measurement: measured(&values), concentration: None, stride: Some(SampleStride::EVERY) };
        let counted = tensor(header(), &whole, 1e-10);
        assert!(counted.quantiles.len() == 5 && counted.quantization["int8_per_tensor"].sqnr_db.is_some());
        whole.measurement.histogram = None;
        let not_counted = tensor(header(), &whole, 1e-10);
        assert!(not_counted.quantiles.is_empty() && !not_counted.quantization.contains_key("int8_per_tensor"));
        assert_eq!(not_counted.kurtosis, counted.kurtosis);
    }

    #[test]
    fn a_rest_that_drowns_in_the_error_is_not_stated() {
        let mut values: Vec<f64> = (0..100).map(|i| f64::from(i % 7)).collect();
        values[3] = 1e30;
        let found = measured(&values);
        let farthest = farthest(&found);
        assert_eq!(kurtosis_without(&found.moments, &farthest, 1, 1e-10), None);
        assert_eq!(kurtosis_without(&found.moments, &farthest[..3], 4, 1e-10), None, "fewer elements than asked for");
    }
}
