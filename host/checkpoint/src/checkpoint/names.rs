//! What the names of files in a model's folder tell about them. Upper and lower case are not told apart.

use std::path::Path;

use crate::source::PartName;

/// How the files of one format are named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Naming {
    /// The name of an unsplit model, which goes before everything else in a folder.
    single: &'static str,
    /// How the name of an index of shards ends.
    index: &'static str,
    /// Whether a name, in lower case, is one of weights.
    weights: fn(&str) -> bool,
}

/// The names of safetensors.
pub(super) const SAFETENSORS: Naming = Naming {
    single: "model.safetensors",
    index: ".safetensors.index.json",
    weights: |name| extension(name) == "safetensors",
};

/// The names of PyTorch checkpoints.
pub(super) const PYTORCH: Naming =
    Naming { single: "pytorch_model.bin", index: ".bin.index.json", weights: is_pytorch };

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
    /// Whether a file of this name is a whole model that goes before everything else.
    pub(super) fn is_single(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.single)
    }

    /// Whether a file of this name or path is an index of shards.
    pub(super) fn is_index(&self, name: &str) -> bool {
        name.to_ascii_lowercase().ends_with(self.index)
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
        "pt" | "pth" | "ckpt" => {
            !TRAINING.iter().any(|start| name.starts_with(start)) && !name.ends_with("_optim_states.pt")
        }
        _ => false,
    }
}

/// Whether a file of this name is a whole model, or the part of one, in a format without an index of shards.
pub(super) fn is_whole_model(name: &str) -> bool {
    matches!(extension(&name.to_ascii_lowercase()), "gguf" | "onnx" | "npz" | "npy")
}

/// The format of a file of weights that is not read, by its name.
pub(super) fn other_format(name: &str) -> Option<&'static str> {
    Some(match extension(&name.to_ascii_lowercase()) {
        "h5" | "keras" => "Keras",
        "msgpack" => "Flax",
        "tflite" => "TensorFlow Lite",
        _ => return None,
    })
}

/// The number of a file of a split GGUF model, by its name.
pub(crate) fn gguf_part(name: &str) -> Option<PartName<'_>> {
    PartName::parse(name).filter(PartName::is_gguf)
}

/// Whether both are numbered as parts of one model.
pub(crate) fn are_of_one_model(one: &PartName<'_>, other: &PartName<'_>) -> bool {
    (one.stem, one.total) == (other.stem, other.total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_what_lies_beside_them() {
        for name in ["pytorch_model-00001-of-00002.bin", "model.bin", "Consolidated.00.PTH", "last.ckpt", "optimus.pt"]
        {
            assert!(PYTORCH.is_weights(name), "{name}");
        }
        for name in [
            "optimizer.pt",
            "scheduler.pt",
            "training_args.bin",
            "rng_state_0.pth",
            "scaler.pt",
            "zero_pp_rank_0_mp_rank_00_optim_states.pt",
            "vocab.bin",
            "model.safetensors",
            "README.md",
        ] {
            assert!(!PYTORCH.is_weights(name), "{name}");
        }
        assert!(PYTORCH.is_single("PyTorch_Model.bin") && SAFETENSORS.is_index("m/MODEL.safetensors.index.json"));
        assert!(is_whole_model("a.GGUF") && !is_whole_model("a.gguf.txt"));
    }
}
