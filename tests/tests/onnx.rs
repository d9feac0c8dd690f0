//! ONNX models of real exporters and quantizers: places, orders and values of weights that the files call
//! `onnx::MatMul_208`, `val_2` or `…_quantized`, against PyTorch's parameters and onnxruntime's values.
//!
//! The fixtures and what is expected of them are from `tests/fixtures/onnx/make.py`.

use std::{collections::BTreeMap, fs, path::Path};

use kurtoscope_checkpoint::{
    Checkpoint,
    model::{Component, Family},
};
use kurtoscope_host::{
    analysis::{self, Device},
    deployment::weights::{self, QuantizedTensors},
    link::DeviceUrl,
    record::{Role, Run, Tensor},
    report::{findings::quantized_already, summary::Summary, terminal},
};
use serde_json::Value;

/// Figures of 32-bit floats against those of 64 bits.
const CLOSE: f64 = 1e-5;

/// What a weight of a fixture is, by PyTorch and onnxruntime.
struct Expected {
    /// Its name in the file.
    initializer: String,
    /// Whether it is stored `[inputs, outputs]`.
    transposed: bool,
    shape: Vec<u64>,
    mean: f64,
    variance: f64,
    kurtosis: f64,
}

impl Expected {
    fn new(weight: &Value) -> Self {
        let number = |key: &str| weight[key].as_f64().expect("a number");
        Self {
            initializer: weight["initializer"].as_str().expect("a name").to_owned(),
            transposed: weight["transposed"].as_bool().expect("yes or no"),
            shape: weight["shape"].as_array().expect("sizes").iter().filter_map(Value::as_u64).collect(),
            mean: number("mean"),
            variance: number("variance"),
            kurtosis: number("kurtosis"),
        }
    }
}

/// For each fixture its weights, by their names in PyTorch.
fn expected() -> BTreeMap<String, BTreeMap<String, Expected>> {
    let file: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_slice(&fs::read(fixture("expected.json")).expect("a fixture")).expect("JSON");
    let weights = |weights: BTreeMap<String, Value>| {
        weights.into_iter().map(|(name, weight)| (name, Expected::new(&weight))).collect()
    };
    file.into_iter().map(|(file, found)| (file, weights(found))).collect()
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/onnx").join(name)
}

fn measured(name: &str) -> Run {
    let checkpoint = Checkpoint::open(&fixture(name)).unwrap_or_else(|error| panic!("{error}"));
    let mut devices = [Device::open(&DeviceUrl::Local, Default::default()).expect("this machine")];
    analysis::analyze(&checkpoint, &mut devices, &mut analysis::Quiet).unwrap_or_else(|error| panic!("{error}"))
}

/// The parameter's name that a record gives.
fn path(tensor: &Tensor) -> &str {
    tensor.path.as_deref().unwrap_or(&tensor.name)
}

/// What the modules of the exported model are.
fn component(path: &str) -> Component {
    for (module, component) in [
        ("q_proj", Component::AttentionQuery),
        ("k_proj", Component::AttentionKey),
        ("v_proj", Component::AttentionValue),
        ("o_proj", Component::AttentionOutput),
        ("gate_proj", Component::MlpGate),
        ("up_proj", Component::MlpUp),
        ("down_proj", Component::MlpDown),
        ("embed_tokens", Component::Embedding),
        ("lm_head", Component::Head),
    ] {
        if path.contains(module) {
            return component;
        }
    }
    panic!("no component of {path}")
}

/// The names that an exporter or a quantizer gave are kept, but for the ending that states the bits of packed codes.
fn kept_name<'a>(expected: &'a Expected, found: &Tensor) -> &'a str {
    let is_packed = found.stored.as_ref().is_some_and(|stored| stored.scheme == "matmul-nbits");
    let stem = || expected.initializer.split("_Q4").next();
    if is_packed { stem().expect("a name") } else { &expected.initializer }
}

#[test]
fn every_exporter_and_quantizer_gives_the_weights_of_the_model() {
    for (file, weights) in expected() {
        assert_eq!(weights.len(), 16, "{file}");
        let run = measured(&file);
        assert!(run.unmeasured.is_empty(), "{file}: {:?}", run.unmeasured);
        assert_eq!(run.model.family, Family::Llama, "{file}");
        let matrices: Vec<_> =
            run.tensors.iter().filter(|tensor| tensor.role == Role::Parameter && tensor.is_matrix()).collect();
        assert_eq!(matrices.len(), 16, "{file}: {:?}", matrices.iter().map(|found| path(found)).collect::<Vec<_>>());
        for (name, expected) in &weights {
            let found =
                matrices.iter().find(|found| path(found) == name).unwrap_or_else(|| panic!("{file}: no {name}"));
            assert_eq!(found.name, kept_name(expected, found), "{file}");
            assert_eq!(found.shape, expected.shape, "{file}: {name}");
            assert_eq!(found.component, component(name), "{file}: {name}");
            let layer = name.split('.').nth(2).and_then(|layer| layer.parse().ok());
            assert_eq!(found.layer, layer, "{file}: {name}");
            let matrix = weights::matrix(found, &run.model);
            let is_embedding = found.component == Component::Embedding;
            assert_eq!(matrix.is_transposed, expected.transposed && !is_embedding, "{file}: {name}");
            let spread = expected.variance.sqrt();
            let off = |found: Option<f64>, right: f64, unit: f64| (found.unwrap_or(f64::NAN) - right).abs() / unit;
            let errors = [
                off(found.mean, expected.mean, spread),
                off(found.variance, expected.variance, expected.variance),
                off(found.kurtosis, expected.kurtosis, expected.kurtosis),
            ];
            assert!(errors.iter().all(|&error| error < CLOSE), "{file}: {name}: {errors:?}");
        }
        let heaviest = &Summary::of(&run).ranked[0];
        assert_eq!(path(heaviest), "model.layers.1.self_attn.o_proj.weight", "{file}");
        assert!(heaviest.is_heavy(), "{file}: {:?}", heaviest.kurtosis);
    }
}

#[test]
fn quantized_models_say_so_and_their_scales_are_no_weights() {
    let linear = "16 of 16 matrices are stored as onnx-linear, 8 bits;";
    let packed = "15 of 16 matrices are stored as matmul-nbits, 4 bits; 1 as onnx-linear, 4 bits, groups of 32;";
    for (file, stored) in
        [("dynamic.onnx", linear), ("qdq.onnx", linear), ("operators.onnx", linear), ("nbits_zeros.onnx", packed)]
    {
        let run = measured(file);
        let text = quantized_already(&run, &|name| name.to_owned()).unwrap_or_else(|| panic!("{file}"));
        assert!(text.contains(stored), "{file}: {text}");
        let is_part = |tensor: &&Tensor| tensor.name.ends_with("_scale") || tensor.name.contains("_zero_point");
        for part in run.tensors.iter().filter(is_part) {
            assert_eq!((part.role, part.count, part.kurtosis), (Role::Quantization, 0, None), "{file}: {}", part.name);
        }
        assert!(run.tensors.iter().filter(is_part).count() >= 15, "{file}");
    }
}

#[test]
fn constants_of_the_graph_are_no_tensors() {
    let run = measured("legacy.onnx");
    let names: Vec<_> = run.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names.len(), 16 + 10 + 2, "matrices, norms, biases and nothing else: {names:?}");
    assert!(!names.iter().any(|name| name.contains("Constant")), "{names:?}");
    let run = measured("dynamo.onnx");
    assert_eq!(run.tensors.len(), 28, "{:?}", run.tensors.iter().map(|tensor| &tensor.name).collect::<Vec<_>>());
}

#[test]
fn plans_and_reports_know_the_place_behind_the_name() {
    let run = measured("dynamo.onnx");
    let text = terminal::render(&run, &terminal::Style { width: 400, color: false });
    assert!(text.contains("in the model model.layers.1.self_attn.o_proj.weight"), "{text}");
    let sorted = weights::sort(&run, QuantizedTensors::LinearLayers);
    assert_eq!(sorted.matrices.len(), 15, "all but the embedding");
    assert!(sorted.matrices.iter().all(|matrix| matrix.is_transposed), "[inputs, outputs] throughout");
}
