//! Scales of whole matrices beside NVFP4 blocks, and the metadata of where a model comes from.

use super::*;

const SCALED: &[u8] = include_bytes!("../fixtures/second_scales.gguf");
const SCALED_VALUES: &[u8] = include_bytes!("../fixtures/second_scales.f32");

fn opened(bytes: &[u8]) -> Checkpoint {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.gguf");
    fs::write(&path, bytes).expect("a file written");
    Checkpoint::open(&path).expect("a checkpoint")
}

/// The file with a byte sequence replaced where it is found first.
fn patched(from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = SCALED.windows(from.len()).position(|window| window == from).expect("the bytes");
    let mut bytes = SCALED.to_vec();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

#[test]
fn a_scale_of_the_matrix_or_of_each_expert_multiplies() {
    let checkpoint = opened(SCALED);
    let names: Vec<_> = checkpoint.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["blk.0.attn_q.weight", "blk.0.ffn_up_exps.weight", "blk.1.attn_q.weight"]);
    let mut expected = SCALED_VALUES;
    for tensor in &checkpoint.tensors {
        let (values, rest) = expected.split_at(tensor.byte_len() as usize);
        expected = rest;
        assert_eq!(checkpoint.read(tensor, 0..tensor.elements()).expect("elements"), values, "{}", tensor.name);
        for range in [0..1, 63..65, 100..128, 127..128] {
            let part = &values[range.start as usize * 4..range.end as usize * 4];
            assert_eq!(checkpoint.read(tensor, range).expect("elements"), part, "{}", tensor.name);
        }
    }
    assert!(expected.is_empty());
    let scales: Vec<_> = checkpoint.quantization.iter().map(|tensor| tensor.name.as_str()).collect();
    let expected = ["blk.0.attn_q.input_scale", "blk.0.attn_q.scale"];
    assert_eq!(scales[..2], expected);
    assert_eq!(scales[2..], ["blk.0.ffn_up_exps.input_scale", "blk.0.ffn_up_exps.scale"]);
}

#[test]
fn a_scale_that_is_no_number_costs_its_weight() {
    let scales = [0.5f32, -2.25].map(f32::to_le_bytes).concat();
    let checkpoint = opened(&patched(&scales, &f32::NAN.to_le_bytes()));
    let [lost] = &checkpoint.unmeasured[..] else { panic!("one weight: {:?}", checkpoint.unmeasured) };
    assert_eq!((lost.name.as_str(), lost.dtype.as_str()), ("blk.0.ffn_up_exps.weight", "nvfp4"));
    assert_eq!(lost.reason, "packed codes of blk.0.ffn_up_exps.weight: blk.0.ffn_up_exps.scale[0] is NaN");
    assert_eq!(checkpoint.tensors.len(), 2, "the others are measured");
}

#[test]
fn a_scale_of_another_shape_costs_its_weight() {
    // The scale's one dimension in the header: 3 experts become 2.
    let entry = |experts: u64| [&b"blk.0.ffn_up_exps.scale"[..], &1u32.to_le_bytes(), &experts.to_le_bytes()].concat();
    let checkpoint = opened(&patched(&entry(3), &entry(2)));
    let reason = &checkpoint.unmeasured[0].reason;
    assert!(reason.ends_with("blk.0.ffn_up_exps.scale is f32 [2], 1 or 3 numbers of f32 are needed"), "{reason}");
}

#[test]
fn where_a_model_comes_from() {
    let config = opened(SCALED).config.expect("facts");
    let raw = config["gguf"].as_object().expect("the raw metadata");
    for (key, value) in [
        ("general.name", json!("Tiny Llama 1B")),
        ("general.languages", json!(["en", "de", "fr"])),
        ("general.base_model.0.name", json!("Tiny Llama Base")),
        ("general.file_type", json!(39)),
    ] {
        assert_eq!(raw.get(key), Some(&value), "{key}");
    }
}
