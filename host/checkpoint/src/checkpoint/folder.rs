//! Decides which files make up the checkpoint that a user named.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use super::index::Index;
use super::names::{self, Naming};
use crate::source::{PartName, SourceError, unreadable};

/// The files of one checkpoint.
#[derive(Debug)]
pub(super) struct Located {
    /// Where `config.json` would be.
    pub(super) folder: PathBuf,
    /// The files of weights, in a fixed order.
    pub(super) files: Vec<PathBuf>,
    /// The index, where there is one.
    pub(super) index: Option<Index>,
}

/// Finds the files of the checkpoint at `path`: a file, an index, or a folder (see [`Checkpoint::open`]).
///
/// [`Checkpoint::open`]: super::Checkpoint::open
pub(super) fn locate(path: &Path) -> Result<Located, CheckpointError> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if metadata.is_dir() {
        return in_folder(path);
    }
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let name = path.to_string_lossy();
    if [names::SAFETENSORS, names::PYTORCH].iter().any(|naming| naming.is_index(&name)) {
        return indexed(folder, path);
    }
    if let Some(files) = gguf_parts(&folder, path)? {
        return Ok(Located { folder, files, index: None });
    }
    Ok(Located { folder, files: vec![path.to_owned()], index: None })
}

/// All parts of the split model that a GGUF file is one of, by its name; `None` for the name of a whole model.
fn gguf_parts(folder: &Path, path: &Path) -> Result<Option<Vec<PathBuf>>, CheckpointError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(part) = name.and_then(names::gguf_part) else { return Ok(None) };
    // The folder of a bare file name is the current one.
    let listed = list(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?;
    let parts: Vec<&str> = listed
        .iter()
        .map(String::as_str)
        .filter(|name| names::gguf_part(name).is_some_and(|other| names::are_of_one_model(&other, &part)))
        .collect();
    check_complete(folder, &parts)?;
    Ok(Some(parts.iter().map(|name| folder.join(name)).collect()))
}

fn indexed(folder: PathBuf, path: &Path) -> Result<Located, CheckpointError> {
    let index = Index::read(path)?;
    Ok(Located { folder, files: index.shards.keys().cloned().collect(), index: Some(index) })
}

fn in_folder(folder: &Path) -> Result<Located, CheckpointError> {
    let names = list(folder)?;
    for naming in [names::SAFETENSORS, names::PYTORCH] {
        if let Some(located) = named(folder, &names, naming)? {
            return Ok(located);
        }
    }
    let mut models: Vec<&String> = names.iter().filter(|name| names::is_whole_model(name)).collect();
    // The parts of one model stand together in the sorted list, and count as one.
    models.dedup_by(|a, b| match (names::gguf_part(a), names::gguf_part(b)) {
        (Some(a), Some(b)) => names::are_of_one_model(&a, &b),
        _ => false,
    });
    match models[..] {
        [] => Err(nothing_to_read(folder, &names)),
        [only] => match gguf_parts(folder, Path::new(only))? {
            Some(files) => Ok(Located { folder: folder.to_owned(), files, index: None }),
            None => Ok(of_files(folder, &[only])),
        },
        _ => Err(CheckpointError::SeveralModels {
            path: folder.to_owned(),
            files: models.into_iter().cloned().collect(),
        }),
    }
}

/// The checkpoint that a folder holds under the names of one format, if it does.
fn named(folder: &Path, names: &[String], naming: Naming) -> Result<Option<Located>, CheckpointError> {
    if let Some(single) = names.iter().find(|name| naming.is_single(name)) {
        return Ok(Some(of_files(folder, &[single])));
    }
    let mut indexes = names.iter().filter(|name| naming.is_index(name));
    if let (Some(index), None) = (indexes.next(), indexes.next()) {
        return indexed(folder.to_owned(), &folder.join(index)).map(Some);
    }
    let weights: Vec<&str> = names.iter().map(String::as_str).filter(|name| naming.is_weights(name)).collect();
    if weights.is_empty() {
        return Ok(None);
    }
    check_complete(folder, &weights)?;
    Ok(Some(of_files(folder, &weights)))
}

fn of_files(folder: &Path, names: &[impl AsRef<Path>]) -> Located {
    Located { folder: folder.to_owned(), files: names.iter().map(|name| folder.join(name)).collect(), index: None }
}

/// The names in a folder, sorted. Hidden files, which other systems leave beside copied ones, are passed over, and so are
/// names that are not UTF-8, which no tool gives to weights.
fn list(folder: &Path) -> Result<Vec<String>, SourceError> {
    let failed = |error| unreadable(folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Shards without an index must at least be all of those that their names promise.
fn check_complete(folder: &Path, weights: &[&str]) -> Result<(), CheckpointError> {
    let mut series = BTreeMap::<(&str, u64, &str), Vec<u64>>::new();
    for shard in weights.iter().filter_map(|name| PartName::parse(name)) {
        series.entry((shard.stem, shard.total, shard.extension)).or_default().push(shard.number);
    }
    for ((stem, total, extension), numbers) in series {
        // Counted from 1, but some tools count from 0; at most one more step than there are files.
        let first = u64::from(!numbers.contains(&0));
        let last = total.saturating_sub(1).saturating_add(first);
        if let Some(missing) = (first..=last).find(|number| !numbers.contains(number)) {
            let (folder, found) = (folder.to_owned(), numbers.len() as u64);
            let missing = format!("{stem}-{missing:05}-of-{total:05}.{extension}");
            return Err(if extension.eq_ignore_ascii_case("gguf") {
                // A part of a split GGUF model is not read alone.
                CheckpointError::PartsIncomplete { folder, found, total, missing }
            } else {
                CheckpointError::ShardsIncomplete { folder, found, total, missing }
            });
        }
    }
    Ok(())
}

/// The error for a folder without a file to read: names weights in a format that is not read if there are any.
fn nothing_to_read(folder: &Path, names: &[String]) -> CheckpointError {
    let path = folder.to_owned();
    if names.is_empty() {
        return CheckpointError::EmptyFolder { path };
    }
    match names.iter().find_map(|name| names::other_format(name).map(|format| (name.clone(), format))) {
        Some((file, format)) => CheckpointError::FormatNotRead { path, file, format },
        None => CheckpointError::NoWeights { path, entries: names.len() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_series() {
        let missing = |names: &[&str]| match check_complete(Path::new("m"), names) {
            Err(CheckpointError::ShardsIncomplete { missing, .. }) => Some(missing),
            _ => None,
        };
        assert_eq!(missing(&["a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors"]), None);
        assert_eq!(missing(&["a-00000-of-00002.safetensors", "a-00001-of-00002.safetensors"]), None);
        assert_eq!(missing(&["a.safetensors", "b.safetensors"]), None);
        assert_eq!(
            missing(&["a-1-of-2.bin", "a-1-of-2.safetensors", "a-2-of-2.bin"]).as_deref(),
            Some("a-00002-of-00002.safetensors")
        );
        assert_eq!(missing(&["a-1-of-3.safetensors"]).as_deref(), Some("a-00002-of-00003.safetensors"));
        let huge = format!("a-1-of-{}.safetensors", u64::MAX);
        assert_eq!(missing(&[&huge]).as_deref(), Some("a-00002-of-18446744073709551615.safetensors"));
    }
}
