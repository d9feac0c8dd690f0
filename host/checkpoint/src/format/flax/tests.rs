//! Flax checkpoints that `fixtures/make.py` wrote with flax, and damaged ones.

use proptest::prelude::*;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::model::{Component, Family, Naming};
use crate::testing::{Folder, listed, message, open_bytes, values};

const TYPES: &[u8] = include_bytes!("fixtures/types.msgpack");
const CHUNKED: &[u8] = include_bytes!("fixtures/chunked.msgpack");

/// The numbers below `length`, which the arrays of the fixtures hold in order.
fn count(length: u32) -> Vec<f64> {
    (0..length).map(f64::from).collect()
}

#[test]
fn element_types() {
    let (_folder, checkpoint) = open_bytes("flax_model.msgpack", TYPES);
    assert_eq!(checkpoint.format, "flax");
    let typed = |name: &str, stored: &str| (format!("types.{name}"), stored.to_owned(), vec![2, 3], count(6));
    let mut expected = vec![
        ("fortran".to_owned(), "f32".to_owned(), vec![2, 3, 4], count(24)),
        ("none".to_owned(), "f32".to_owned(), vec![0, 4], vec![]),
        ("scalar".to_owned(), "f32".to_owned(), vec![], vec![2.5]),
        typed("bfloat16", "bf16"),
        ("types.bool".to_owned(), "bool".to_owned(), vec![3], vec![1.0, 0.0, 1.0]),
        typed("float16", "f16"),
        typed("float32", "f32"),
        typed("float64", "f64"),
    ];
    for width in [8, 16, 32, 64] {
        expected.push(typed(&format!("int{width}"), &format!("i{width}")));
    }
    for width in [8, 16, 32, 64] {
        expected.push(typed(&format!("uint{width}"), &format!("u{width}")));
    }
    assert_eq!(listed(&checkpoint), expected);
    let unmeasured: Vec<_> = checkpoint.unmeasured.iter().map(|tensor| (&*tensor.name, &*tensor.dtype)).collect();
    assert_eq!(unmeasured, [("complex", "complex64")]);
}

#[test]
fn whole_arrays_are_not_copied() {
    let (_folder, checkpoint) = open_bytes("flax_model.msgpack", TYPES);
    for tensor in checkpoint.tensors.iter().filter(|tensor| tensor.elements() > 0) {
        let elements = checkpoint.read(tensor, 0..1).expect("elements");
        assert_eq!(elements.as_ptr(), checkpoint.stored_bytes(tensor).as_ptr(), "{}", tensor.name);
    }
}

#[test]
fn chunks_are_one_array() {
    let (_folder, checkpoint) = open_bytes("flax_model.msgpack", CHUNKED);
    let embedding = &checkpoint.tensors[0];
    assert_eq!((embedding.name.as_str(), &embedding.shape[..]), ("model.decoder.embed_tokens.embedding", &[61, 3][..]));
    let whole = values(&checkpoint, embedding, 0..183);
    assert_eq!(whole, count(183));
    for first in 0..183 {
        for last in first..=183 {
            assert_eq!(values(&checkpoint, embedding, first..last), whole[first as usize..last as usize]);
        }
    }
    // Inside a chunk of 16 elements, they are lent from the file.
    let start = checkpoint.read(embedding, 16..17).expect("elements").as_ptr();
    let later = checkpoint.read(embedding, 17..32).expect("elements").as_ptr();
    assert_eq!(later as usize - start as usize, 4);
}

#[test]
fn names_are_the_models() {
    let (_folder, checkpoint) = open_bytes("flax_model.msgpack", CHUNKED);
    let names = checkpoint.tensors.iter().map(|tensor| tensor.name.as_str());
    let naming = Naming::of(Family::Opt, names.clone());
    let components: Vec<_> = names.map(|name| (name, naming.identify(name, &[]).component)).collect();
    let expected = [
        ("model.decoder.embed_tokens.embedding", Component::Embedding),
        ("model.decoder.layers.0.final_layer_norm.bias", Component::Norm),
        ("model.decoder.layers.0.final_layer_norm.scale", Component::Norm),
        ("model.decoder.layers.0.self_attn.q_proj.bias", Component::Bias),
        ("model.decoder.layers.0.self_attn.q_proj.kernel", Component::AttentionQuery),
    ];
    assert_eq!(components, expected);
}

/// A map of one array `w`, of this content.
fn array(content: &[u8]) -> Vec<u8> {
    [b"\x81\xa1w\xc7", &[content.len() as u8, 1][..], content].concat()
}

#[test]
fn damage_is_named_with_tensor_and_offset() {
    let chunked = |rest: &[u8]| [b"\x81\xa1w\x83\xb9__msgpack_chunked_array__\xc3", rest].concat();
    let cases: [(Vec<u8>, &str); 13] = [
        (array(b"\x93\x91\x04\xa5uint8\xc4\x03\0\0\0"), "shape calls for 4 bytes at byte 17, there are 3"),
        (array(b"\x93\x92\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x02\xa5uint8\xc4\0"), "overflows 64 bits"),
        (array(b"\x93\x92\0\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa5int64\xc4\0"), "overflows 64 bits"),
        (array(b"\x93\x91\xff\xa5uint8\xc4\0"), "a dimension should be at byte 8"),
        (array(b"\x93\xdd\xff\xff\xff\xff\x01"), "a dimension should be at byte 13"),
        (array(b"\x92\x90\xa5uint8"), "shape, type and elements of an array should be"),
        (array(b"\x93\x91\x01\xa5uint8\xc6\xff\xff\xff\xff\0"), "calls for 4294967295 bytes from byte 20, there are 1"),
        ([array(b"\x93\x90\xa5uint8\xc4\x01\0"), vec![0]].concat(), "1 bytes follow the end of the model at byte 17"),
        (b"\x81\xa1w\xc9\xff\xff\xff\xff\x01\0".to_vec(), "calls for 4294967295 bytes from byte 9, there are 1"),
        (b"\xdf\xff\xff\xff\xff\xa1w\x80".to_vec(), "a key of text should be at byte 8"),
        (chunked(b"\xa5shape\x81\xa10\x01\xa6chunks\x80"), "it has no chunks"),
        (chunked(b"\xa5shape\x81\xa17\x01\xa6chunks\x80"), "not numbered from 0"),
        (chunked(b"\xa5shape\x90\xa6chunks\x80"), "are no map"),
    ];
    for (file, expected) in cases {
        let message = message("flax_model.msgpack", &file);
        assert!(message.contains(expected), "{message}, not {expected}");
        assert!(message.contains("\"w\"") || message.contains("\"\"") || message.contains("bytes follow"), "{message}");
    }
}

#[test]
fn depth_and_names_are_bounded() {
    let deep = b"\x81\xa1m".repeat(100_000);
    assert!(message("flax_model.msgpack", &deep).contains("more than 32 maps are nested at byte 97"));
    let key = [&b"\xda\x01\x90"[..], &[b'a'; 400]].concat();
    let long = [&b"\x81"[..], &key, b"\x81", &key, b"\x01"].concat();
    assert!(message("flax_model.msgpack", &long).contains("longer than 512 bytes"));
}

#[test]
fn a_folder_with_flax_alone() {
    let folder = Folder::new().with("flax_model.msgpack", CHUNKED).with("config.json", r#"{"model_type": "opt"}"#);
    assert_eq!(folder.open().expect("a checkpoint").tensors.len(), 5);
}

#[test]
fn every_cut_is_refused() {
    let folder = Folder::new();
    for file in [TYPES, CHUNKED] {
        for length in 32..file.len() {
            std::fs::write(folder.path("cut"), &file[..length]).expect("a file written");
            let error = Checkpoint::open(&folder.path("cut")).expect_err("cut off");
            assert!(matches!(error, CheckpointError::Format { .. }), "{length}: {error}");
        }
    }
}

proptest! {
    /// Any one byte changed: refused, or read without leaving the file.
    #[test]
    fn changed_bytes(at in 0..CHUNKED.len(), byte: u8) {
        let mut file = CHUNKED.to_vec();
        file[at] = byte;
        let folder = Folder::new().with("changed", &file);
        if let Ok(checkpoint) = Checkpoint::open(&folder.path("changed")) {
            for tensor in &checkpoint.tensors {
                let elements = checkpoint.read(tensor, 0..tensor.elements()).expect("elements");
                prop_assert_eq!(elements.len() as u64, tensor.byte_len());
            }
        }
    }
}
