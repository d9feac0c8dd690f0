//! The results of a run once its tensors are sorted, grouped and counted: plain data, from which the terminal's and the
//! Markdown report are written.
//!
//! Which tensors count:
//!
//! - **Buffers, tied tensors and what describes quantized weights never do.** Buffers and scales are no weights, tied
//!   tensors are counted where their data is.
//! - **A fused tensor is represented by its parts.** It is ranked beside them only where its kurtosis is above every
//!   part's and no part is heavy, which happens when the parts differ in scale: an outlier of a part stands out among the
//!   elements of the whole all the more, and would count twice. The groups and the quantization figures take the parts alone.
//! - **Only weight matrices are ranked**, that is tensors with at least two dimensions longer than 1. Norms and biases
//!   have few elements, are seldom quantized, and one unusual element dominates them; they appear in the grouping by
//!   component and in the full list.
//! - **A stack of experts is represented by its experts.** The report lists them together, a line a stack, and ranks each.
//! - **Several matrices in one whose places are not known are ranked as they are**, and never counted as not heavy.
//! - **A tensor without a kurtosis is not ranked** but counted.

use std::collections::{BTreeMap, HashMap};

use crate::record::{Role, Run, Tensor};
use crate::scheme_key::{SchemeKey, TensorScheme};
use crate::statistics::median;
use kurtoscope_checkpoint::model::Component;

/// Decibels below the median of its scheme at which a quantized tensor is called noisy: about one bit.
pub const NOISY_DB: f64 = 6.0;

/// A run, sorted and counted.
#[derive(Debug)]
pub struct Summary<'a> {
    /// How many of what.
    pub totals: Totals,
    /// The weight matrices that have a kurtosis, highest first.
    pub ranked: Vec<&'a Tensor>,
    /// Ranked ones that are several matrices in one, at places that are not known, highest first.
    pub mixtures: Vec<&'a Tensor>,
    /// Parameters and parts without a kurtosis.
    pub undefined: Vec<&'a Tensor>,
    /// Stored parameters that hold NaN or infinite elements.
    pub non_finite: Vec<&'a Tensor>,
    /// The components that occur, in the order of [`Component::ALL`].
    pub components: Vec<ComponentRow<'a>>,
    /// The layers that occur, counted up: those of the main stack, then those of each tower.
    pub layers: Vec<LayerRow<'a>>,
    /// The quantization schemes that occur, most bits first.
    pub schemes: Vec<SchemeRow<'a>>,
}

/// How many of what.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Parameters stored in the checkpoint.
    pub stored: usize,
    /// Parts of fused parameters.
    pub parts: usize,
    /// Tensors that share another's data.
    pub tied: usize,
    /// Constants that are no weights.
    pub buffers: usize,
    /// Tensors that describe quantized weights.
    pub quantization: usize,
    /// Tensors that could not be measured.
    pub unmeasured: usize,
    /// Elements of parameters whose names say nothing about their place: the component `other`.
    pub unknown_elements: u64,
    /// Ranked matrices above [`HEAVY_KURTOSIS`](crate::record::HEAVY_KURTOSIS).
    pub heavy: usize,
}

/// The tensors of one component, vectors included.
#[derive(Debug)]
pub struct ComponentRow<'a> {
    /// The component.
    pub component: Component,
    /// Its tensors, parts instead of fused ones.
    pub tensors: usize,
    /// The median of their kurtoses.
    pub median: Option<f64>,
    /// The tensor with the highest.
    pub worst: Option<&'a Tensor>,
}

/// The weight matrices of one layer.
#[derive(Debug)]
pub struct LayerRow<'a> {
    /// The tower that the layer belongs to; `None` for the main stack.
    pub tower: Option<&'a str>,
    /// The layer, counted from 0 in its tower.
    pub layer: u32,
    /// The matrix with the highest kurtosis.
    pub worst: &'a Tensor,
    /// That kurtosis.
    pub kurtosis: f64,
}

/// What one quantization scheme does to the weight matrices.
#[derive(Debug)]
pub struct SchemeRow<'a> {
    /// Its key in `run.json`: `int8_per_tensor`.
    pub key: &'a str,
    /// The matrices that it leaves noise in, with their signal to noise in decibels, noisiest first.
    pub matrices: Vec<(f64, &'a Tensor)>,
    /// The median of those decibels.
    pub median: Option<f64>,
    /// Matrices [`NOISY_DB`] or more below the median.
    pub noisy: usize,
    /// Whether any figure is a prediction from a histogram.
    pub predicted: bool,
}

impl<'a> Summary<'a> {
    /// Sorts and counts `run`.
    pub fn of(run: &'a Run) -> Self {
        let parts = parts_by_whole(run);
        let leaves: Vec<&Tensor> = run
            .tensors
            .iter()
            .filter(|tensor| match tensor.role {
                Role::Parameter => !parts.contains_key(tensor.name.as_str()),
                Role::View => true,
                Role::Buffer | Role::Tied | Role::Quantization => false,
            })
            .collect();
        let ranked = rank(run, &leaves, &parts);
        Self {
            totals: totals(run, &ranked),
            mixtures: ranked.iter().copied().filter(|tensor| tensor.parts_unknown).collect(),
            undefined: leaves.iter().copied().filter(|tensor| tensor.kurtosis.is_none()).collect(),
            non_finite: run
                .tensors
                .iter()
                .filter(|tensor| tensor.role == Role::Parameter && tensor.non_finite > 0)
                .collect(),
            components: components(&leaves),
            layers: layers(&ranked),
            schemes: schemes(&leaves),
            ranked,
        }
    }

    /// What is known of a scheme.
    pub fn scheme(&self, scheme: impl Into<SchemeKey>) -> Option<&SchemeRow<'a>> {
        let key = scheme.into().key();
        self.schemes.iter().find(|scheme| scheme.key == key)
    }
}

impl SchemeRow<'_> {
    /// The scheme, where it is one scale for the tensor without clipping.
    pub fn unclipped(&self) -> Option<TensorScheme> {
        TensorScheme::UNCLIPPED.into_iter().find(|scheme| scheme.key() == self.key)
    }
}

fn parts_by_whole(run: &Run) -> HashMap<&str, Vec<&Tensor>> {
    let mut parts: HashMap<&str, Vec<&Tensor>> = HashMap::new();
    for tensor in run.tensors.iter().filter(|tensor| tensor.role == Role::View) {
        if let Some(whole) = &tensor.of {
            parts.entry(whole).or_default().push(tensor);
        }
    }
    parts
}

fn rank<'a>(run: &'a Run, leaves: &[&'a Tensor], parts: &HashMap<&str, Vec<&Tensor>>) -> Vec<&'a Tensor> {
    let worse_than_parts = |whole: &&Tensor| {
        whole.role == Role::Parameter
            && whole.kurtosis.is_some()
            && parts
                .get(whole.name.as_str())
                .is_some_and(|parts| parts.iter().all(|part| part.kurtosis < whole.kurtosis && !part.is_heavy()))
    };
    let mut ranked: Vec<&Tensor> = leaves.iter().copied().chain(run.tensors.iter().filter(worse_than_parts)).collect();
    ranked.retain(|tensor| tensor.is_matrix() && tensor.kurtosis.is_some());
    ranked.sort_by(|a, b| descending(a.kurtosis, b.kurtosis));
    ranked
}

fn totals(run: &Run, ranked: &[&Tensor]) -> Totals {
    let mut totals = Totals {
        unmeasured: run.unmeasured.len(),
        heavy: ranked.iter().filter(|tensor| tensor.is_heavy()).count(),
        ..Totals::default()
    };
    for tensor in &run.tensors {
        match tensor.role {
            Role::Parameter => {
                totals.stored += 1;
                if tensor.component == Component::Other {
                    totals.unknown_elements += tensor.count + tensor.non_finite;
                }
            }
            Role::View => totals.parts += 1,
            Role::Tied => totals.tied += 1,
            Role::Buffer => totals.buffers += 1,
            Role::Quantization => totals.quantization += 1,
        }
    }
    totals
}

fn components<'a>(leaves: &[&'a Tensor]) -> Vec<ComponentRow<'a>> {
    let rows = Component::ALL.iter().map(|component| {
        let tensors: Vec<&Tensor> = leaves.iter().copied().filter(|tensor| tensor.component == *component).collect();
        ComponentRow {
            component: *component,
            tensors: tensors.len(),
            median: median(tensors.iter().filter_map(|tensor| tensor.kurtosis)),
            worst: worst(tensors.into_iter()),
        }
    });
    rows.filter(|row| row.tensors > 0).collect()
}

fn layers<'a>(ranked: &[&'a Tensor]) -> Vec<LayerRow<'a>> {
    let mut worst_of = BTreeMap::new();
    for tensor in ranked {
        if let (Some(layer), Some(kurtosis)) = (tensor.layer, tensor.kurtosis) {
            // Worst first: a layer's first is its worst.
            let tower = tensor.tower.as_deref();
            worst_of.entry((tower, layer)).or_insert(LayerRow { tower, layer, worst: tensor, kurtosis });
        }
    }
    worst_of.into_values().collect()
}

fn schemes<'a>(leaves: &[&'a Tensor]) -> Vec<SchemeRow<'a>> {
    let mut matrices_of: BTreeMap<&str, Vec<(f64, &Tensor)>> = BTreeMap::new();
    for tensor in leaves.iter().filter(|tensor| tensor.is_matrix()) {
        for (key, error) in &tensor.quantization {
            if let Some(decibels) = error.sqnr_db {
                matrices_of.entry(key).or_default().push((decibels, tensor));
            }
        }
    }
    let mut schemes: Vec<SchemeRow> = matrices_of
        .into_iter()
        .map(|(key, mut matrices)| {
            matrices.sort_by(|a, b| a.0.total_cmp(&b.0));
            let median = median(matrices.iter().map(|(decibels, _)| *decibels));
            SchemeRow {
                key,
                median,
                noisy: matrices
                    .iter()
                    .filter(|(decibels, _)| Some(*decibels) <= median.map(|median| median - NOISY_DB))
                    .count(),
                predicted: matrices.iter().any(|(_, tensor)| tensor.quantization.get(key).is_some_and(|e| e.predicted)),
                matrices,
            }
        })
        .collect();
    // Other schemes come last, by their keys.
    schemes.sort_by_key(|scheme| {
        TensorScheme::UNCLIPPED.iter().position(|known| Some(*known) == scheme.unclipped()).unwrap_or(usize::MAX)
    });
    schemes
}

fn worst<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Option<&'a Tensor> {
    tensors.filter(|tensor| tensor.kurtosis.is_some()).min_by(|a, b| descending(a.kurtosis, b.kurtosis))
}

fn descending(a: Option<f64>, b: Option<f64>) -> std::cmp::Ordering {
    let value = |kurtosis: Option<f64>| kurtosis.unwrap_or(f64::NEG_INFINITY);
    value(b).total_cmp(&value(a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn names(ranked: &[&Tensor]) -> Vec<String> {
        ranked.iter().map(|tensor| tensor.name.replace("model.decoder.", "")).collect()
    }

    #[test]
    fn fused_tensors_stand_back_behind_their_parts() {
        let run = fixture::full();
        let ranked = names(&Summary::of(&run).ranked);
        assert!(ranked.contains(&"layers.0.self_attn.qkv.weight[k]".to_owned()));
        assert!(!ranked.contains(&"layers.0.self_attn.qkv.weight".to_owned()), "its part [k] is worse");
        assert!(ranked.contains(&"layers.1.self_attn.qkv.weight".to_owned()), "worse than every part");
    }

    #[test]
    fn an_outlier_of_a_part_counts_once() {
        let mut run = fixture::full();
        let heavy = Summary::of(&run).totals.heavy;
        for tensor in run.tensors.iter_mut().filter(|tensor| tensor.name.contains("layers.1.self_attn.qkv.weight")) {
            // Among three times as many elements the same outlier gives a higher kurtosis.
            match tensor.role {
                Role::Parameter => tensor.kurtosis = Some(5192.0),
                _ if tensor.name.ends_with("[k]") => tensor.kurtosis = Some(2391.0),
                _ => {}
            }
        }
        assert_eq!(Summary::of(&run).totals.heavy, heavy + 1);
    }

    #[test]
    fn vectors_buffers_ties_and_undefined_are_not_ranked() {
        let run = fixture::full();
        let summary = Summary::of(&run);
        let ranked = names(&summary.ranked);
        for name in ["layers.0.final_layer_norm.weight", "layers.0.self_attn.mask", "lm_head.weight", "unused.weight"] {
            assert!(run.tensors.iter().any(|tensor| tensor.name.ends_with(name)), "{name} is in the fixture");
            assert!(!ranked.contains(&name.to_owned()), "{name}");
        }
        assert_eq!(names(&summary.undefined), ["unused.weight"]);
        assert_eq!((summary.totals.tied, summary.totals.buffers, summary.totals.unmeasured), (1, 1, 2));
    }

    #[test]
    fn layers_and_components_name_their_worst() {
        let run = fixture::full();
        let summary = Summary::of(&run);
        assert_eq!(summary.ranked[0].kurtosis, Some(562.3));
        let layer = &summary.layers[1];
        assert_eq!((layer.layer, layer.kurtosis), (1, 562.3));
        let norm = summary.components.iter().find(|row| row.component == Component::Norm).expect("norms");
        assert_eq!(norm.worst.and_then(|tensor| tensor.kurtosis), Some(41.7));
    }

    #[test]
    fn towers_have_layers_of_their_own() {
        let run = fixture::two_towers();
        let rows: Vec<_> = Summary::of(&run).layers.iter().map(|row| (row.tower, row.layer, row.kurtosis)).collect();
        let vision = Some("vision");
        let expected = [(None, 0, 3.2), (None, 1, 5.5), (vision, 0, 4.1), (vision, 1, 77.0), (vision, 2, 3.6)];
        assert_eq!(rows, expected);
    }

    #[test]
    fn elements_of_unknown_names_are_counted() {
        let mut run = fixture::two_towers();
        run.tensors[0].component = Component::Other;
        assert_eq!(Summary::of(&run).totals.unknown_elements, run.tensors[0].count);
        run.tensors[0].role = Role::Buffer;
        assert_eq!(Summary::of(&run).totals.unknown_elements, 0, "a buffer is no weight");
    }

    #[test]
    fn schemes_are_sorted_by_noise() {
        let run = fixture::full();
        let summary = Summary::of(&run);
        assert_eq!(
            summary.schemes.iter().map(|row| row.key).collect::<Vec<_>>(),
            ["int8_per_tensor", "int4_per_tensor"]
        );
        let int8 = summary.scheme(TensorScheme::Int8).expect("scheme");
        assert!(int8.matrices.is_sorted_by(|a, b| a.0 <= b.0));
        assert!(int8.predicted);
    }

    #[test]
    fn an_empty_run_has_an_empty_summary() {
        let mut run = fixture::clean();
        run.tensors.clear();
        let summary = Summary::of(&run);
        assert!(summary.ranked.is_empty() && summary.layers.is_empty() && summary.schemes.is_empty());
    }
}
