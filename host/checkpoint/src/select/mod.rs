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
    /// Files of weights in the same format and folder that are not selected. Those that an index names are among them
    /// until it is read.
    pub left_out: Vec<String>,
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
    /// Weights are in sub-folders only, as those of a pipeline of several models are.
    #[error("weights are in sub-folders only: {}", folders.join(", "))]
    SubFolders {
        /// The sub-folders that hold weights.
        folders: Vec<String>,
        /// Whether a `model_index.json` says that they are the models of one pipeline.
        is_pipeline: bool,
        /// A file of weights in one of them.
        example: String,
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
/// 1. the index of safetensors shards: `model.safetensors.index.json`, or the one `*.safetensors.index.json`;
/// 2. `model.safetensors`;
/// 3. all other `*.safetensors`, taken for shards of one model. Names like `model-00001-of-00003.safetensors` must then be
///    complete, and leave out files without a number. Copies in another precision (`model.fp16.safetensors` beside
///    `model.safetensors`) are left out;
/// 4. the same of PyTorch: the index `pytorch_model.bin.index.json` or the one `*.bin.index.json`, `pytorch_model.bin`, all
///    other `pytorch_model*.bin`, `model*.bin`, `*.pt`, `*.pth` and `*.ckpt` that are not the state of training;
/// 5. the one `*.gguf` (all parts of it where it is split), else the one `*.onnx`, `*.npz`, `*.npy` or `*.msgpack`, in any
///    sub-folder that holds no weights of the first two formats.
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
    let (top, below): (BTreeSet<&str>, BTreeSet<&str>) = names.iter().copied().partition(|name| !name.contains('/'));
    for naming in SHARDED {
        if let Some((weights, mut left_out)) = of_naming(naming, &top)? {
            if SEVERAL_MODELS.iter().any(|list| names.contains(list)) {
                left_out.extend(weights_of(&below).map(str::to_owned));
            }
            return Ok(Selection { left_out, ..selection(weights, names) });
        }
    }
    for extension in SINGLE {
        if let Some(file) = of_extension(extension, &top)? {
            return of_file(file, names);
        }
    }
    in_sub_folders(&below, names.contains(PIPELINE))?;
    for extension in SINGLE {
        if let Some(file) = of_extension(extension, &below)? {
            return of_file(file, names);
        }
    }
    let other = |name: &&str| naming::other_format(name).map(|format| ((*name).to_owned(), format));
    Err(SelectError::NoWeights { other: names.iter().find_map(other) })
}

/// What lists the models of a pipeline, each of which is in a sub-folder.
const PIPELINE: &str = "model_index.json";

/// What says that sub-folders hold further models that work together with the one at the top: a pipeline's list, and that of
/// sentence-transformers.
const SEVERAL_MODELS: [&str; 2] = [PIPELINE, "modules.json"];

/// The files among these that hold weights of a format that is split into shards.
fn weights_of<'a>(below: &BTreeSet<&'a str>) -> impl Iterator<Item = &'a str> {
    let base = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    below.iter().copied().filter(move |name| SHARDED.iter().any(|naming| naming.is_weights(&base(name))))
}

/// Checks that no sub-folder holds a model that would be selected if the folder were named.
fn in_sub_folders(below: &BTreeSet<&str>, is_pipeline: bool) -> Result<(), SelectError> {
    let weights: Vec<&str> = weights_of(below).collect();
    let folders: BTreeSet<&str> = weights.iter().map(|name| folder_of(name).trim_end_matches('/')).collect();
    match weights.first() {
        None => Ok(()),
        Some(first) => Err(SelectError::SubFolders {
            folders: folders.into_iter().map(str::to_owned).collect(),
            is_pipeline,
            example: (*first).to_owned(),
        }),
    }
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

/// Whether a file of this name is an index of shards.
pub(crate) fn is_index(file: &str) -> bool {
    SHARDED.iter().any(|naming| naming.is_index(file))
}

/// The number of a part of a split GGUF file.
pub(crate) fn gguf_part(name: &str) -> Option<PartName<'_>> {
    PartName::parse(name).filter(PartName::is_gguf)
}

fn of_file(file: &str, names: BTreeSet<&str>) -> Result<Selection, SelectError> {
    let weights = if is_index(file) {
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
    let left_out = match &weights {
        Weights::Index(index) => beside_index(index, &names),
        _ => Vec::new(),
    };
    Ok(Selection { left_out, ..selection(weights, names) })
}

/// The files of weights in the folder of an index.
fn beside_index(index: &str, names: &BTreeSet<&str>) -> Vec<String> {
    let Some(naming) = SHARDED.iter().find(|naming| naming.is_index(index)) else { return Vec::new() };
    let folder = folder_of(index);
    let is_beside = |name: &&&str| folder_of(name) == folder && naming.is_weights(&name[folder.len()..]);
    names.iter().filter(is_beside).map(|name| (*name).to_owned()).collect()
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
    let external = external.map(|name| (*name).to_owned()).collect();
    Selection { external, config, weights, left_out: Vec::new() }
}

/// The model under the names of a format that is split into shards, if there is one, and the files that are not part of it.
fn of_naming(naming: Naming, names: &BTreeSet<&str>) -> Result<Option<(Weights, Vec<String>)>, SelectError> {
    let files: Vec<&str> = names.iter().copied().filter(|name| naming.is_weights(name)).collect();
    let without = |taken: &[&str]| -> Vec<String> {
        files.iter().filter(|file| !taken.contains(file)).map(|file| (*file).to_owned()).collect()
    };
    if let Some(index) = index(naming, names)? {
        return Ok(Some((Weights::Index(index.to_owned()), without(&[]))));
    }
    if let Some(single) = names.iter().find(|name| naming.is_single(name)) {
        return Ok(Some((Weights::File((*single).to_owned()), without(&[single]))));
    }
    let taken = shards(naming, &files);
    check_complete(&taken)?;
    Ok(match taken[..] {
        [] => None,
        [only] => Some((Weights::File(only.to_owned()), without(&taken))),
        _ => Some((Weights::Files(taken.iter().map(|file| (*file).to_owned()).collect()), without(&taken))),
    })
}

/// The index of an unsplit model's name, or else the only one.
fn index<'a>(naming: Naming, names: &BTreeSet<&'a str>) -> Result<Option<&'a str>, SelectError> {
    let indexes: Vec<&str> = names.iter().copied().filter(|name| naming.is_index(name)).collect();
    match indexes[..] {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ => match indexes.iter().find(|name| naming.is_first_index(name)) {
            Some(first) => Ok(Some(first)),
            None => Err(SelectError::Several {
                extension: naming.index_extension(),
                files: indexes.into_iter().map(str::to_owned).collect(),
            }),
        },
    }
}

/// The shards of one model among files of weights without an index: those with a number where some have one, of the series
/// with an unsplit model's name where there is one, without copies in another precision.
fn shards<'a>(naming: Naming, files: &[&'a str]) -> Vec<&'a str> {
    let numbered: Vec<&str> = files.iter().copied().filter(|file| PartName::parse(file).is_some()).collect();
    let of_model = |file: &&&str| naming.is_single_stem(stem_of(file));
    let candidates = match numbered.iter().filter(of_model).copied().collect::<Vec<_>>() {
        _ if numbered.is_empty() => files.to_vec(),
        first if first.is_empty() => numbered,
        first => first,
    };
    // `model.fp16` beside `model`.
    let stems: BTreeSet<&str> = files.iter().map(|file| stem_of(file)).collect();
    let is_copy = |file: &&str| stem_of(file).rsplit_once('.').is_some_and(|(base, _)| stems.contains(base));
    candidates.iter().filter(|file| !is_copy(file)).copied().collect()
}

/// A file's name without its extension and the number of a shard.
fn stem_of(file: &str) -> &str {
    PartName::parse(file).map_or_else(|| naming::stem(file), |part| part.stem)
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
