//! Fused projections and stacks of experts: every part is measured as the same matrix is that is stored by itself, and the
//! whole as the same tensor is whose parts are not known.

use std::{fs, path::Path};

use kurtoscope_checkpoint::Checkpoint;
use kurtoscope_host::{
    analysis::{self, Device},
    deployment::weights,
    link::DeviceUrl,
    record::{Role, Run, Tensor},
    report::{
        markdown,
        terminal::{self, Style},
    },
};
use kurtoscope_shared::Moments;
use kurtoscope_tests::checkpoints::{Safetensors, noise};
use serde_json::{Value, json};

/// Errors of quantization are summed in 32 bits, and what remains without the farthest weights is a difference.
const MERGED: f64 = 1e-6;

/// A matrix of so many rows and columns, with one weight far out.
#[derive(Clone)]
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    fn new(rows: usize, columns: usize, scale: f32, seed: u64) -> Self {
        let mut values: Vec<f32> = noise(rows * columns, seed).into_iter().map(|value| value * scale).collect();
        let far = (seed as usize * 37) % values.len();
        values[far] = scale * 9.0;
        Self { rows, columns, values }
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    fn transposed(&self) -> Self {
        let values = (0..self.columns).flat_map(|column| (0..self.rows).map(move |row| self.row(row)[column]));
        Self { rows: self.columns, columns: self.rows, values: values.collect() }
    }
}

/// Rows of matrices, in this order, as a matrix.
fn rows(order: &[(&Matrix, usize)]) -> Matrix {
    let values: Vec<f32> = order.iter().flat_map(|(matrix, row)| matrix.row(*row).to_vec()).collect();
    Matrix { rows: order.len(), columns: order[0].0.columns, values }
}

/// All rows of one matrix behind those of another.
fn blocks(matrices: &[&Matrix]) -> Matrix {
    let order: Vec<_> = matrices.iter().flat_map(|matrix| (0..matrix.rows).map(|row| (*matrix, row))).collect();
    rows(&order)
}

/// Experts on top of each other.
fn stack(experts: &[Matrix]) -> (Vec<usize>, Vec<f32>) {
    let shape = vec![experts.len(), experts[0].rows, experts[0].columns];
    (shape, experts.iter().flat_map(|expert| expert.values.clone()).collect())
}

fn measure(folder: &Path, config: Option<&Value>, file: &Safetensors) -> Run {
    fs::create_dir_all(folder).expect("a folder");
    file.write(&folder.join("model.safetensors")).expect("a file");
    if let Some(config) = config {
        fs::write(folder.join("config.json"), config.to_string()).expect("a file");
    }
    let checkpoint = Checkpoint::open(folder).unwrap_or_else(|error| panic!("{error}"));
    let mut devices = [Device::open(&DeviceUrl::Local, Default::default()).expect("this machine")];
    analysis::analyze(&checkpoint, &mut devices, &mut analysis::Quiet).unwrap_or_else(|error| panic!("{error}"))
}

fn find<'a>(run: &'a Run, name: &str) -> &'a Tensor {
    run.tensors.iter().find(|tensor| tensor.name == name).unwrap_or_else(|| {
        let names: Vec<&str> = run.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        panic!("{name} is not in {names:?}")
    })
}

/// Whether two records of the same elements agree; positions where both have the same shape.
fn assert_same(found: &Tensor, expected: &Tensor, tolerance: f64) {
    let name = &found.name;
    let close = |a: Option<f64>, b: Option<f64>, what: &str| match (a, b) {
        (Some(a), Some(b)) => assert!((a - b).abs() <= tolerance * b.abs().max(1e-3), "{name}: {what} {a}, not {b}"),
        (a, b) => assert_eq!(a, b, "{name}: {what}"),
    };
    assert_eq!(
        (found.count, found.min, found.max, found.zeros),
        (expected.count, expected.min, expected.max, expected.zeros),
        "{name}"
    );
    close(found.mean, expected.mean, "mean");
    close(found.variance, expected.variance, "variance");
    close(found.kurtosis, expected.kurtosis, "kurtosis");
    close(found.kurtosis_without_top.sixteen, expected.kurtosis_without_top.sixteen, "kurtosis without 16");
    assert_eq!(found.quantiles, expected.quantiles, "{name}");
    assert_eq!(found.shape, expected.shape, "{name}");
    assert_eq!(
        found.top.iter().map(|top| (&top.index, top.value)).collect::<Vec<_>>(),
        expected.top.iter().map(|top| (&top.index, top.value)).collect::<Vec<_>>(),
        "{name}"
    );
    for (scheme, error) in &found.quantization {
        let expected = expected.quantization.get(scheme).unwrap_or_else(|| panic!("{name}: {scheme}"));
        close(error.relative_mse, expected.relative_mse, scheme);
    }
    if let (Some(a), Some(b)) = (found.concentration, expected.concentration) {
        assert!((a.rows - b.rows).abs() < 1e-5 && (a.columns - b.columns).abs() < 1e-5, "{name}: {a:?}, not {b:?}");
        assert_eq!((a.row_count, a.column_count), (b.row_count, b.column_count), "{name}");
    }
}

/// Measures a tensor called `name` with this configuration, and checks each of its parts against the matrix of that label,
/// and the whole against the same tensor under a name that says nothing.
fn check(name: &str, shape: &[usize], values: &[f32], config: &Value, parts: &[(String, &Matrix)]) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let run = measure(&folder.path().join("fused"), Some(config), &Safetensors::new().f32(name, shape, values));
    let mut alone = Safetensors::new().f32("whole.weight", shape, values);
    for (label, matrix) in parts {
        alone = alone.f32(&format!("{label}.weight"), &[matrix.rows, matrix.columns], &matrix.values);
    }
    let alone = measure(&folder.path().join("alone"), None, &alone);
    for (label, _) in parts {
        let found = find(&run, &format!("{name}{label}"));
        assert_eq!((found.role, found.of.as_deref(), found.parts_unknown), (Role::View, Some(name), false));
        assert_same(found, find(&alone, &format!("{label}.weight")), 0.0);
    }
    let views = run.tensors.iter().filter(|tensor| tensor.role == Role::View).count();
    assert_eq!(views, parts.len(), "{name}");
    let whole = find(&run, name);
    assert_eq!((whole.role, whole.parts_unknown), (Role::Parameter, false));
    assert_same(whole, find(&alone, "whole.weight"), MERGED);
    assert_eq!(run.model.parameters, values.len() as u64, "each weight counts once");
    run
}

fn label(part: &str) -> String {
    format!("[{part}]")
}

#[test]
fn grouped_queries_in_blocks_are_parts_of_two_sizes() {
    let (q, k, v) = (Matrix::new(256, 64, 0.05, 1), Matrix::new(64, 64, 0.01, 2), Matrix::new(64, 64, 0.02, 3));
    let fused = blocks(&[&q, &k, &v]);
    let config = json!({
        "model_type": "phi3", "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 32, "hidden_size": 64,
    });
    let parts = [(label("q"), &q), (label("k"), &k), (label("v"), &v)];
    check("model.layers.0.self_attn.qkv_proj.weight", &[384, 64], &fused.values, &config, &parts);
}

#[test]
fn grouped_queries_by_key_value_head_are_gathered() {
    let (q, k, v) = (Matrix::new(128, 64, 0.05, 4), Matrix::new(32, 64, 0.01, 5), Matrix::new(32, 64, 0.02, 6));
    let mut order = Vec::new();
    for group in 0..2 {
        order.extend((group * 64..(group + 1) * 64).map(|row| (&q, row)));
        order.extend((group * 16..(group + 1) * 16).map(|row| (&k, row)));
        order.extend((group * 16..(group + 1) * 16).map(|row| (&v, row)));
    }
    let fused = rows(&order);
    let config = json!({
        "model_type": "internlm2", "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 16, "hidden_size": 64,
    });
    let parts = [(label("q"), &q), (label("k"), &k), (label("v"), &v)];
    check("model.layers.0.attention.wqkv.weight", &[192, 64], &fused.values, &config, &parts);
}

/// Gate and first projection of three experts, `[out, in]`.
fn experts() -> Vec<(Matrix, Matrix)> {
    (0..3).map(|expert| (Matrix::new(64, 64, 0.02, 10 + expert), Matrix::new(64, 64, 0.08, 20 + expert))).collect()
}

fn labelled(experts: &[(Matrix, Matrix)]) -> Vec<(String, &Matrix)> {
    let number = experts.iter().enumerate();
    number
        .flat_map(|(expert, (gate, up))| [(format!("[{expert}][gate]"), gate), (format!("[{expert}][up]"), up)])
        .collect()
}

#[test]
fn experts_with_halves_of_rows_of_columns_and_by_turns() {
    let experts = experts();
    let name = "model.layers.0.mlp.experts.gate_up_proj";
    let halves: Vec<Matrix> = experts.iter().map(|(gate, up)| blocks(&[gate, up])).collect();
    let (shape, values) = stack(&halves);
    let config = json!({"model_type": "qwen3_moe", "hidden_size": 64, "moe_intermediate_size": 64, "num_experts": 3});
    let run = check(name, &shape, &values, &config, &labelled(&experts));
    assert!(!weights::matrix(find(&run, name), &run.model).is_transposed);

    // Stored [in, out]: the parts have their own matrices transposed.
    let transposed: Vec<_> = experts.iter().map(|(gate, up)| (gate.transposed(), up.transposed())).collect();
    let columns: Vec<Matrix> = halves.iter().map(Matrix::transposed).collect();
    let (shape, values) = stack(&columns);
    let config = json!({"model_type": "llama4", "text_config": {"hidden_size": 64, "num_local_experts": 3}});
    let run = check(name, &shape, &values, &config, &labelled(&transposed));
    let matrix = weights::matrix(find(&run, name), &run.model);
    assert_eq!((matrix.is_transposed, matrix.inputs), (true, 64));
    assert!(find(&run, name).quantization.contains_key("int4_g32"));

    let by_turns = |(gate, up): &(Matrix, Matrix)| {
        let order: Vec<_> = (0..gate.rows).flat_map(|row| [(gate, row), (up, row)]).collect();
        rows(&order).transposed()
    };
    let (shape, values) = stack(&experts.iter().map(by_turns).collect::<Vec<_>>());
    let config = json!({"model_type": "gpt_oss", "hidden_size": 64, "intermediate_size": 64, "num_local_experts": 3});
    let run = check(name, &shape, &values, &config, &labelled(&transposed));
    let whole = find(&run, name);
    assert!(!whole.quantization.contains_key("int4_g32"), "no block of the whole is one of a part");
    assert!(whole.quantization.contains_key("int8_per_tensor"));
}

#[test]
fn experts_of_one_matrix_are_views_of_the_stack() {
    let experts: Vec<Matrix> = (0..3).map(|expert| Matrix::new(64, 48, 0.02, 30 + expert)).collect();
    let (shape, values) = stack(&experts);
    let parts: Vec<_> = experts.iter().enumerate().map(|(expert, matrix)| (format!("[{expert}]"), matrix)).collect();
    let config = json!({"model_type": "qwen3_moe", "hidden_size": 64, "moe_intermediate_size": 48});
    let run = check("model.layers.0.mlp.experts.down_proj", &shape, &values, &config, &parts);
    assert!(find(&run, "model.layers.0.mlp.experts.down_proj").concentration.is_some());
}

#[test]
fn many_experts_have_brief_records_and_a_line_in_the_report() {
    let experts: Vec<Matrix> = (0..24).map(|expert| Matrix::new(32, 32, 0.02, 50 + expert)).collect();
    let (shape, values) = stack(&experts);
    let name = "model.layers.0.mlp.experts.down_proj";
    let folder = tempfile::tempdir().expect("a folder");
    let run = measure(folder.path(), None, &Safetensors::new().f32(name, &shape, &values));
    let view = find(&run, &format!("{name}[17]"));
    let expected =
        Moments::from_values(experts[17].values.iter().map(|value| f64::from(*value))).kurtosis().expect("defined");
    assert!((view.kurtosis.expect("defined") / expected - 1.0).abs() < 1e-12);
    assert_eq!((view.top.len(), view.quantization.len()), (1, 4));
    assert!(find(&run, name).quantization.contains_key("int4_g32"));
    let text = markdown::render(&run);
    let (_, every) = text.split_once("## All tensors").expect("the list of all tensors");
    assert_eq!(every.matches("experts.down_proj[").count(), 1, "{every}");
    assert!(every.contains("heaviest of 24"), "{every}");
}

#[test]
fn a_fused_tensor_that_nothing_explains_is_said_to_be_a_mixture() {
    let fused = blocks(&[&Matrix::new(64, 64, 0.05, 7), &Matrix::new(64, 64, 0.01, 8), &Matrix::new(64, 64, 0.02, 9)]);
    let name = "model.layers.0.self_attn.qkv_proj.weight";
    let file = Safetensors::new().f32(name, &[192, 64], &fused.values);
    let folder = tempfile::tempdir().expect("a folder");
    let run = measure(folder.path(), None, &file);
    assert_eq!(run.tensors.len(), 1);
    assert!(run.tensors[0].parts_unknown && run.tensors[0].kurtosis.is_some());
    for text in [markdown::render(&run), terminal::render(&run, &Style { width: 200, color: false })] {
        assert!(text.contains("several matrices in one; parts not known"), "{text}");
        assert!(!text.contains("None of"), "{text}");
    }
    let written = serde_json::to_value(&run.tensors[0]).expect("JSON");
    assert_eq!(written["parts_unknown"], json!(true));
}
