//! GGUF files: every block type against another implementation, the facts in the metadata, and damage.

use std::fs;
use std::path::{Path, PathBuf};

use kurtoscope_shared::Element;
use serde_json::json;

use super::unpack::{BLOCKS, LONGEST};
use crate::checkpoint::{Checkpoint, CheckpointError, StoredTensor};

const FILE: &[u8] = include_bytes!("fixtures/every_type.gguf");
const VALUES: &[u8] = include_bytes!("fixtures/every_type.f32");

/// Elements of each quantized tensor in the fixture, of shape [2, 512].
const ELEMENTS: u64 = 1024;

fn fixture() -> Checkpoint {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/gguf/fixtures/every_type.gguf");
    Checkpoint::open(&path).expect("the fixture")
}

/// The quantized tensors in the order of the file, each with the values that it should have.
fn quantized(checkpoint: &Checkpoint) -> Vec<(&StoredTensor, &'static [u8])> {
    let mut tensors: Vec<_> = checkpoint.tensors.iter().filter(|tensor| !tensor.name.starts_with("plain")).collect();
    tensors.sort_by_key(|tensor| checkpoint.offset_of(tensor));
    assert_eq!(tensors.len() * ELEMENTS as usize * 4, VALUES.len());
    tensors.into_iter().zip(VALUES.chunks_exact(ELEMENTS as usize * 4)).collect()
}

#[test]
fn every_type_has_the_values_of_another_implementation() {
    let checkpoint = fixture();
    assert_eq!((checkpoint.format, checkpoint.synthetic), ("gguf", true));
    assert!(checkpoint.unmeasured.is_empty());
    let tensors = quantized(&checkpoint);
    // The package that made the fixture does not know Q2_0, which has a test of its own.
    for block in BLOCKS.iter().filter(|block| block.name != "q2_0") {
        assert!(tensors.iter().any(|(tensor, _)| tensor.stored == block.name), "{} is in the fixture", block.name);
    }
    for (tensor, expected) in tensors {
        assert_eq!(format!("{}.weight", tensor.stored), tensor.name);
        assert_eq!((&tensor.shape[..], tensor.element), (&[2, 512][..], Element::F32));
        let read = checkpoint.read(tensor, 0..ELEMENTS).expect("elements");
        let pairs = read.as_chunks::<4>().0.iter().zip(expected.as_chunks::<4>().0).enumerate();
        for (i, (read, expected)) in pairs {
            let [read, expected] = [read, expected].map(|bytes| f32::from_le_bytes(*bytes));
            assert_eq!(read.to_bits(), expected.to_bits(), "{} at {i}: {read} is not {expected}", tensor.stored);
        }
    }
}

#[test]
fn any_range_is_part_of_the_whole() {
    let checkpoint = fixture();
    for (tensor, expected) in quantized(&checkpoint) {
        for range in [0..0, 0..1, 31..33, 255..257, 5..517, 300..300, 1023..1024, 1024..1024, 64..128] {
            let read = checkpoint.read(tensor, range.clone()).expect("elements");
            let expected = &expected[range.start as usize * 4..range.end as usize * 4];
            assert_eq!(&read[..], expected, "{} {range:?}", tensor.stored);
        }
        assert!(checkpoint.read(tensor, 1000..1025).is_err());
    }
}

#[test]
fn plain_types_lie_in_the_file() {
    let checkpoint = fixture();
    let plain: Vec<_> = checkpoint.tensors.iter().filter(|tensor| tensor.name.starts_with("plain")).collect();
    assert_eq!(plain.len(), 8);
    for tensor in plain {
        let read = checkpoint.read(tensor, 0..tensor.elements()).expect("elements");
        assert_eq!(&read[..], checkpoint.stored_bytes(tensor));
        assert_eq!(tensor.stored, tensor.element.name());
        let shape: &[u64] = if tensor.element == Element::Bf16 { &[7] } else { &[3, 2, 5] };
        assert_eq!(tensor.shape, shape, "{}", tensor.name);
    }
}

#[test]
fn facts_under_the_keys_of_a_configuration() {
    let config = fixture().config.expect("facts");
    let facts = json!({
        "model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "intermediate_size": 1536, "max_position_embeddings": 8192, "vocab_size": 3,
    });
    for (key, value) in facts.as_object().expect("an object") {
        assert_eq!(&config[key], value, "{key}");
    }
    let raw = config["gguf"].as_object().expect("the raw metadata");
    assert_eq!(raw["general.architecture"], "llama");
    assert_eq!(raw["kurtoscope.synthetic"], true);
    assert!(!raw.contains_key("tokenizer.ggml.tokens") && !raw.contains_key("tokenizer.chat_template"));
}

#[test]
fn the_largest_block_fits() {
    assert_eq!(BLOCKS.iter().map(|block| block.elements).max(), Some(LONGEST));
    for (i, block) in BLOCKS.iter().enumerate() {
        assert!(BLOCKS[..i].iter().all(|other| (other.kind, other.name) != (block.kind, block.name)));
    }
}

mod damage;
mod made;
mod second_scales;
