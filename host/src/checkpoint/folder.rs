//! Decides which files make up the checkpoint that a user named.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use super::index::Index;
use super::mapped::unreadable;

/// The name of an unsplit model, which goes before everything else in a folder.
const SINGLE: &str = "model.safetensors";

/// How the name of an index of shards ends.
const INDEX: &str = ".safetensors.index.json";

/// The extensions of files that may be parts of one model, in the order in which they are looked for.
const SAFETENSORS: &str = "safetensors";
const GGUF: &str = "gguf";

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
    if path.to_string_lossy().ends_with(INDEX) {
        return indexed(folder, path);
    }
    if let Some(files) = gguf_parts(&folder, path)? {
        return Ok(Located { folder, files, index: None });
    }
    Ok(Located { folder, files: vec![path.to_owned()], index: None })
}

/// All parts of the split model that a GGUF file is one of, by its name.
fn gguf_parts(folder: &Path, path: &Path) -> Result<Option<Vec<PathBuf>>, CheckpointError> {
    let name = path.file_name().and_then(|name| name.to_str()).filter(|name| has_extension(name, GGUF));
    let Some((prefix, _, total)) = name.and_then(numbered) else { return Ok(None) };
    // The folder of a bare file name is the current one.
    let listed = list(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?;
    let of_model = |name: &&str| {
        has_extension(name, GGUF) && numbered(name).is_some_and(|(other, _, count)| (other, count) == (prefix, total))
    };
    let parts: Vec<&str> = listed.iter().map(String::as_str).filter(of_model).collect();
    check_complete(folder, &parts, GGUF)?;
    Ok(Some(parts.iter().map(|name| folder.join(name)).collect()))
}

fn indexed(folder: PathBuf, path: &Path) -> Result<Located, CheckpointError> {
    let index = Index::read(path)?;
    Ok(Located { folder, files: index.shards.keys().cloned().collect(), index: Some(index) })
}

fn in_folder(folder: &Path) -> Result<Located, CheckpointError> {
    let names = list(folder)?;
    let single = |name: &str| Ok(Located { folder: folder.to_owned(), files: vec![folder.join(name)], index: None });
    if names.iter().any(|name| name == SINGLE) {
        return single(SINGLE);
    }
    let mut indexes = names.iter().filter(|name| name.ends_with(INDEX));
    if let (Some(index), None) = (indexes.next(), indexes.next()) {
        return indexed(folder.to_owned(), &folder.join(index));
    }
    for extension in [SAFETENSORS, GGUF] {
        let weights: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| has_extension(name, extension)).collect();
        match weights[..] {
            [] => {}
            [only] if numbered(only).is_none() => return single(only),
            _ => {
                check_complete(folder, &weights, extension)?;
                let files = weights.iter().map(|name| folder.join(name)).collect();
                return Ok(Located { folder: folder.to_owned(), files, index: None });
            }
        }
    }
    Err(nothing_to_read(folder, &names))
}

/// The names in a folder, sorted. Hidden files, which other systems leave beside copied ones, are passed over, and so are
/// names that are not UTF-8, which no tool gives to weights.
fn list(folder: &Path) -> Result<Vec<String>, CheckpointError> {
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

fn has_extension(name: &str, wanted: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

/// The parts of a shard's name `STEM-00001-of-00003.safetensors`: stem with total, number, and total.
pub(super) fn numbered(name: &str) -> Option<(&str, u64, u64)> {
    let stem = Path::new(name).file_stem()?.to_str()?;
    let (rest, total) = stem.rsplit_once("-of-")?;
    let (prefix, number) = rest.rsplit_once('-')?;
    Some((prefix, number.parse().ok()?, total.parse().ok()?))
}

/// Shards without an index must at least be all of those that their names promise.
fn check_complete(folder: &Path, weights: &[&str], extension: &str) -> Result<(), CheckpointError> {
    let mut series = BTreeMap::<(&str, u64), Vec<u64>>::new();
    for (prefix, number, total) in weights.iter().filter_map(|name| numbered(name)) {
        series.entry((prefix, total)).or_default().push(number);
    }
    for ((prefix, total), numbers) in series {
        // Counted from 1, but some tools count from 0; at most one more step than there are files.
        let first = u64::from(!numbers.contains(&0));
        let last = total.saturating_sub(1).saturating_add(first);
        if let Some(missing) = (first..=last).find(|number| !numbers.contains(number)) {
            let (folder, found) = (folder.to_owned(), numbers.len() as u64);
            let missing = format!("{prefix}-{missing:05}-of-{total:05}.{extension}");
            return Err(match extension {
                // A part of a split GGUF model is not read alone.
                GGUF => CheckpointError::PartsIncomplete { folder, found, total, missing },
                _ => CheckpointError::ShardsIncomplete { folder, found, total, missing },
            });
        }
    }
    Ok(())
}

/// The error for a folder without a file to read: names weights of other formats if there are any.
fn nothing_to_read(folder: &Path, names: &[String]) -> CheckpointError {
    let path = folder.to_owned();
    if names.is_empty() {
        return CheckpointError::EmptyFolder { path };
    }
    match names.iter().find_map(|name| other_format(name).map(|format| (name.clone(), format))) {
        Some((file, format)) => CheckpointError::FormatNotRead { path, file, format },
        None => CheckpointError::NoWeights { path, entries: names.len() },
    }
}

/// The format of a file of weights that is not safetensors, by its name.
fn other_format(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let extension = Path::new(&name).extension()?.to_str()?;
    Some(match extension {
        "bin" if name.starts_with("pytorch_model") || name.starts_with("model") => "PyTorch",
        "pt" | "pth" | "ckpt" => "PyTorch",
        "onnx" => "ONNX",
        "npz" | "npy" => "NumPy",
        "h5" | "keras" => "Keras",
        "msgpack" => "Flax",
        "tflite" => "TensorFlow Lite",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_names() {
        assert_eq!(numbered("model-00002-of-00010.safetensors"), Some(("model", 2, 10)));
        assert_eq!(numbered("a-b-1-of-2.safetensors"), Some(("a-b", 1, 2)));
        assert_eq!(numbered("model.safetensors"), None);
        assert_eq!(numbered("one-of-us.safetensors"), None);
    }

    #[test]
    fn incomplete_series() {
        let missing = |names: &[&str]| match check_complete(Path::new("m"), names, SAFETENSORS) {
            Err(CheckpointError::ShardsIncomplete { missing, .. }) => Some(missing),
            _ => None,
        };
        assert_eq!(missing(&["a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors"]), None);
        assert_eq!(missing(&["a-00000-of-00002.safetensors", "a-00001-of-00002.safetensors"]), None);
        assert_eq!(missing(&["a.safetensors", "b.safetensors"]), None);
        assert_eq!(missing(&["a-1-of-3.safetensors"]).as_deref(), Some("a-00002-of-00003.safetensors"));
        let huge = format!("a-1-of-{}.safetensors", u64::MAX);
        assert_eq!(missing(&[&huge]).as_deref(), Some("a-00002-of-18446744073709551615.safetensors"));
    }
}
