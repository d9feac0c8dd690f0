//! The libraries' examples, run as a reader of their documentation would run them, against figures known beforehand.

use std::{path::PathBuf, process::Command};

use kurtoscope_tests::{
    checkpoints::{Safetensors, noise},
    tested,
};
use tempfile::TempDir;

/// Four tensors: values that alternate between -1 and 1 (kurtosis 1), a single 1 among 99 zeros (with p = 0.01, 1 / p(1 - p) - 3 =
/// 98.0101), equal values (none), and a vector.
fn model() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let alternating: Vec<f32> = (0..800).map(|index| if index % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let single: Vec<f32> = (0..100).map(|index| if index == 42 { 1.0 } else { 0.0 }).collect();
    Safetensors::new()
        .f32("layers.0.weight", &[8, 100], &alternating)
        .f32("layers.1.weight", &[10, 10], &single)
        .f32("layers.2.weight", &[10, 10], &[0.5; 100])
        .f32("layers.2.bias", &[64], &noise(64, 1))
        .write(&path)
        .expect("writable");
    (folder, path)
}

/// Runs a program on the model; what it printed.
fn output(program: &str, model: &PathBuf) -> String {
    let outcome = Command::new(program).arg(model).output().expect("it starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    assert!(outcome.status.success() && stderr.is_empty(), "{}: {stderr}", outcome.status);
    stdout.into_owned()
}

#[test]
fn list_tensors_prints_names_shapes_and_types() {
    let (_folder, path) = model();
    let expected = "4 tensors, safetensors\n\
                    layers.0.weight [8, 100] f32\n\
                    layers.1.weight [10, 10] f32\n\
                    layers.2.bias [64] f32\n\
                    layers.2.weight [10, 10] f32\n";
    let mut lines: Vec<String> =
        output(env!("CARGO_BIN_EXE_example-list-tensors"), &path).lines().map(Into::into).collect();
    // The order is that of the file, which its writer chooses.
    lines[1..].sort();
    assert_eq!(lines, expected.lines().collect::<Vec<_>>());
}

#[test]
fn measure_prints_the_heaviest_matrices_first() {
    let (_folder, path) = model();
    let expected = "Pearson kurtosis (a normal distribution has 3)\n     \
                    98.01  layers.1.weight\n      \
                    1.00  layers.0.weight\n       \
                    n/a  layers.2.weight\n";
    assert_eq!(output(env!("CARGO_BIN_EXE_example-measure"), &path), expected);
}

#[test]
fn own_link_measures_over_tcp() {
    let (_folder, path) = model();
    let bytes = 4 * (800 + 100 + 100 + 64);
    let expected = format!("4 tensors, {bytes} bytes, measured on in this process\n");
    assert_eq!(output(env!("CARGO_BIN_EXE_example-own-link"), &path), expected);
}

#[test]
fn own_engine_is_a_device_that_measures_moments_alone() {
    let (_folder, path) = model();
    let device = format!("exec:'{}'", env!("CARGO_BIN_EXE_example-own-engine"));
    let (run, outcome) = tested!().analyze(&path, &[&device]).measured();
    assert!(run.device.board == "an engine of one's own" && run.device.self_test.passed);
    outcome.assert_said(&["not measured by this device: histogram of magnitudes, extremes"]);
    let kurtosis = |name: &str| {
        let tensor = run.tensors.iter().find(|tensor| tensor.name == name).expect(name);
        assert!(tensor.quantiles.is_empty() && tensor.top.is_empty(), "{name}: it measures moments alone");
        tensor.kurtosis
    };
    assert_eq!(kurtosis("layers.0.weight"), Some(1.0));
    let single = kurtosis("layers.1.weight").expect("defined");
    assert!((single - (1.0 / (0.01 * 0.99) - 3.0)).abs() < 1e-9, "{single}");
    assert_eq!(kurtosis("layers.2.weight"), None);
}
