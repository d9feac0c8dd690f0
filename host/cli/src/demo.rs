//! A synthetic checkpoint in the shape of a small OPT, with outliers planted where the investigation found them in
//! trained models. Made up, always the same, and labelled so in its file and in every report.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

use half::f16;
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
    let mut noise = Noise(0x6b75_7274_6f73_6973);
    let mut all = BTreeMap::new();
    let mut add = |name: String, shape: &[usize], values: Vec<f64>| {
        let bytes = values.iter().flat_map(|value| f16::from_f64(*value).to_le_bytes()).collect();
        all.insert(format!("model.decoder.{name}"), (shape.to_vec(), bytes));
    };
    add("embed_tokens.weight".into(), &[VOCABULARY, WIDTH], noise.normal(VOCABULARY * WIDTH, 0.02));
    add("embed_positions.weight".into(), &[POSITION_ROWS, WIDTH], noise.normal(POSITION_ROWS * WIDTH, 0.006));
    for layer in 0..LAYERS {
        for projection in ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"] {
            let (rows, columns) = match projection {
                "fc1" => (FEED_FORWARD, WIDTH),
                "fc2" => (WIDTH, FEED_FORWARD),
                _ => (WIDTH, WIDTH),
            };
            let mut values = match (projection, layer) {
                // Heavy tails all over the matrix: Student's t with 5 degrees of freedom.
                ("fc2", 5) => noise.student(rows * columns, 0.006, 5),
                _ => noise.normal(rows * columns, 0.02),
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
            add(format!("layers.{layer}.{place}{projection}.bias"), &[rows], noise.normal(rows, 0.01));
        }
        for norm in ["self_attn_layer_norm", "final_layer_norm"] {
            let mut weight: Vec<f64> = noise.normal(WIDTH, 0.03).iter().map(|value| 1.0 + value).collect();
            if norm == "final_layer_norm" && layer == 4 {
                weight[11] = 6.5;
            }
            add(format!("layers.{layer}.{norm}.weight"), &[WIDTH], weight);
            add(format!("layers.{layer}.{norm}.bias"), &[WIDTH], noise.normal(WIDTH, 0.02));
        }
    }
    add("final_layer_norm.weight".into(), &[WIDTH], vec![1.0; WIDTH]);
    add("final_layer_norm.bias".into(), &[WIDTH], vec![0.0; WIDTH]);
    all
}

/// SplitMix64 (G. Steele, D. Lea and C. Flood, OOPSLA 2014): the same numbers on every machine.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One standard normal value, by the method of Box and Muller.
    fn one(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (core::f64::consts::TAU * self.uniform()).cos()
    }

    fn normal(&mut self, count: usize, sigma: f64) -> Vec<f64> {
        (0..count).map(|_| sigma * self.one()).collect()
    }

    fn student(&mut self, count: usize, scale: f64, freedom: u32) -> Vec<f64> {
        let one = |noise: &mut Self| {
            let squares: f64 = (0..freedom).map(|_| noise.one().powi(2)).sum();
            scale * noise.one() / (squares / f64::from(freedom)).sqrt()
        };
        (0..count).map(|_| one(self)).collect()
    }
}
