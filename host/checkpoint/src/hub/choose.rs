//! Decides which files of a repository are the model: the weights, in the format that is read best, and what lies beside.

use super::error::HubError;
use super::name::HubModel;
use crate::checkpoint::names::{are_of_one_model, gguf_part};

/// Formats of which a repository may hold one file or several unrelated ones, best first.
const SINGLE_FILES: [&str; 3] = [".gguf", ".onnx", ".npz"];

/// The formats that are split into shards: how their index ends, and the name of an unsplit model.
const SAFETENSORS: (&str, &str) = (".safetensors.index.json", "model.safetensors");
const PYTORCH: (&str, &str) = (".bin.index.json", "pytorch_model.bin");

/// How many names an error lists.
const LISTED: usize = 12;

/// What to bring to disk, by names in the repository, and what to open then.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// Small files to have first: the configuration, the index.
    pub(super) beside: Vec<String>,
    /// The weights.
    pub(super) weights: Weights,
    /// The file to open; none where the folder is to be opened.
    pub(super) open: Option<String>,
}

/// The files that hold weights.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Weights {
    /// These.
    Files(Vec<String>),
    /// Those that this index names.
    Indexed(String),
}

/// Chooses among `names`, all files of the repository.
pub(super) fn choose(model: &HubModel, names: &[String]) -> Result<Choice, HubError> {
    if let Some(file) = &model.file {
        if !names.contains(file) {
            return Err(HubError::NoFile {
                repository: model.repository.clone(),
                file: file.clone(),
                revision: model.revision.clone(),
                files: list(names.iter()),
            });
        }
        return Ok(one_file(file, names));
    }
    if let Some(choice) = sharded(names, SAFETENSORS) {
        return Ok(choice);
    }
    let loose: Vec<String> = top(names).filter(|name| name.ends_with(".safetensors")).cloned().collect();
    if !loose.is_empty() {
        return Ok(Choice { beside: beside("", names), weights: Weights::Files(loose), open: None });
    }
    if let Some(choice) = sharded(names, PYTORCH) {
        return Ok(choice);
    }
    for kind in SINGLE_FILES {
        let of_kind = names.iter().filter(|name| name.to_ascii_lowercase().ends_with(kind));
        // The first part of a split model stands for all of it.
        let found: Vec<&String> = of_kind.filter(|name| with_parts(name, names).first() == Some(name)).collect();
        match found[..] {
            [] => {}
            [only] => return Ok(one_file(only, names)),
            [first, ..] => {
                return Err(HubError::Several {
                    model: model.to_string(),
                    count: found.len(),
                    kind,
                    example: model.with_file(first).to_string(),
                    files: list(found.into_iter()),
                });
            }
        }
    }
    Err(HubError::NoWeights { model: model.to_string(), count: names.len(), files: list(names.iter()) })
}

/// The unsplit model, or the one index of shards, at the top of the repository.
fn sharded(names: &[String], (index, unsplit): (&str, &str)) -> Option<Choice> {
    let beside = |more: Option<&String>| beside("", names).into_iter().chain(more.cloned()).collect();
    if let Some(unsplit) = top(names).find(|name| *name == unsplit) {
        let open = Some(unsplit.clone());
        return Some(Choice { beside: beside(None), weights: Weights::Files(vec![unsplit.clone()]), open });
    }
    let mut indexes = top(names).filter(|name| name.ends_with(index));
    let (Some(index), None) = (indexes.next(), indexes.next()) else { return None };
    Some(Choice { beside: beside(Some(index)), weights: Weights::Indexed(index.clone()), open: Some(index.clone()) })
}

fn one_file(file: &str, names: &[String]) -> Choice {
    let folder = folder_of(file);
    let mut beside = beside(folder, names);
    let weights = if file.ends_with(".index.json") {
        beside.push(file.to_owned());
        Weights::Indexed(file.to_owned())
    } else {
        // ONNX keeps large tensors in files beside the graph, which exporters name after it.
        let external = |name: &&String| {
            file.ends_with(".onnx")
                && name.strip_prefix(file).is_some_and(|end| end.starts_with("_data") || end.starts_with(".data"))
        };
        Weights::Files(with_parts(file, names).into_iter().chain(names.iter().filter(external).cloned()).collect())
    };
    // A split model is opened by any of its parts.
    Choice { beside, weights, open: Some(file.to_owned()) }
}

/// A file and, where it is one part of a split GGUF model, the others, the first one first.
fn with_parts(file: &str, names: &[String]) -> Vec<String> {
    let Some(shard) = gguf_part(file) else { return vec![file.to_owned()] };
    let is_part = |name: &&String| {
        folder_of(name) == folder_of(file) && gguf_part(name).is_some_and(|other| are_of_one_model(&shard, &other))
    };
    let mut parts: Vec<String> = names.iter().filter(is_part).cloned().collect();
    parts.sort();
    parts
}

/// The configuration in `folder`, if there is one.
fn beside(folder: &str, names: &[String]) -> Vec<String> {
    let config = format!("{folder}config.json");
    names.iter().filter(|name| **name == config).cloned().collect()
}

/// The folder of a file in the repository, with its slash; empty at the top.
pub(super) fn folder_of(file: &str) -> &str {
    file.rfind('/').and_then(|slash| file.get(..=slash)).unwrap_or_default()
}

fn top(names: &[String]) -> impl Iterator<Item = &String> {
    names.iter().filter(|name| !name.contains('/'))
}

/// Names for an error: the first few, and how many more.
pub(super) fn list<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let count = names.len();
    let mut text = names.take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if count > LISTED {
        text += &format!(", and {} more", count - LISTED);
    }
    if text.is_empty() { String::from("nothing") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(name: &str, files: &[&str]) -> Result<Choice, String> {
        let names: Vec<String> = files.iter().map(|name| String::from(*name)).collect();
        choose(&name.parse().expect("a name"), &names).map_err(|error| error.to_string())
    }

    fn weights(files: &[&str]) -> Vec<String> {
        match chosen("hf:o/n", files).expect("weights").weights {
            Weights::Files(files) => files,
            Weights::Indexed(index) => vec![index],
        }
    }

    #[test]
    fn the_best_format_is_taken() {
        let all = ["a.gguf", "config.json", "model.safetensors", "pytorch_model.bin"];
        assert_eq!(weights(&all), ["model.safetensors"]);
        assert_eq!(weights(&["a.gguf", "pytorch_model.bin"]), ["pytorch_model.bin"]);
        assert_eq!(weights(&["a.onnx", "b.onnx", "a.gguf"]), ["a.gguf"]);
        assert_eq!(weights(&["onnx/model.onnx", "onnx/model.onnx_data"]), ["onnx/model.onnx", "onnx/model.onnx_data"]);
        let sharded = ["consolidated.safetensors", "model-1-of-1.safetensors", "model.safetensors.index.json"];
        assert_eq!(weights(&sharded), ["model.safetensors.index.json"]);
        assert_eq!(
            weights(&["pytorch_model.bin.index.json", "vae/model.safetensors"]),
            ["pytorch_model.bin.index.json"]
        );
    }

    #[test]
    fn the_parts_of_a_split_file_come_together() {
        let parts = ["q4/m-00001-of-00002.gguf", "q4/m-00002-of-00002.gguf"];
        assert_eq!(weights(&parts), parts);
        let both = [parts[0], parts[1], "q8/m-00001-of-00001.gguf", "q4/m-00001-of-00003.gguf"];
        let several = chosen("hf:o/n", &both).expect_err("several");
        assert!(several.contains("3 .gguf files") && !several.contains("00002-of-00002"), "{several}");
        for part in parts {
            let choice = chosen(&format!("hf:o/n/{part}"), &both).expect("weights");
            let Weights::Files(files) = choice.weights else { panic!("no index") };
            assert_eq!(
                (files.as_slice(), choice.open.as_deref()),
                (&parts.map(String::from)[..], Some(part)),
                "{part}"
            );
        }
    }

    #[test]
    fn the_configuration_comes_along() {
        let choice = chosen("hf:o/n", &["config.json", "model.safetensors"]).expect("weights");
        assert_eq!((choice.beside, choice.open.as_deref()), (vec!["config.json".into()], Some("model.safetensors")));
        let choice = chosen("hf:o/n/q/b.gguf", &["config.json", "q/config.json", "q/b.gguf"]).expect("weights");
        assert_eq!(choice.beside, ["q/config.json"]);
    }

    #[test]
    fn errors_say_what_there_is() {
        let several = chosen("hf:o/n@v1", &["n-q4.gguf", "n-q8.gguf"]).expect_err("several");
        assert!(several.contains("hf:o/n/n-q4.gguf@v1") && several.contains("n-q8.gguf"), "{several}");
        let none = chosen("hf:o/n", &["README.md", "tf_model.h5"]).expect_err("none");
        assert!(none.contains("README.md, tf_model.h5"), "{none}");
        let missing = chosen("hf:o/n/x.gguf", &["y.gguf"]).expect_err("missing");
        assert!(missing.contains("x.gguf") && missing.contains("y.gguf"), "{missing}");
        let many: Vec<String> = (0..15).map(|number| format!("{number}.txt")).collect();
        assert!(list(many.iter()).ends_with("11.txt, and 3 more"));
    }
}
