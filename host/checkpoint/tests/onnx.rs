//! Weights of ONNX models that onnxruntime quantized, element by element against the numbers that onnxruntime itself
//! computes with.
//!
//! The fixtures and the script that made them lie in `tests/fixtures/onnx`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use kurtoscope_checkpoint::{Checkpoint, StoredTensor};
use safetensors::SafeTensors;

/// The largest difference from what kernels compute in 32 bits in another order, relative to the largest weight.
const ROUNDED_ONCE_MORE: f32 = 2e-7;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/onnx").join(name)
}

/// All elements, read in uneven parts.
fn values(checkpoint: &Checkpoint, tensor: &StoredTensor) -> Vec<f32> {
    let mut values = Vec::new();
    let mut start = 0;
    for length in (1..).step_by(6) {
        let end = tensor.elements().min(start + length);
        let bytes = checkpoint.read(tensor, start..end).unwrap();
        values.extend(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)));
        if end == tensor.elements() {
            break;
        }
        start = end;
    }
    values
}

#[test]
fn quantized_weights_are_the_numbers_that_onnxruntime_computes_with() {
    let data = fs::read(fixture("expected.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&data).unwrap();
    let package = header.metadata().clone().unwrap()["onnxruntime"].clone();
    let expected = SafeTensors::deserialize(&data).unwrap();
    // For each file: elements, equal ones, the largest difference relative to the largest weight.
    let mut files: BTreeMap<String, (usize, usize, f32)> = BTreeMap::new();
    for (key, right) in expected.iter() {
        let (file, name) = key.split_once(':').unwrap();
        let checkpoint = Checkpoint::open(&fixture(file)).unwrap();
        // Packed codes give their name to the weight, without the bits.
        let is_named = |tensor: &&StoredTensor| tensor.name == name || name.strip_suffix("_Q4") == Some(&tensor.name);
        let found = checkpoint.tensors.iter().find(is_named);
        let found = found.unwrap_or_else(|| panic!("{file}: no {name}, not measured: {:?}", checkpoint.unmeasured));
        assert!(found.quantization.is_some(), "{file}: {name}");
        let right: Vec<f32> = right.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        let values = values(&checkpoint, found);
        assert_eq!(values.len(), right.len(), "{file}: {name}");
        let largest = right.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let (elements, equal, worst) = files.entry(file.to_owned()).or_default();
        *elements += right.len();
        *equal += values.iter().zip(&right).filter(|(found, right)| found == right).count();
        let off = values.iter().zip(&right).map(|(found, right)| (found - right).abs()).fold(0f32, f32::max);
        *worst = worst.max(off / largest);
    }
    assert_eq!(files.len(), 8);
    for (file, (elements, equal, worst)) in files {
        println!("{file}: {elements} elements, {equal} equal, largest relative difference {worst:e} ({package})");
        assert!(worst < ROUNDED_ONCE_MORE, "{file}: {worst:e}");
    }
}
