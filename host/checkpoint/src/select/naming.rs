//! How the files of each format are named. Case is ignored: file systems differ in it.

use std::path::Path;

/// The formats that are read, as messages list them.
pub const FORMATS: &str = "safetensors, PyTorch, GGUF, ONNX, NumPy and Flax";

/// The names of a format that is split into shards, with or without an index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Naming {
    /// The name of an unsplit model, which goes before everything but an index.
    single: &'static str,
    /// How the name of an index of shards ends.
    index: &'static str,
    /// Whether a name, in lower case, is one of weights.
    weights: fn(&str) -> bool,
}

/// The formats that are split into shards, in the order of preference.
pub(super) const SHARDED: [Naming; 2] = [
    Naming {
        single: "model.safetensors",
        index: ".safetensors.index.json",
        weights: |name| extension(name) == "safetensors" && !is_training_state(name),
    },
    Naming { single: "pytorch_model.bin", index: ".bin.index.json", weights: is_pytorch },
];

/// The extensions of formats of which one file, or one numbered series, is one model, in the order of preference.
pub(super) const SINGLE: [&str; 5] = [".gguf", ".onnx", ".npz", ".npy", ".msgpack"];

/// How names begin that training tools give to what they save beside the weights.
const TRAINING: &[&str] = &[
    "optimizer",
    "optim_",
    "optim.",
    "scheduler",
    "lr_scheduler",
    "training_args",
    "rng_state",
    "scaler",
    "random_states",
];

impl Naming {
    /// Whether a file of this name is an unsplit model.
    pub(super) fn is_single(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.single)
    }

    /// Whether a file of this name or path is an index of shards.
    pub(super) fn is_index(&self, name: &str) -> bool {
        name.to_ascii_lowercase().ends_with(self.index)
    }

    /// Whether a file of this name is the index of an unsplit model's name, which goes before others.
    pub(super) fn is_first_index(&self, name: &str) -> bool {
        name.to_ascii_lowercase().strip_prefix(stem(self.single)) == Some(self.index)
    }

    /// Whether a series of this name is that of an unsplit model's name.
    pub(super) fn is_single_stem(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(stem(self.single))
    }

    /// How the name of an index ends.
    pub(super) fn index_extension(&self) -> &'static str {
        self.index
    }

    /// Whether a file of this name is a model or one of its shards.
    pub(super) fn is_weights(&self, name: &str) -> bool {
        (self.weights)(&name.to_ascii_lowercase())
    }
}

fn extension(name: &str) -> &str {
    Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

fn is_pytorch(name: &str) -> bool {
    match extension(name) {
        // Anything may end in .bin.
        "bin" => name.starts_with("pytorch_model") || name.starts_with("model"),
        "pt" | "pth" | "ckpt" => !is_training_state(name),
        _ => false,
    }
}

/// Whether a name is one that training tools give to what they save beside the weights.
fn is_training_state(name: &str) -> bool {
    TRAINING.iter().any(|start| name.starts_with(start)) || name.ends_with("_optim_states.pt")
}

/// A file's name without its extension.
pub(super) fn stem(name: &str) -> &str {
    Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name)
}

/// Whether a name ends in one of [`SINGLE`].
pub(super) fn has_extension(name: &str, extension: &str) -> bool {
    name.to_ascii_lowercase().ends_with(extension)
}

/// Whether a file holds tensors of the ONNX model `model`: exporters name such files after it.
pub(super) fn is_external_data(name: &str, model: &str) -> bool {
    has_extension(model, ".onnx")
        && name.strip_prefix(model).is_some_and(|end| end.starts_with("_data") || end.starts_with(".data"))
}

/// The format of a file of weights that is not read, by its name.
pub(super) fn other_format(name: &str) -> Option<&'static str> {
    Some(match extension(&name.to_ascii_lowercase()) {
        "h5" | "keras" => "Keras",
        "tflite" => "TensorFlow Lite",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_training_state() {
        let [safetensors, pytorch] = SHARDED;
        for name in ["pytorch_model-00001-of-00002.bin", "model.bin", "Consolidated.00.PTH", "last.ckpt", "optimus.pt"]
        {
            assert!(pytorch.is_weights(name), "{name}");
        }
        for name in [
            "optimizer.pt",
            "scheduler.pt",
            "training_args.bin",
            "rng_state_0.pth",
            "scaler.pt",
            "zero_pp_rank_0_mp_rank_00_optim_states.pt",
            "optimizer.safetensors",
            "vocab.bin",
            "model.safetensors",
            "README.md",
        ] {
            assert!(!pytorch.is_weights(name), "{name}");
        }
        assert!(safetensors.is_weights("a.safetensors") && !safetensors.is_weights("optimizer.safetensors"));
        assert!(safetensors.is_first_index("Model.safetensors.index.json"));
        assert!(!safetensors.is_first_index("consolidated.safetensors.index.json"));
        assert!(pytorch.is_single("PyTorch_Model.bin") && safetensors.is_index("m/MODEL.safetensors.index.json"));
        assert!(has_extension("a.GGUF", ".gguf") && !has_extension("a.gguf.txt", ".gguf"));
    }
}
