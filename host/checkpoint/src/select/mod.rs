//! Decides which files of a folder or a repository are the model, from their names alone: once for folders on disk and for
//! the Hugging Face hub. What is in the files, and whether it fits together, is for those who open them.

mod index;
mod naming;

use std::collections::{BTreeMap, BTreeSet};

use crate::source::PartName;
use naming::{Naming, SHARDED, SINGLE};

pub use index::IndexError;
pub use naming::FORMATS;

pub(crate) use index::Index;

/// What a model's configuration is called.
pub(crate) const CONFIGURATION: &str = "config.json";

/// What PEFT calls the configuration of an adapter.
pub(crate) const ADAPTER_CONFIGURATION: &str = "adapter_config.json";

/// The files that are one model, by their paths as they were listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The files that hold weights.
    pub weights: Weights,
    /// Files of external data that belong to an ONNX model, by their names; the model itself decides which it needs.
    pub external: Vec<String>,
    /// The `config.json` in the folder of the weights, or else the `adapter_config.json`, where one is listed.
    pub config: Option<String>,
}

/// The files that hold weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weights {
    /// One file.
    File(String),
    /// All files of a model without an index, sorted: shards, or the parts of a split GGUF file.
    Files(Vec<String>),
    /// The files that this index names.
    Index(String),
}

/// Why no file, or no single model, could be selected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// No name is one of weights in a format that is read.
    #[error("no weights in a format that is read")]
    NoWeights {
        /// The first file of weights in another format, and that format.
        other: Option<(String, &'static str)>,
    },
    /// There are several models in one format.
    #[error("{} {extension} files, each a model: {}", files.len(), files.join(", "))]
    Several {
        /// Their extension, with its dot.
        extension: &'static str,
        /// Their names, of split models that of the first part.
        files: Vec<String>,
    },
    /// The names say that there are more files of the model than are listed.
    #[error("{found} of {total} files of the model are listed, {missing} is missing")]
    Incomplete {
        /// Files found.
        found: u64,
        /// Files according to their names.
        total: u64,
        /// The first one missing.
        missing: String,
        /// Whether one of the files can be opened alone: shards can, parts of a split GGUF file cannot.
        readable_alone: bool,
    },
}

/// Selects the model among files with these names, in any case, and takes the first that is there:
///
/// 1. `model.safetensors`;
/// 2. the one index of safetensors shards (`*.safetensors.index.json`);
/// 3. all other `*.safetensors`, taken for shards of one model. Names like `model-00001-of-00003.safetensors` must then be
///    complete;
/// 4. the same of PyTorch: `pytorch_model.bin`, the one `*.bin.index.json`, all other `pytorch_model*.bin`, `model*.bin`,
///    `*.pt`, `*.pth` and `*.ckpt` that are not the state of training;
/// 5. the one `*.gguf` (all parts of it where it is split), else the one `*.onnx`, `*.npz`, `*.npy` or `*.msgpack`, in any sub-folder.
///
/// Names are paths with `/` between folders. Hidden files and folders are passed over.
///
/// ```
/// use kurtoscope_checkpoint::{Weights, select};
///
/// let names = ["README.md", "config.json", "consolidated.safetensors", "model.safetensors.index.json"];
/// let selection = select(&names)?;
/// assert_eq!(selection.weights, Weights::Index("model.safetensors.index.json".into()));
/// assert_eq!(selection.config.as_deref(), Some("config.json"));
/// # Ok::<(), kurtoscope_checkpoint::SelectError>(())
/// ```
///
/// # Errors
/// See [`SelectError`].
pub fn select(names: &[impl AsRef<str>]) -> Result<Selection, SelectError> {
    let is_visible = |name: &&str| name.split('/').all(|part| !part.starts_with('.'));
    let names: BTreeSet<&str> = names.iter().map(AsRef::as_ref).filter(is_visible).collect();
    let top: Vec<&str> = names.iter().copied().filter(|name| !name.contains('/')).collect();
    for naming in SHARDED {
        if let Some(weights) = of_naming(naming, &top)? {
            return Ok(selection(weights, names));
        }
    }
    for extension in SINGLE {
        if let Some(file) = of_extension(extension, &names)? {
            return of_file(file, names);
        }
    }
    let other = |name: &&str| naming::other_format(name).map(|format| ((*name).to_owned(), format));
    Err(SelectError::NoWeights { other: names.iter().find_map(other) })
}

/// Selects the model that `file` is, or is an index or a part of, among files with these names.
///
/// # Errors
/// [`SelectError::Incomplete`] where other parts of a split GGUF file are not among `names`.
pub fn select_file(file: &str, names: &[impl AsRef<str>]) -> Result<Selection, SelectError> {
    of_file(file, names.iter().map(AsRef::as_ref).collect())
}

impl Selection {
    /// What the selected files are opened by, relative to where the names are: a file of the model, or the empty path of the
    /// folder itself for shards without an index.
    pub fn path(&self) -> &str {
        match &self.weights {
            Weights::File(file) | Weights::Index(file) => file,
            // Any part of a split file is opened with the others.
            Weights::Files(files) => files.first().filter(|file| gguf_part(file).is_some()).map_or("", String::as_str),
        }
    }
}

/// The folder of a file, with its slash; empty at the top.
pub(crate) fn folder_of(file: &str) -> &str {
    file.rfind('/').and_then(|slash| file.get(..=slash)).unwrap_or_default()
}

/// The number of a part of a split GGUF file.
pub(crate) fn gguf_part(name: &str) -> Option<PartName<'_>> {
    PartName::parse(name).filter(PartName::is_gguf)
}

fn of_file(file: &str, names: BTreeSet<&str>) -> Result<Selection, SelectError> {
    let weights = if SHARDED.iter().any(|naming| naming.is_index(file)) {
        Weights::Index(file.to_owned())
    } else if gguf_part(file).is_some() {
        let key = model_of(file);
        let mut parts: BTreeSet<&str> = names.iter().copied().filter(|name| model_of(name) == key).collect();
        parts.insert(file);
        let parts: Vec<&str> = parts.into_iter().collect();
        check_complete(&parts)?;
        Weights::Files(parts.into_iter().map(str::to_owned).collect())
    } else {
        Weights::File(file.to_owned())
    };
    Ok(selection(weights, names))
}

/// These weights with what belongs to them.
fn selection(weights: Weights, names: BTreeSet<&str>) -> Selection {
    let first = match &weights {
        Weights::File(file) | Weights::Index(file) => file.as_str(),
        Weights::Files(files) => files.first().map_or("", String::as_str),
    };
    let beside = [CONFIGURATION, ADAPTER_CONFIGURATION].map(|name| format!("{}{name}", folder_of(first)));
    let config = beside.into_iter().find(|config| names.contains(config.as_str()));
    let external = names.iter().filter(|name| naming::is_external_data(name, first));
    Selection { external: external.map(|name| (*name).to_owned()).collect(), config, weights }
}

/// The model under the names of a format that is split into shards, if there is one.
fn of_naming(naming: Naming, names: &[&str]) -> Result<Option<Weights>, SelectError> {
    if let Some(single) = names.iter().find(|name| naming.is_single(name)) {
        return Ok(Some(Weights::File((*single).to_owned())));
    }
    let mut indexes = names.iter().filter(|name| naming.is_index(name));
    if let (Some(index), None) = (indexes.next(), indexes.next()) {
        return Ok(Some(Weights::Index((*index).to_owned())));
    }
    let weights: Vec<&str> = names.iter().copied().filter(|name| naming.is_weights(name)).collect();
    check_complete(&weights)?;
    Ok(match weights[..] {
        [] => None,
        [only] => Some(Weights::File(only.to_owned())),
        _ => Some(Weights::Files(weights.into_iter().map(str::to_owned).collect())),
    })
}

/// The one model with this extension, if there is one.
fn of_extension<'a>(extension: &'static str, names: &BTreeSet<&'a str>) -> Result<Option<&'a str>, SelectError> {
    let mut models = BTreeMap::new();
    for name in names.iter().filter(|name| naming::has_extension(name, extension)) {
        models.entry(model_of(name)).or_insert(*name);
    }
    let mut models: Vec<&str> = models.into_values().collect();
    models.sort_unstable();
    match models[..] {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ => Err(SelectError::Several { extension, files: models.into_iter().map(str::to_owned).collect() }),
    }
}

/// What the names of all parts of one split GGUF file have in common; of another file its name.
fn model_of(name: &str) -> (&str, &str, u64) {
    gguf_part(name).map_or((name, "", 0), |part| (folder_of(name), part.stem, part.total))
}

/// Checks that no file of a numbered series is missing.
fn check_complete(names: &[&str]) -> Result<(), SelectError> {
    let mut series = BTreeMap::<(&str, &str, u64, &str), Vec<u64>>::new();
    for (name, part) in names.iter().filter_map(|name| Some((name, PartName::parse(name)?))) {
        series.entry((folder_of(name), part.stem, part.total, part.extension)).or_default().push(part.number);
    }
    for ((folder, stem, total, extension), numbers) in series {
        // Counted from 1, but some tools count from 0; at most one more step than there are files.
        let first = u64::from(!numbers.contains(&0));
        let last = total.saturating_sub(1).saturating_add(first);
        if let Some(missing) = (first..=last).find(|number| !numbers.contains(number)) {
            return Err(SelectError::Incomplete {
                found: numbers.len() as u64,
                total,
                missing: format!("{folder}{stem}-{missing:05}-of-{total:05}.{extension}"),
                readable_alone: !extension.eq_ignore_ascii_case("gguf"),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
