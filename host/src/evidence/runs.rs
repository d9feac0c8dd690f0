//! `run.json` files as evidence: which tensors count, what a model is called, and what becomes of runs that do not fit
//! together.
//!
//! - **Rows are weight matrices**, the ones that a run's report ranks: no buffers, no tied copies, no norms and biases, and
//!   the parts of a fused tensor instead of the whole. So no number counts twice.
//! - **A model counts once.** A run whose weights are those of an earlier run, be it measured again, stored in another type
//!   or trained on a little, is left out, and a remark states it.
//! - **A run without a family** stays: it gives rows for its own tensors and takes no part in comparisons within
//!   families.
//! - **Runs of other schemas** are refused.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::EvidenceError;
use super::facts::{Facts, ModelIdentity};
use super::{Evidence, ModelEvidence, TensorEvidence};
use crate::record::{Role, Run, Tensor};
use crate::run_file::{self, RUN_FILE};
use kurtoscope_checkpoint::model::{Component, Family};

/// How many of two runs' matrices must have their farthest weight at the same place for the weights to be the same.
const SAME_PLACES: f64 = 0.5;

/// Names of files and folders that say nothing about which model is inside.
const GENERIC: [&str; 9] =
    ["model", "pytorch_model", "weights", "safetensors", "bin", "onnx", "gguf", "main", "checkpoint"];

/// Evidence from runs, and the warnings that a report must state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gathered {
    /// The rows.
    pub evidence: Evidence,
    /// What was left out or does not fit, in sentences. Names in them are as the evidence shows them.
    pub remarks: Vec<String>,
}

/// Reads the runs at `paths`: files, folders with a `run.json`, or folders of such folders.
///
/// # Errors
/// Where a file cannot be read, is no run or follows another schema, and where a folder holds no run.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Run>, EvidenceError> {
    let mut runs = Vec::new();
    for path in paths {
        for file in files(path)? {
            runs.push(run_file::read(&file)?);
        }
    }
    Ok(runs)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, EvidenceError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let own = path.join(RUN_FILE);
    if own.is_file() {
        return Ok(vec![own]);
    }
    let failed = |source| EvidenceError::Folder { path: path.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path().join(RUN_FILE);
        if file.is_file() {
            found.push(file);
        }
    }
    if found.is_empty() {
        return Err(EvidenceError::NoRun { path: path.to_owned() });
    }
    found.sort();
    Ok(found)
}

/// The evidence in `runs`, with the facts known about their models.
pub fn gather(runs: &[Run], facts: &Facts) -> Gathered {
    let mut gathered = Gathered::default();
    let names = names(&runs.iter().map(|run| run.model.source.as_str()).collect::<Vec<_>>());
    let mut kept: Vec<(&Run, &str, TopPositions<'_>)> = Vec::new();
    for (run, name) in runs.iter().zip(&names) {
        let places = places(run);
        let twin = kept.iter().find_map(|(other, known, theirs)| {
            if run.model.fingerprint == other.model.fingerprint {
                return Some((known, "holds the same data as"));
            }
            are_same(&places, theirs).then_some((known, "has its farthest weights where they are in"))
        });
        if let Some((known, why)) = twin {
            gathered.remarks.push(format!(
                "{name} {why} {known}, so both are one model, which counts once: the run that was named first was used."
            ));
            continue;
        }
        gathered.add(run, name, facts);
        kept.push((run, name, places));
    }
    let shown: Vec<String> = gathered.evidence.models.iter().map(|model| model.name.clone()).collect();
    for pattern in facts.user().map(|user| user.unused(&shown)).unwrap_or_default() {
        gathered.remarks.push(format!(
            "The facts about {pattern} were not used: no model here has this name. Models here: {}.",
            shown.join(", ")
        ));
    }
    gathered
}

impl Gathered {
    fn add(&mut self, run: &Run, name: &str, facts: &Facts) {
        let rows: Vec<&Tensor> = rows(run);
        let main = main_tower(run);
        let layers = layers(run, main);
        let known = known(run, &rows, layers);
        let config = run.model.config.as_ref();
        let published = facts.table().recognise(run.model.family, &known);
        let index = self.evidence.models.len();
        let model = ModelEvidence {
            name: name.to_owned(),
            family: run.model.family,
            parameters: Some(run.model.parameters),
            layers,
            synthetic: run.model.synthetic,
            facts: facts.of(name, published, config),
        };
        if model.family == Family::Unknown {
            self.remarks.push(format!(
                "{name} is of no family that Kurtoscope knows: it takes no part in comparisons within families."
            ));
        }
        if model.synthetic {
            self.remarks
                .push(format!("{name} is synthetic: nobody trained it, and it says nothing about real models."));
        }
        if run.is_adapter() {
            self.remarks.push(format!("{name} is an adapter: it has no weights of its own, so it adds no rows."));
        } else if rows.is_empty() {
            self.remarks.push(format!("{name} has no weight matrix with a kurtosis, so it adds no rows."));
        }
        let untrusted = run.devices.iter().map(|share| &share.device).chain([&run.device]);
        if untrusted.into_iter().any(|device| !device.self_test.passed) {
            self.remarks.push(format!("{name} was measured on a device that failed its self-test."));
        }
        self.evidence.models.push(model);
        self.evidence.tensors.extend(rows.into_iter().map(|tensor| row(index, tensor, main, layers)));
    }
}

/// Matrices that have a kurtosis; parts instead of fused tensors.
fn rows(run: &Run) -> Vec<&Tensor> {
    let whole: std::collections::HashSet<&str> = run
        .tensors
        .iter()
        .filter(|tensor| tensor.role == Role::View)
        .filter_map(|tensor| tensor.of.as_deref())
        .collect();
    let counts = |tensor: &&Tensor| match tensor.role {
        Role::Parameter => !whole.contains(tensor.name.as_str()),
        Role::View => true,
        Role::Buffer | Role::Tied | Role::Quantization => false,
    };
    let is_weight = |tensor: &&Tensor| {
        tensor.is_matrix()
            && !matches!(tensor.component, Component::Norm | Component::Scale | Component::Bias | Component::Adapter)
            && tensor.kurtosis.is_some_and(f64::is_finite)
    };
    run.tensors.iter().filter(counts).filter(is_weight).collect()
}

fn row(model: usize, tensor: &Tensor, main: Option<&str>, layers: Option<u32>) -> TensorEvidence {
    let is_main = tensor.tower.as_deref() == main;
    TensorEvidence {
        model,
        tensor: tensor.name.clone(),
        component: tensor.component,
        layer: tensor.layer,
        tower: tensor.tower.clone().filter(|_| !is_main),
        depth: depth(tensor.layer.filter(|_| is_main), layers),
        shape: tensor.shape.clone(),
        elements: Some(tensor.count),
        kurtosis: tensor.kurtosis,
        kurtosis_without_1: tensor.kurtosis_without_top.one,
        kurtosis_without_4: tensor.kurtosis_without_top.four,
        kurtosis_without_16: tensor.kurtosis_without_top.sixteen,
    }
}

/// `layer / (layers - 1)`.
pub(super) fn depth(layer: Option<u32>, layers: Option<u32>) -> Option<f64> {
    let last = layers?.checked_sub(1).filter(|last| *last > 0)?;
    layer.filter(|layer| *layer <= last).map(|layer| f64::from(layer) / f64::from(last))
}

/// The tower whose layers are the model's: the main stack where there is one, else, as in a model of an encoder and a decoder,
/// the tower whose layers have most elements.
fn main_tower(run: &Run) -> Option<&str> {
    let mut elements: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for tensor in run.tensors.iter().filter(|tensor| tensor.role == Role::Parameter && tensor.layer.is_some()) {
        *elements.entry(tensor.tower.as_deref()).or_default() += tensor.count + tensor.non_finite;
    }
    if elements.contains_key(&None) {
        return None;
    }
    elements.into_iter().max_by_key(|(_, elements)| *elements).and_then(|(tower, _)| tower)
}

/// The layers of a tower that the configuration states or the tensors show, whichever are more: a checkpoint may be a part.
fn layers(run: &Run, tower: Option<&str>) -> Option<u32> {
    let of_tower = run.tensors.iter().filter(|tensor| tensor.tower.as_deref() == tower);
    let seen = of_tower.filter_map(|tensor| tensor.layer).max().map(|last| last.saturating_add(1));
    let keys: &[&str] = match tower {
        None => &["num_hidden_layers", "n_layer", "num_layers"],
        Some("encoder") => &["encoder_layers", "num_layers"],
        Some("decoder") => &["decoder_layers", "num_decoder_layers", "num_layers"],
        Some(_) => &[],
    };
    let stated = keys.iter().find_map(|key| number(run, key)).and_then(|layers| u32::try_from(layers).ok());
    match (seen, stated) {
        (Some(seen), Some(stated)) => Some(seen.max(stated)),
        (seen, stated) => seen.or(stated),
    }
}

/// A number of the configuration, or of the part on text in that of a model of several modalities.
fn number(run: &Run, key: &str) -> Option<u64> {
    let config = run.model.config.as_ref()?;
    let of_text = || config.get("text_config")?.get(key);
    config.get(key).or_else(of_text)?.as_u64()
}

fn known<'a>(run: &'a Run, rows: &[&Tensor], layers: Option<u32>) -> ModelIdentity<'a> {
    let called = run.model.config.as_ref().and_then(|config| config.get("_name_or_path")).and_then(Value::as_str);
    let stated = ["hidden_size", "n_embd", "d_model"].iter().find_map(|key| number(run, key));
    // Without a configuration the embedding's shape gives it: all families store it [vocabulary, width].
    let embedding = rows.iter().find(|tensor| tensor.component == Component::Embedding);
    let width = stated.or_else(|| embedding.and_then(|tensor| tensor.shape.last().copied()));
    let in_metadata = run.model.config.as_ref().and_then(|config| config.pointer("/gguf/general.name"));
    let names = [Some(run.model.source.as_str()), called, in_metadata.and_then(Value::as_str)];
    ModelIdentity { names: names.into_iter().flatten().collect(), layers, width }
}

/// Where each matrix has its farthest weight, by what the matrix is.
type TopPositions<'a> = HashMap<Place<'a>, &'a [u64]>;

/// Component, tower, layer and shape.
type MatrixKind<'a> = (Component, Option<&'a str>, Option<u32>, &'a [u64]);

/// What a matrix is, and its number among those of the same kind.
type Place<'a> = (MatrixKind<'a>, usize);

fn places(run: &Run) -> TopPositions<'_> {
    let mut numbers: HashMap<MatrixKind<'_>, usize> = HashMap::new();
    let mut places = TopPositions::new();
    for tensor in rows(run) {
        let kind: MatrixKind<'_> = (tensor.component, tensor.tower.as_deref(), tensor.layer, &tensor.shape);
        let number = numbers.entry(kind).or_default();
        if let Some(top) = tensor.top.first() {
            places.insert((kind, *number), &top.index);
        }
        *number += 1;
    }
    places
}

/// Whether two runs measured the same weights in different forms: a matrix of n elements has its farthest weight where
/// another's is with a probability of 1 in n, so half of the matrices agreeing is no chance.
fn are_same(a: &TopPositions<'_>, b: &TopPositions<'_>) -> bool {
    let most = a.len().max(b.len());
    let agreeing = a.iter().filter(|(key, place)| b.get(*key) == Some(place)).count();
    // In a matrix of a few elements, the same place is no coincidence that means anything.
    most > 0 && agreeing as f64 >= SAME_PLACES * most as f64 && agreeing >= 2
}

/// What each run's model is called: the last part of its source that says something, with as many parts before it as it
/// takes to distinguish them.
fn names(sources: &[&str]) -> Vec<String> {
    let parts: Vec<Vec<&str>> = sources.iter().map(|source| parts(source)).collect();
    let tail = |parts: &[&str], length: usize| parts[parts.len().saturating_sub(length)..].join("/");
    let mut lengths: Vec<usize> = parts
        .iter()
        .map(|parts| 1 + parts.iter().rev().take_while(|part| GENERIC.contains(&stem(part))).count().min(1))
        .collect();
    loop {
        let names: Vec<String> = parts.iter().zip(&lengths).map(|(parts, length)| tail(parts, *length)).collect();
        let mut longer = false;
        for place in 0..names.len() {
            let is_shared =
                names.iter().zip(&parts).any(|(name, other)| *name == names[place] && *other != parts[place]);
            if is_shared && lengths[place] < parts[place].len() {
                lengths[place] += 1;
                longer = true;
            }
        }
        if !longer {
            return numbered(names);
        }
    }
}

/// The parts of a path or of a hub's name, without revision and without the ending of a file.
fn parts(source: &str) -> Vec<&str> {
    let is_hub = source.starts_with(kurtoscope_checkpoint::hub::PREFIX);
    let source = source.strip_prefix(kurtoscope_checkpoint::hub::PREFIX).unwrap_or(source);
    let source = if is_hub { source.split('@').next().unwrap_or(source) } else { source };
    let mut parts: Vec<&str> = source.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect();
    if let Some(last) = parts.last_mut() {
        *last = stem(last);
    }
    if parts.is_empty() { vec!["model"] } else { parts }
}

fn stem(part: &str) -> &str {
    let endings = [".safetensors", ".bin", ".gguf", ".onnx", ".npz", ".npy", ".pt", ".pth", ".ckpt"];
    endings.iter().find_map(|ending| part.strip_suffix(ending)).filter(|stem| !stem.is_empty()).unwrap_or(part)
}

/// Numbers behind names that are equal all the same.
fn numbered(names: Vec<String>) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let number = |name: String| {
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name} ({count})") }
    };
    names.into_iter().map(number).collect()
}

#[cfg(test)]
#[path = "runs_tests.rs"]
mod tests;
