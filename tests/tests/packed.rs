//! Checkpoints of quantized weights, measured as the numbers that the model multiplies with: every scheme against the
//! weights that its own package makes of the same file, and what is wrong with one weight costs that weight.
//!
//! The fixtures in `tests/fixtures/packed` hold both; the scripts in `tests/validation/packed` made them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use kurtoscope_checkpoint::Checkpoint;
use kurtoscope_host::{
    analysis::{self, Device},
    deployment::weights::{self, QuantizedTensors},
    link::DeviceUrl,
    record::{Role, Run, Stored, Tensor},
    report::{
        findings::quantized_already,
        markdown,
        summary::Summary,
        terminal::{self, Style},
    },
};
use kurtoscope_tests::{checkpoints::Safetensors, tested};
use safetensors::SafeTensors;
use serde_json::{Value, json};

/// Figures of 32-bit floats that were rounded once more than the package's.
const CLOSE: f64 = 1e-5;

/// One tensor of a file: type, shape, bytes.
type RawTensor = (String, Vec<usize>, Vec<u8>);

/// A checkpoint of packed weights that can be changed before it is written.
struct Packed {
    name: String,
    tensors: BTreeMap<String, RawTensor>,
    /// The weights that the package makes of it.
    expected: BTreeMap<String, (Vec<u64>, Vec<f32>)>,
    config: Value,
}

impl Packed {
    fn read(path: &Path) -> Self {
        let data = fs::read(path).expect("a fixture");
        let (_, header) = SafeTensors::read_metadata(&data).expect("a header");
        let metadata = header.metadata().clone().expect("metadata");
        let file = SafeTensors::deserialize(&data).expect("safetensors");
        let (mut tensors, mut expected) = (BTreeMap::new(), BTreeMap::new());
        for (name, tensor) in file.iter() {
            if let Some(weight) = name.strip_prefix("expected:") {
                let values = tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
                let shape = tensor.shape().iter().map(|&length| length as u64).collect();
                expected.insert(weight.to_owned(), (shape, values));
            } else {
                let dtype = format!("{:?}", tensor.dtype());
                tensors.insert(name.to_owned(), (dtype, tensor.shape().to_vec(), tensor.data().to_vec()));
            }
        }
        let config = serde_json::from_str(&metadata["config"]).expect("JSON");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        Self { name, tensors, expected, config }
    }

    fn fixture(name: &str) -> Self {
        Self::read(&fixtures().join(format!("{name}.safetensors")))
    }

    /// Adds a float matrix that nothing is wrong with.
    fn with_plain(mut self) -> Self {
        let values: Vec<u8> = (0..4096u32).flat_map(|i| ((i * i % 83) as f32 - 41.0).to_le_bytes()).collect();
        self.tensors.insert("plain.weight".into(), ("F32".into(), vec![64, 64], values));
        self
    }

    /// The tensors whose names `holds` accepts, as a file.
    fn file(&self, holds: impl Fn(&str) -> bool) -> Vec<u8> {
        let mut file = Safetensors::new();
        let mut at = 0;
        for (name, (dtype, shape, bytes)) in self.tensors.iter().filter(|(name, _)| holds(name)) {
            let end = at + bytes.len();
            file = file.entry(name, json!({ "dtype": dtype, "shape": shape, "data_offsets": [at, end] })).data(bytes);
            at = end;
        }
        file.bytes()
    }

    /// Writes model and configuration.
    fn write(&self, folder: &Path) {
        fs::write(folder.join("model.safetensors"), self.file(|_| true)).expect("writable");
        fs::write(folder.join("config.json"), self.config.to_string()).expect("writable");
    }

    fn measured(&self) -> Run {
        let folder = tempfile::tempdir().expect("a temporary folder");
        self.write(folder.path());
        measured(folder.path())
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/packed")
}

fn measured(folder: &Path) -> Run {
    let checkpoint = Checkpoint::open(folder).unwrap_or_else(|error| panic!("{error}"));
    let mut devices = [Device::open(&DeviceUrl::Local, Default::default()).expect("this machine")];
    analysis::analyze(&checkpoint, &mut devices, &mut analysis::Quiet).unwrap_or_else(|error| panic!("{error}"))
}

fn tensor<'a>(run: &'a Run, name: &str) -> &'a Tensor {
    let named = || run.tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>();
    let found = run.tensors.iter().find(|tensor| tensor.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {:?}, not measured: {:?}", named(), run.unmeasured))
}

/// Mean, variance and kurtosis in two passes.
fn moments(values: &[f32]) -> [f64; 3] {
    let mean_of = |of: &dyn Fn(f64) -> f64| values.iter().map(|&x| of(f64::from(x))).sum::<f64>() / values.len() as f64;
    let mean = mean_of(&|x| x);
    let variance = mean_of(&|x| (x - mean).powi(2));
    [mean, variance, mean_of(&|x| (x - mean).powi(4)) / variance.powi(2)]
}

fn assert_weights(packed: &Packed, run: &Run) {
    let name = &packed.name;
    assert!(run.unmeasured.is_empty(), "{name}: {:?}", run.unmeasured);
    let expected_count: u64 = packed.expected.values().map(|(_, values)| values.len() as u64).sum();
    assert_eq!(run.model.parameters, expected_count, "{name}: weights are counted");
    for (weight, (shape, values)) in &packed.expected {
        let found = tensor(run, weight);
        assert_eq!((&found.shape, found.count, found.role), (shape, values.len() as u64, Role::Parameter), "{name}");
        assert!(found.stored.is_some(), "{name}: {weight} says how it is stored");
        let [mean, variance, kurtosis] = moments(values);
        let spread = variance.sqrt();
        let error = |found: Option<f64>, right: f64, unit: f64| (found.unwrap_or(f64::NAN) - right).abs() / unit;
        let errors = [
            error(found.mean, mean, spread),
            error(found.variance, variance, variance),
            error(found.kurtosis, kurtosis, kurtosis),
        ];
        assert!(errors.iter().all(|&error| error < CLOSE), "{name}: {weight}: {errors:?}");
    }
    let others = || run.tensors.iter().filter(|tensor| !packed.expected.contains_key(&tensor.name));
    for other in others() {
        assert_eq!((other.role, other.count), (Role::Quantization, 0), "{name}: {}", other.name);
        assert_eq!((other.mean, other.kurtosis, other.max), (None, None, None), "{name}: {}", other.name);
    }
    assert_eq!(others().count() + packed.expected.len(), packed.tensors.len(), "{name}: every tensor is listed once");
}

#[test]
fn every_scheme_is_measured_as_its_weights() {
    let mut checked = 0;
    for path in schemes() {
        let packed = Packed::read(&path);
        assert_weights(&packed, &packed.measured());
        checked += 1;
    }
    assert!(checked >= 70, "only {checked} fixtures");
}

/// The fixtures of all schemes that are tensors of a file; `MatMulNBits` are nodes of ONNX graphs.
fn schemes() -> Vec<PathBuf> {
    let paths = fs::read_dir(fixtures()).expect("fixtures").map(|entry| entry.expect("a fixture").path());
    let is_safetensors = |path: &PathBuf| path.extension().is_some_and(|end| end == "safetensors");
    let mut paths: Vec<_> = paths.filter(is_safetensors).collect();
    paths.retain(|path| !path.to_string_lossy().contains("matmul_nbits"));
    paths.sort();
    paths
}

/// Writes codes into one shard, everything else into another, and the index.
fn write_split(packed: &Packed, folder: &Path) {
    let codes = ["qweight", "weight", "blocks", "weight_packed", "W_q", "_qdata"];
    let is_codes = |name: &str| codes.iter().any(|end| name.ends_with(end));
    let files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    fs::write(folder.join(files[0]), packed.file(is_codes)).expect("writable");
    fs::write(folder.join(files[1]), packed.file(|name| !is_codes(name))).expect("writable");
    let map: BTreeMap<_, _> = packed.tensors.keys().map(|name| (name, files[usize::from(!is_codes(name))])).collect();
    assert!(files.iter().all(|file| map.values().any(|of| of == file)), "{}: both files hold something", packed.name);
    let index = json!({ "weight_map": map }).to_string();
    fs::write(folder.join("model.safetensors.index.json"), index).expect("writable");
    fs::write(folder.join("config.json"), packed.config.to_string()).expect("writable");
}

#[test]
fn scales_may_lie_in_another_file_than_their_codes() {
    for path in schemes() {
        let packed = Packed::read(&path);
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_split(&packed, folder.path());
        let run = measured(folder.path());
        assert_weights(&packed, &run);
        assert_eq!(run.model.fingerprint, packed.measured().model.fingerprint, "{}: split or not", packed.name);
    }
}

/// The same tensors as `torch.save` writes them; `tests/validation/packed/pytorch_containers.py` made the files.
#[test]
fn pytorch_files_hold_the_same_weights() {
    let mut checked = 0;
    for entry in fs::read_dir(fixtures().join("pytorch")).expect("fixtures") {
        let path = entry.expect("a fixture").path();
        let packed = Packed::fixture(&path.file_stem().expect("a name").to_string_lossy());
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::copy(&path, folder.path().join("pytorch_model.bin")).expect("writable");
        fs::write(folder.path().join("config.json"), packed.config.to_string()).expect("writable");
        assert_weights(&packed, &measured(folder.path()));
        checked += 1;
    }
    assert!(checked >= 12, "only {checked} fixtures");
}

/// ModelOpt says what it did in a file of its own: without it nothing calls for the scale that is missing here.
#[test]
fn modelopts_own_file_counts_as_configuration() {
    let mut packed = Packed::fixture("fp8-tensor").with_plain();
    packed.config = json!({ "model_type": "llama" });
    packed.tensors.retain(|name, _| !name.ends_with("scale") && !name.ends_with("scale_inv"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    packed.write(folder.path());
    let weight = packed.expected.keys().next().expect("a weight").clone();
    assert!(tensor(&measured(folder.path()), &weight).stored.is_none(), "plain fp8");
    let stated = json!({ "producer": { "name": "modelopt" }, "quantization": { "quant_algo": "FP8" } });
    fs::write(folder.path().join("hf_quant_config.json"), stated.to_string()).expect("writable");
    let run = measured(folder.path());
    let [lost] = &run.unmeasured[..] else { panic!("{:?}", run.unmeasured) };
    assert!(lost.name == weight && lost.reason.contains("weight_scale is missing"), "{lost:?}");
}

#[test]
fn the_fingerprint_covers_codes_and_scales() {
    let packed = Packed::fixture("gptq-4bit-32");
    let before = packed.measured().model.fingerprint;
    for end in [".qweight", ".scales", ".qzeros"] {
        let mut changed = Packed::fixture("gptq-4bit-32");
        let (_, (_, _, bytes)) = changed.tensors.iter_mut().find(|(name, _)| name.ends_with(end)).expect("a tensor");
        bytes[0] ^= 1;
        assert_ne!(changed.measured().model.fingerprint, before, "{end}");
    }
}

/// What a change to a checkpoint costs its only weight, and the words that the reason has.
fn assert_costs_the_weight(fixture: &str, change: impl FnOnce(&mut Packed), words: &[&str]) {
    let mut packed = Packed::fixture(fixture).with_plain();
    assert!(packed.measured().unmeasured.is_empty(), "{fixture} is sound");
    change(&mut packed);
    let run = packed.measured();
    let weight = packed.expected.keys().next().expect("a weight").as_str();
    assert!(tensor(&run, "plain.weight").kurtosis.is_some(), "{fixture}: the rest is measured");
    let unmeasured = run.unmeasured.iter().find(|tensor| tensor.name == weight);
    let reason = &unmeasured.unwrap_or_else(|| panic!("{fixture}: {words:?}: {:?}", run.unmeasured)).reason;
    assert!(words.iter().all(|word| reason.contains(word)), "{fixture}: {reason:?} has not all of {words:?}");
    let measured = run.tensors.iter().filter(|tensor| tensor.role == Role::Parameter).count();
    assert_eq!(measured, packed.expected.len(), "{fixture}: only that weight is lost, and no scale is one");
    assert!(Summary::of(&run).ranked.iter().all(|tensor| tensor.role == Role::Parameter));
}

/// The tensor whose name ends so.
fn part<'a>(packed: &'a mut Packed, end: &str) -> &'a mut RawTensor {
    let weight = packed.expected.keys().next().expect("a weight");
    let stem = weight.strip_suffix(".weight").unwrap_or(weight).to_owned();
    packed.tensors.get_mut(&format!("{stem}{end}")).unwrap_or_else(|| panic!("no {stem}{end}"))
}

#[test]
fn a_missing_scale_costs_its_weight() {
    let without = |packed: &mut Packed, end: &str| packed.tensors.retain(|name, _| !name.ends_with(end));
    assert_costs_the_weight("gptq-4bit-32", |packed| without(packed, ".scales"), &["scales is missing"]);
    assert_costs_the_weight(
        "compressed-tensors-int4-group",
        |packed| without(packed, ".weight_scale"),
        &["weight_scale is missing"],
    );
    assert_costs_the_weight("hqq-4bit-64-axis1", |packed| without(packed, ".scale"), &["is missing"]);
}

#[test]
fn shapes_that_disagree_cost_their_weight() {
    let fewer = |packed: &mut Packed| {
        let (_, shape, bytes) = part(packed, ".scales");
        shape[0] -= 1;
        bytes.truncate(bytes.len() / (shape[0] + 1) * shape[0]);
    };
    assert_costs_the_weight("gptq-4bit-32", fewer, &[]);
    let narrower = |packed: &mut Packed| {
        let (_, shape, bytes) = part(packed, ".scales");
        shape[1] -= 1;
        bytes.truncate(shape[0] * shape[1] * 2);
    };
    assert_costs_the_weight("gptq-4bit-32", narrower, &["has the shape", "call for"]);
}

#[test]
fn a_group_that_does_not_divide_costs_its_weight() {
    let change = |packed: &mut Packed| packed.config = json!({ "quantization": { "group_size": 48, "bits": 4 } });
    assert_costs_the_weight("mlx-4bit-32", change, &["group_size = 48, the tensors have 32"]);
}

#[test]
fn unknown_bits_cost_their_weight() {
    let change = |packed: &mut Packed| packed.config = json!({ "quantization": { "group_size": 32, "bits": 9 } });
    assert_costs_the_weight("mlx-4bit-32", change, &["9"]);
}

#[test]
fn a_group_index_out_of_range_costs_its_weight() {
    let change = |packed: &mut Packed| {
        let (_, _, bytes) = part(packed, ".g_idx");
        bytes[..4].copy_from_slice(&1000i32.to_le_bytes());
    };
    assert_costs_the_weight("gptq-4bit-32-ordered", change, &["g_idx[0] is 1000", "groups"]);
}

#[test]
fn a_scale_that_is_no_number_costs_its_weight() {
    let change = |packed: &mut Packed| {
        let (_, _, bytes) = part(packed, ".scales");
        let end = bytes.len();
        bytes[end - 2..].copy_from_slice(&0x7e00u16.to_le_bytes());
    };
    assert_costs_the_weight("gptq-4bit-32", change, &["scales[", "is NaN"]);
    let change = |packed: &mut Packed| {
        let (_, _, bytes) = part(packed, ".weight_scale_inv");
        bytes[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    };
    assert_costs_the_weight("fp8-tile", change, &["weight_scale_inv[0] is inf"]);
}

#[test]
fn a_configuration_that_contradicts_the_tensors_costs_the_weight() {
    let change = |packed: &mut Packed| packed.config["quantization_config"]["bits"] = json!(8);
    assert_costs_the_weight("gptq-4bit-32", change, &["the configuration states bits = 8, the tensors have 4"]);
    let change = |packed: &mut Packed| packed.config["quantization_config"]["quant_method"] = json!("awq");
    assert_costs_the_weight("gptq-4bit-32", change, &["quant_method = awq"]);
}

#[test]
fn integers_that_no_scheme_explains_are_never_weights() {
    let mut packed = Packed::fixture("gptq-4bit-32").with_plain();
    let codes = ("I16".to_owned(), vec![16, 8], vec![7; 256]);
    packed.tensors.insert("model.layers.0.mlp.up_proj.codes".into(), codes.clone());
    packed.tensors.insert("embeddings.position_ids".into(), ("I64".into(), vec![1, 4], vec![1; 32]));
    let run = packed.measured();
    assert_eq!(tensor(&run, "embeddings.position_ids").role, Role::Buffer);
    let reason = &run.unmeasured[0].reason;
    assert!(reason.starts_with("packed codes of model.layers.0.mlp.up_proj.codes: no known scheme"), "{reason}");
    assert_eq!(run.unmeasured.len(), 1);

    // Nothing says that this one is quantized: the numbers are recorded as they are, and not as weights.
    let plain = Packed { tensors: BTreeMap::from([("a.weight".into(), codes)]), config: json!({}), ..packed };
    let run = plain.measured();
    assert_eq!((tensor(&run, "a.weight").role, run.model.parameters), (Role::Buffer, 0));
    assert_eq!(tensor(&run, "a.weight").mean, Some(f64::from(0x0707)));
    assert!(Summary::of(&run).ranked.is_empty() && quantized_already(&run, &str::to_owned).is_none());
}

#[test]
fn types_that_only_quantization_uses_cost_no_file() {
    let mut packed = Packed { tensors: BTreeMap::new(), ..Packed::fixture("gptq-4bit-32") }.with_plain();
    packed.config = json!({});
    // E2M1 codes 1 and 2 in turn, 0.5 and 1, with scales of 2 and 4.
    let mut insert = |name: &str, dtype: &str, shape: &[usize], bytes: Vec<u8>| {
        packed.tensors.insert(format!("model.layers.0.{name}"), (dtype.into(), shape.to_vec(), bytes));
    };
    insert("self_attn.o_proj.weight", "F4", &[64, 64], vec![0x21; 2048]);
    insert("self_attn.o_proj.weight_scale", "F8_E8M0", &[64, 2], [128, 129].repeat(64));
    insert("six.weight", "F6_E2M3", &[64, 64], vec![0; 3072]);
    insert("complex.weight", "C64", &[8, 8], vec![0; 512]);
    insert("fnuz.weight", "F8_E4M3FNUZ", &[8, 8], vec![0; 64]);
    insert("future.weight", "F2", &[8, 8], vec![0; 16]);
    let run = packed.measured();
    let found = tensor(&run, "model.layers.0.self_attn.o_proj.weight");
    assert_eq!((found.count, found.mean, found.min, found.max), (4096, Some(2.25), Some(1.0), Some(4.0)));
    let names: Vec<_> = run.unmeasured.iter().map(|tensor| tensor.name.rsplit('.').nth(1).unwrap_or("")).collect();
    assert_eq!(names, ["complex", "fnuz", "future", "six"]);
    assert!(tensor(&run, "plain.weight").kurtosis.is_some());
}

/// GPTQ with 4 bits in groups of 32, by its formula: a model of 64 inputs and 48 outputs for each name.
fn gptq(names: &[&str]) -> (Packed, BTreeMap<String, Vec<f32>>) {
    let (inputs, outputs, group) = (64usize, 48usize, 32usize);
    let mut packed = Packed { tensors: BTreeMap::new(), expected: BTreeMap::new(), ..Packed::fixture("gptq-4bit-32") };
    packed.config = json!({
        "model_type": "llama", "num_attention_heads": 4,
        "quantization_config": { "quant_method": "gptq", "bits": 4, "group_size": group, "sym": false },
    });
    let mut weights = BTreeMap::new();
    for (seed, name) in names.iter().enumerate() {
        let code = |input: usize, output: usize| ((input * 7 + output * 13 + input * output * (seed + 3)) % 16) as u32;
        let zero = |group: usize, output: usize| ((group + output) % 14) as u32;
        let scale = |group: usize, output: usize| {
            // One heavy output channel in the projection after attention.
            let heavy = name.contains("o_proj") && output == 3;
            half::f16::from_f32(if heavy { 1.5 } else { 0.01 + 0.001 * ((group + output) % 5) as f32 })
        };
        let mut words = vec![0u32; inputs / 8 * outputs];
        for (input, output) in (0..inputs).flat_map(|input| (0..outputs).map(move |output| (input, output))) {
            words[input / 8 * outputs + output] |= code(input, output) << (input % 8 * 4);
        }
        let groups = inputs / group;
        let mut zeros = vec![0u32; groups * outputs / 8];
        for (row, output) in (0..groups).flat_map(|row| (0..outputs).map(move |output| (row, output))) {
            zeros[row * outputs / 8 + output / 8] |= zero(row, output) << (output % 8 * 4);
        }
        let scales = (0..groups * outputs).flat_map(|at| scale(at / outputs, at % outputs).to_le_bytes()).collect();
        let bytes = |words: Vec<u32>| words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
        let mut insert = |end: &str, dtype: &str, shape: [usize; 2], bytes: Vec<u8>| {
            packed.tensors.insert(format!("{name}{end}"), (dtype.into(), shape.to_vec(), bytes));
        };
        insert(".qweight", "I32", [inputs / 8, outputs], bytes(words));
        insert(".qzeros", "I32", [groups, outputs / 8], bytes(zeros));
        insert(".scales", "F16", [groups, outputs], scales);
        // Stored zero points are one less than the zero point.
        let value = |output: usize, input: usize| {
            let row = input / group;
            (code(input, output) as f32 - (zero(row, output) + 1) as f32) * scale(row, output).to_f32()
        };
        let values = (0..outputs * inputs).map(|at| value(at / inputs, at % inputs)).collect();
        weights.insert(format!("{name}.weight"), values);
    }
    (packed, weights)
}

const LAYER: [&str; 3] =
    ["model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.o_proj", "model.layers.0.mlp.up_proj"];

#[test]
fn reports_plans_and_counts_are_about_weights() {
    let (packed, weights_of) = gptq(&LAYER);
    let folder = tempfile::tempdir().expect("a temporary folder");
    packed.write(folder.path());
    let (run, _) = tested!().analyze(folder.path(), &["local"]).measured();
    for (name, values) in &weights_of {
        let found = tensor(&run, name);
        let stored = Stored { scheme: "gptq".into(), bits: 4, group: Some(32), assumed: None };
        assert_eq!((&*found.shape, found.stored.as_ref()), (&[48u64, 64][..], Some(&stored)));
        let error = found.kurtosis.expect("defined") / moments(values)[2] - 1.0;
        assert!(error.abs() < 1e-9, "{name}: {error:e}");
        assert_eq!(found.concentration.expect("measured").row_count, 48, "rows are output channels");
    }
    assert_eq!((run.model.family.name(), run.model.parameters), ("llama", 3 * 48 * 64));
    let heaviest = tensor(&run, "model.layers.0.self_attn.o_proj.weight");
    assert!(heaviest.is_heavy() && heaviest.component.name() == "attention_output", "{heaviest:?}");
    let line = "This checkpoint is quantized already: 3 of 3 matrices are stored as gptq, 4 bits, groups of 32; what is \
                measured are the weights that they mean.";
    assert_eq!(quantized_already(&run, &str::to_owned).as_deref(), Some(line));
    let code = line.replace("gptq", "`gptq`");
    let style = Style { width: 200, color: false };
    assert!(terminal::render(&run, &style).starts_with(line) && markdown::render(&run).starts_with(&code));

    // What nothing may be concluded from is in the record, and nowhere else.
    let of_role = |role| run.tensors.iter().filter(|tensor| tensor.role == role).count();
    assert_eq!((of_role(Role::Parameter), of_role(Role::Quantization), run.tensors.len()), (3, 6, 9));
    assert_eq!(Summary::of(&run).ranked.len(), 3);
    let sorted = weights::sort(&run, QuantizedTensors::AllMatrices);
    assert_eq!((sorted.matrices.len(), sorted.others.len()), (3, 0));
    assert!(sorted.matrices.iter().all(|matrix| !matrix.is_transposed && matrix.inputs == 64));
    let same = kurtoscope_host::compare::compare(&run, &run).expect("the same weights");
    assert_eq!(same.tensors.len(), 3, "scales are not compared");
    let json = serde_json::to_value(&run).expect("JSON");
    let scale = json["tensors"].as_array().expect("records").last().expect("a record").clone();
    assert_eq!((&scale["role"], &scale["count"], &scale["mean"]), (&json!("quantization"), &json!(0), &Value::Null));
    assert!(scale.get("stored").is_none());
}
