//! A synthetic checkpoint in the shape of a small OPT, with outliers planted where the investigation found them in
//! trained models. Made up, always the same, and labelled so in its file and in every report.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

use half::f16;
use kurtoscope_shared::Random;
use safetensors::{Dtype, SafeTensorError, tensor::TensorView};
use serde_json::json;

/// What reports call the model.
pub const NAME: &str = "synthetic OPT-shaped model (kurtoscope demo)";

const WIDTH: usize = 256;
const FEED_FORWARD: usize = 4 * WIDTH;
const LAYERS: usize = 6;
const HEADS: usize = 8;
const VOCABULARY: usize = 4096;
const POSITIONS: usize = 512;
/// OPT's position table begins with two rows that no token uses.
const POSITION_ROWS: usize = POSITIONS + 2;

/// Why the checkpoint could not be written.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file or folder cannot be written.
    #[error("{path}: it cannot be written")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The weights cannot be put into the format.
    #[error("{path}: the weights cannot be put into the format")]
    Format {
        /// Which file.
        path: PathBuf,
        /// The format's reason.
        source: SafeTensorError,
    },
}

/// Writes `model.safetensors` (f16, 13 MB) and `config.json` into `folder`, which is created if need be.
///
/// # Errors
/// When a file cannot be written; then nothing with these names is left half-written.
pub fn write(folder: &Path) -> Result<(), DemoError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DemoError::File { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let tensors = tensors();
    let weights = folder.join("model.safetensors");
    let format = |source| DemoError::Format { path: weights.clone(), source };
    let mut views = BTreeMap::new();
    for (name, (shape, bytes)) in &tensors {
        views.insert(name, TensorView::new(Dtype::F16, shape.clone(), bytes).map_err(format)?);
    }
    let labels = [("format", "pt"), ("kurtoscope.synthetic", "true")];
    let labels: HashMap<String, String> = labels.map(|(key, value)| (key.into(), value.into())).into();
    let file = safetensors::serialize(views, Some(labels)).map_err(format)?;
    let config = json!({
        "model_type": "opt",
        "architectures": ["OPTForCausalLM"],
        "hidden_size": WIDTH,
        "ffn_dim": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": POSITIONS,
        "tie_word_embeddings": true,
        "torch_dtype": "float16",
        "_comment": "Synthetic, made by `kurtoscope demo`. Not a trained model."
    });
    for (path, content) in [(folder.join("config.json"), format!("{config:#}\n").into_bytes()), (weights, file)] {
        let temporary = path.with_extension("partial");
        fs::write(&temporary, content).and_then(|()| fs::rename(&temporary, &path)).map_err(failed(&path))?;
    }
    Ok(())
}

type Stored = (Vec<usize>, Vec<u8>);

/// Weights as OPT is initialised (normal, sigma 0.006 and less towards the outputs), then spoilt in five places.
fn tensors() -> BTreeMap<String, Stored> {
    let mut random = Random::new(0x6b75_7274_6f73_6973);
    let mut all = BTreeMap::new();
    let mut add = |name: String, shape: &[usize], values: Vec<f64>| {
        let bytes = values.iter().flat_map(|value| f16::from_f64(*value).to_le_bytes()).collect();
        all.insert(format!("model.decoder.{name}"), (shape.to_vec(), bytes));
    };
    add("embed_tokens.weight".into(), &[VOCABULARY, WIDTH], normal(&mut random, VOCABULARY * WIDTH, 0.02));
    add("embed_positions.weight".into(), &[POSITION_ROWS, WIDTH], normal(&mut random, POSITION_ROWS * WIDTH, 0.006));
    for layer in 0..LAYERS {
        for projection in ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"] {
            let (rows, columns) = match projection {
                "fc1" => (FEED_FORWARD, WIDTH),
                "fc2" => (WIDTH, FEED_FORWARD),
                _ => (WIDTH, WIDTH),
            };
            let mut values = match (projection, layer) {
                // Heavy tails all over the matrix: Student's t with 5 degrees of freedom.
                ("fc2", 5) => student(&mut random, rows * columns, 0.006, 5),
                _ => normal(&mut random, rows * columns, 0.02),
            };
            match (projection, layer) {
                // One weight that carries the whole kurtosis, as in OPT-125m.
                ("out_proj", 1) => values[37 * columns + 201] = -1.64,
                // One output channel, eight times as large as the others.
                ("v_proj", 0) => values[19 * columns..20 * columns].iter_mut().for_each(|value| *value *= 8.0),
                // A handful of isolated weights.
                ("k_proj", 3) => (0..12).for_each(|index| values[index * 4099] *= 30.0),
                _ => {}
            }
            let place = if projection.starts_with("fc") { "" } else { "self_attn." };
            add(format!("layers.{layer}.{place}{projection}.weight"), &[rows, columns], values);
            add(format!("layers.{layer}.{place}{projection}.bias"), &[rows], normal(&mut random, rows, 0.01));
        }
        for norm in ["self_attn_layer_norm", "final_layer_norm"] {
            let mut weight: Vec<f64> = normal(&mut random, WIDTH, 0.03).iter().map(|value| 1.0 + value).collect();
            if norm == "final_layer_norm" && layer == 4 {
                weight[11] = 6.5;
            }
            add(format!("layers.{layer}.{norm}.weight"), &[WIDTH], weight);
            add(format!("layers.{layer}.{norm}.bias"), &[WIDTH], normal(&mut random, WIDTH, 0.02));
        }
    }
    add("final_layer_norm.weight".into(), &[WIDTH], vec![1.0; WIDTH]);
    add("final_layer_norm.bias".into(), &[WIDTH], vec![0.0; WIDTH]);
    all
}

/// Normal values of this deviation.
fn normal(random: &mut Random, count: usize, sigma: f64) -> Vec<f64> {
    (0..count).map(|_| sigma * random.normal()).collect()
}

/// Student's t, scaled.
fn student(random: &mut Random, count: usize, scale: f64, degrees: u32) -> Vec<f64> {
    (0..count).map(|_| scale * random.student_t(degrees)).collect()
}
