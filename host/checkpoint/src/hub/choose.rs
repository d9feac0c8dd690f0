//! The model that a user named, among the files of a repository, and the error where there is none or several.

use super::error::HubError;
use super::name::HubModel;
use crate::select::{SelectError, Selection, select, select_file};

/// How many names an error lists.
const LISTED: usize = 12;

/// Chooses among `names`, all files of the repository.
pub(super) fn choose(model: &HubModel, names: &[String]) -> Result<Selection, HubError> {
    let selected = match &model.file {
        Some(file) if !names.contains(file) => {
            return Err(HubError::NoFile {
                repository: model.repository.clone(),
                file: file.clone(),
                revision: model.revision.clone(),
                files: list(names),
            });
        }
        Some(file) => select_file(file, names),
        None => select(names),
    };
    selected.map_err(|error| refused(model, names, error))
}

fn refused(model: &HubModel, names: &[String], error: SelectError) -> HubError {
    match error {
        SelectError::NoWeights { .. } => {
            HubError::NoWeights { model: model.to_string(), count: names.len(), files: list(names) }
        }
        SelectError::Several { extension, files } => HubError::Several {
            model: model.to_string(),
            count: files.len(),
            kind: extension,
            example: files.first().map(|first| model.with_file(first).to_string()).unwrap_or_default(),
            files: list(&files),
        },
        SelectError::SubFolders { folders, is_pipeline, example } => HubError::SubFolders {
            model: model.to_string(),
            folders: list(&folders),
            is_pipeline,
            example: model.with_file(&example).to_string(),
        },
        SelectError::Incomplete { found, total, missing, .. } => {
            HubError::Incomplete { model: model.to_string(), found, total, missing }
        }
    }
}

/// Names for an error: the first few, and how many more.
fn list(names: &[String]) -> String {
    let mut text = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > LISTED {
        text += &format!(", and {} more", names.len() - LISTED);
    }
    if text.is_empty() { String::from("nothing") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(name: &str, files: &[&str]) -> Result<Selection, String> {
        let names: Vec<String> = files.iter().map(|name| String::from(*name)).collect();
        choose(&name.parse().expect("a name"), &names).map_err(|error| error.to_string())
    }

    #[test]
    fn a_named_file_goes_before_the_preferred_format() {
        let files = ["model.safetensors", "q/n.gguf"];
        assert_eq!(chosen("hf:o/n", &files).expect("weights").path(), "model.safetensors");
        assert_eq!(chosen("hf:o/n/q/n.gguf", &files).expect("weights").path(), "q/n.gguf");
    }

    #[test]
    fn errors_say_what_there_is() {
        let several = chosen("hf:o/n@v1", &["n-q4.gguf", "n-q8.gguf"]).expect_err("several");
        assert!(several.contains("hf:o/n/n-q4.gguf@v1") && several.contains("n-q8.gguf"), "{several}");
        let none = chosen("hf:o/n", &["README.md", "tf_model.h5"]).expect_err("none");
        assert!(none.contains("README.md, tf_model.h5"), "{none}");
        let pipeline = chosen("hf:o/n", &["model_index.json", "unet/d.safetensors", "vae/d.safetensors"]);
        let pipeline = pipeline.expect_err("a pipeline");
        assert!(pipeline.contains("unet, vae") && pipeline.contains("hf:o/n/unet/d.safetensors"), "{pipeline}");
        let incomplete = chosen("hf:o/n", &["m-00001-of-00002.gguf"]).expect_err("incomplete");
        assert!(incomplete.contains("1 of 2 files") && incomplete.contains("m-00002-of-00002.gguf"), "{incomplete}");
        let missing = chosen("hf:o/n/x.gguf", &["y.gguf"]).expect_err("missing");
        assert!(missing.contains("x.gguf") && missing.contains("y.gguf"), "{missing}");
        let many: Vec<String> = (0..15).map(|number| format!("{number}.txt")).collect();
        assert!(list(&many).ends_with("11.txt, and 3 more"));
    }
}
