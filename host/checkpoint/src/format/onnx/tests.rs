//! ONNX models that `fixtures/make.py` wrote, and damaged ones.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use prost::Message;

use super::proto::{Graph, Model, StringEntry, Tensor};
use crate::checkpoint::Checkpoint;
use crate::format::GraphUse;
use crate::testing::{Listed, listed, message, open_bytes, values};

const TYPES: &[u8] = include_bytes!("fixtures/types.onnx");
const GRAPHS: &[u8] = include_bytes!("fixtures/graphs.onnx");
const NAMES: &[u8] = include_bytes!("fixtures/names.onnx");
const QUANTIZED: &[u8] = include_bytes!("fixtures/quantized.onnx");
const PACKED: &[u8] = include_bytes!("fixtures/packed.onnx");
const EXTERNAL: &[u8] = include_bytes!("fixtures/external.onnx");

/// A model of these tensors, which says its version first as models do.
fn model(tensors: &[Tensor]) -> Vec<u8> {
    let initializers = tensors.iter().map(|tensor| tensor.encode_to_vec().into()).collect();
    graph(Graph { initializers, ..Graph::default() })
}

fn graph(graph: Graph) -> Vec<u8> {
    let mut file = vec![0x08, 0x0a];
    file.extend(Model { graph: Some(graph.encode_to_vec().into()), functions: vec![] }.encode_to_vec());
    file
}

fn tensor(dims: &[i64], raw: &[u8]) -> Tensor {
    let raw_data = Some(raw.to_vec().into());
    Tensor { dims: dims.to_vec(), data_type: 1, name: "w".to_owned(), raw_data, ..Tensor::default() }
}

fn row(name: &str, stored: &str, shape: &[u64], values: &[f64]) -> Listed {
    (name.to_owned(), stored.to_owned(), shape.to_vec(), values.to_vec())
}

#[test]
fn types() {
    let (_folder, checkpoint) = open_bytes("model.onnx", TYPES);
    assert_eq!(checkpoint.format, "onnx");
    let listed = listed(&checkpoint);
    for (onnx, stored) in [
        ("float", "f32"),
        ("double", "f64"),
        ("float16", "f16"),
        ("bfloat16", "bf16"),
        ("int8", "i8"),
        ("int16", "i16"),
        ("int32", "i32"),
        ("int64", "i64"),
        ("uint8", "u8"),
        ("uint16", "u16"),
        ("uint32", "u32"),
        ("uint64", "u64"),
        ("bool", "bool"),
        ("float8e4m3fn", "f8_e4m3"),
        ("float8e5m2", "f8_e5m2"),
    ] {
        let values: &[f64] = if onnx == "bool" { &[0.0, 1.0, 1.0, 0.0] } else { &[0.0, 1.0, 2.0, 3.0] };
        for form in ["raw", "typed"] {
            let expected = row(&format!("{onnx}.{form}"), stored, &[2, 2], values);
            assert!(listed.contains(&expected), "{expected:?}");
        }
    }
    assert!(listed.contains(&row("empty", "f32", &[0, 3], &[])));
    assert!(listed.contains(&row("negative", "i32", &[2], &[-1.0, -2_147_483_648.0])));
    assert_eq!(listed.len(), 32);
    let unmeasured: Vec<_> = checkpoint.unmeasured.iter().map(|tensor| tensor.dtype.as_str()).collect();
    assert_eq!(unmeasured, ["COMPLEX64", "FLOAT8E4M3FNUZ", "INT4", "STRING"]);
}

#[test]
fn raw_data_is_not_copied() {
    let (_folder, checkpoint) = open_bytes("model.onnx", TYPES);
    for tensor in checkpoint.tensors.iter().filter(|tensor| tensor.name.ends_with(".raw")) {
        let elements = checkpoint.read(tensor, 1..2).expect("elements");
        let stored = &checkpoint.stored_bytes(tensor)[tensor.element.size()..];
        assert_eq!(elements.as_ptr(), stored.as_ptr(), "{}", tensor.name);
    }
}

#[test]
fn graphs_constants_and_functions() {
    let (_folder, checkpoint) = open_bytes("model.onnx", GRAPHS);
    let (two, three) = ([0.0, 1.0], [0.0, 1.0, 2.0]);
    let five = [0.0, 1.0, 2.0, 3.0, 4.0];
    let mut expected = vec![
        row("Constant:tensor", "f32", &[2, 2], &[0.0, 1.0, 2.0, 3.0]),
        row("Constant:floats", "f32", &[2], &[1.0, 2.0]),
        row("Loop_16/body/w", "f32", &[5], &five),
        row("same/body/w", "f32", &[5], &five),
        row("same/body/w#2", "f32", &[5], &five),
        row("w", "f32", &[4, 1], &[0.0, 1.0, 2.0, 3.0]),
        row("functions/Norm/Constant:gain", "f32", &[2], &[1.0, 2.0]),
    ];
    for branch in ["branch/then_branch", "branch/else_branch"] {
        expected.push(row(&format!("{branch}/w"), "f32", &[3], &three));
        for deep in ["then_branch", "else_branch"] {
            expected.push(row(&format!("{branch}/deep/{deep}/Constant:c"), "f32", &[2, 1], &two));
        }
    }
    let mut listed = listed(&checkpoint);
    listed.sort_by(|a, b| a.0.cmp(&b.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(listed, expected);
    let found = |name: &str| checkpoint.tensors.iter().find(|tensor| tensor.name == name).expect("listed");
    assert_eq!(found("branch/then_branch/deep/else_branch/Constant:c").path(), "deep.fc1.weight");
    assert_eq!((found("w").graph.output_axis, found("Constant:tensor").graph.output_axis), (Some(0), Some(1)));
}

#[test]
fn places_of_tensors_are_those_of_the_nodes_that_read_them() {
    let (_folder, checkpoint) = open_bytes("model.onnx", NAMES);
    let found: Vec<_> = checkpoint
        .tensors
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor.path(), tensor.graph.output_axis, tensor.is_integer_code))
        .collect();
    assert_eq!(
        found,
        [
            ("0", "0", None, false),
            ("conv1.weight", "conv1.weight", Some(0), false),
            ("cos_cache", "cos_cache", None, false),
            ("logit_scale", "logit_scale", None, false),
            ("model.layers.1.mlp.down_proj.weight_transposed", "model.layers.1.mlp.down_proj.weight", Some(0), false),
            ("model.layers.1.mlp.gate_proj.bias", "model.layers.1.mlp.gate_proj.bias", None, false),
            ("onnx::MatMul_5", "model.layers.1.self_attn.q_proj.weight", Some(1), false),
            ("own", "own", None, false),
            ("sin_cache", "sin_cache", None, false),
            ("val_7", "model.layers.1.mlp.up_proj.weight", Some(1), false),
            ("val_9", "model.layers.1.mlp.gate_proj.weight", Some(1), false),
        ]
    );
    let named = |wanted: fn(&GraphUse) -> bool| -> Vec<_> {
        let wanted = checkpoint.tensors.iter().filter(|tensor| wanted(&tensor.graph));
        wanted.map(|tensor| tensor.name.as_str()).collect()
    };
    assert_eq!(named(|graph| graph.is_table), ["cos_cache", "sin_cache"]);
    assert_eq!(named(|graph| graph.is_lookup), ["0"]);
    assert!(checkpoint.unmeasured.is_empty(), "{:?}", checkpoint.unmeasured);
}

#[test]
fn quantized_tensors() {
    let (_folder, checkpoint) = open_bytes("model.onnx", QUANTIZED);
    let listed = listed(&checkpoint);
    let per_tensor = [-0.5, 0.0, 0.5, 1.0, 1.5, 2.0];
    let rows = [0.0, 0.5, 1.0, 2.0, 3.0, 4.0];
    for expected in [
        row("tensor", "onnx-linear 8 bits", &[2, 3], &per_tensor),
        row("outer", "onnx-linear 8 bits", &[2, 3], &per_tensor),
        row("dynamic", "onnx-linear 8 bits", &[2, 3], &per_tensor),
        row("rows", "onnx-linear 8 bits", &[2, 3], &per_tensor),
        row("axis0", "onnx-linear 8 bits", &[2, 3], &rows),
        row("turned", "onnx-linear 8 bits", &[2, 3], &rows),
        row("conv", "onnx-linear 8 bits", &[2, 1, 3], &rows),
        row("axis1", "onnx-linear 8 bits", &[2, 3], &[0.0, 1.0, 3.0, 1.5, 4.0, 7.5]),
        row("matmul", "onnx-linear 8 bits", &[2, 3], &[0.0, 0.0, 0.0, 1.5, 3.0, 4.5]),
        row("blocks", "onnx-linear 8 bits", &[2, 4], &[0.0, 0.5, 2.0, 3.0, 6.0, 7.5, 12.0, 14.0]),
        row("int4", "onnx-linear 4 bits", &[2, 3], &[-1.5, -1.0, -0.5, 2.0, 3.0, 4.0]),
        row("uint4", "onnx-linear 4 bits", &[3], &[0.0, 4.0, 7.5]),
        row("unread", "u8", &[3], &[0.0, 1.0, 2.0]),
    ] {
        assert!(listed.contains(&expected), "{expected:?} in {listed:?}");
    }
    let packed = listed.iter().find(|(name, ..)| name == "packed").expect("the codes of a Gather");
    let code = |at: u64| if at.is_multiple_of(2) { at / 2 } else { 0 } as f64;
    let gathered: Vec<f64> = (0..64).map(|at| (code(at % 32) - 8.0) * 0.5).collect();
    assert_eq!(*packed, row("packed", "matmul-nbits 4 bits", &[2, 32], &gathered));
    assert_eq!(listed.len(), 14);
    let quantized = |name: &str| checkpoint.tensors.iter().find(|tensor| tensor.name == name)?.quantization;
    assert_eq!(quantized("blocks").map(|stored| (stored.bits, stored.group)), Some((8, Some(2))));
    assert!(checkpoint.tensors.iter().all(|tensor| tensor.is_integer_code == (tensor.name == "unread")));
    let unmeasured: Vec<_> =
        checkpoint.unmeasured.iter().map(|tensor| (tensor.name.as_str(), tensor.reason.as_str())).collect();
    assert_eq!(
        unmeasured,
        [
            ("alone", "packed codes of alone: no constant scale explains UINT8 [3, 3], which MatMul reads"),
            (
                "computed",
                "packed codes of computed: no constant scale explains INT8 [2, 3], which DequantizeLinear reads"
            ),
            ("misfit", "packed codes of misfit: three.scale has the shape [3], which does not go with [2, 3]"),
            ("not_finite", "packed codes of not_finite: nan.scale[0] is NaN"),
        ]
    );
    let parts: Vec<_> = checkpoint.quantization.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(
        parts,
        [
            "blocks.scale",
            "int4.zero",
            "nan.scale",
            "one.scale",
            "one.zero",
            "packed.scale",
            "three.scale",
            "three.zero",
            "two.scale",
            "two.zero"
        ]
    );
    for tensor in &checkpoint.tensors {
        let whole = values(&checkpoint, tensor, 0..tensor.elements());
        for first in 0..tensor.elements() {
            assert_eq!(
                values(&checkpoint, tensor, first..tensor.elements()),
                whole[first as usize..],
                "{}",
                tensor.name
            );
        }
    }
}

#[test]
fn external_data() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/onnx/fixtures/external.onnx");
    let checkpoint = Checkpoint::open(&model).expect("a checkpoint");
    let [rest, w] = &checkpoint.tensors[..] else { panic!("two tensors") };
    assert_eq!(values(&checkpoint, w, 0..6), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(values(&checkpoint, rest, 1..2), [1.0]);
    assert_eq!(checkpoint.path_of(w), model.with_file_name("external.bin"));
    assert_eq!(checkpoint.offset_of(rest), 40);
    assert_eq!(checkpoint.stored_bytes(rest), [0, 0, 0, 0x3c]);

    let absent = message("m.onnx", EXTERNAL);
    assert!(
        absent.contains("tensor \"w\" has its data in another file") && absent.contains("external.bin"),
        "{absent}"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.onnx");
    fs::write(&path, EXTERNAL).expect("a model");
    fs::write(folder.path().join("external.bin"), [0; 39]).expect("data");
    let short = Checkpoint::open(&path).expect_err("an error").to_string();
    assert!(short.contains("bytes 16..40, which has only 39"), "{short}");
}

#[test]
fn external_data_stays_in_the_folder() {
    let refused = |entries: &[(&str, &str)]| {
        let pair = |&(key, value): &(&str, &str)| StringEntry { key: key.to_owned(), value: value.to_owned() };
        let external_data = entries.iter().map(pair).collect();
        let external = Tensor { external_data, data_location: 1, raw_data: None, ..tensor(&[4], &[]) };
        message("m.onnx", &model(&[external]))
    };
    for location in ["/etc/passwd", "../secret", "a/../../b", "..\\a", "", "."] {
        let refusal = refused(&[("location", location)]);
        assert!(refusal.contains("which is not inside the model's folder"), "{refusal}");
    }
    assert!(refused(&[]).contains("has no location"));
    assert!(refused(&[("location", "a"), ("offset", "-1")]).contains("has a offset of \"-1\""));
    assert!(refused(&[("location", "a"), ("length", "15")]).contains("a length of 15, type and shape take 16"));
    assert!(refused(&[("location", "m.onnx"), ("offset", "18446744073709551615")]).contains("..18446744073709551615"));
}

#[test]
fn damaged_models() {
    let one = |dims: &[i64]| message("m.onnx", &model(&[tensor(dims, &[0; 16])]));
    assert_eq!(
        one(&[5]),
        "tensor \"w\" at byte 6: FLOAT of shape [5] takes 20 bytes, its data has 16; \
         the file is truncated or damaged: download it again"
    );
    assert!(one(&[-1]).contains("dimension -1 is no size"));
    assert!(one(&[i64::MAX, 3]).contains("overflows 64 bits"));
    let nothing = Tensor { raw_data: None, ..tensor(&[1 << 40], &[]) };
    let nothing = message("m.onnx", &model(&[nothing]));
    assert!(nothing.contains("takes 1099511627776 elements, its data has 0"), "{nothing}");
    assert!(message("m.onnx", b"\x08\x0a\x12\x01a").contains("the model has no graph"));
    let cut = message("m.onnx", &TYPES[..TYPES.len() / 2]);
    assert!(cut.contains("the model at byte 0 cannot be decoded") && cut.ends_with("download it again"), "{cut}");
    let garbled = graph(Graph { nodes: vec![b"\x0a\xff".as_slice().into()], ..Graph::default() });
    let garbled = message("m.onnx", &garbled);
    assert!(garbled.contains("a node at byte 6 cannot be decoded"), "{garbled}");
}

#[test]
fn graphs_within_graphs_end() {
    let mut inner = Graph::default();
    for _ in 0..40 {
        let attribute = super::proto::Attribute { graph: Some(inner.encode_to_vec().into()), ..Default::default() };
        let node = super::proto::Node { attributes: vec![attribute.encode_to_vec().into()], ..Default::default() };
        inner = Graph { nodes: vec![node.encode_to_vec().into()], ..Graph::default() };
    }
    let deep = message("m.onnx", &graph(inner));
    assert!(deep.contains("is nested in 32 others"), "{deep}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        which in 0..6_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        length in any::<prop::sample::Index>(),
        cut in prop::bool::weighted(0.2),
    ) {
        let mut file = [TYPES, GRAPHS, NAMES, QUANTIZED, PACKED, EXTERNAL][which].to_vec();
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if cut {
            file.truncate(length.index(file.len()));
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m");
        fs::write(&path, file).expect("a file written");
        fs::write(folder.path().join("external.bin"), [1; 44]).expect("a file written");
        if let Ok(checkpoint) = Checkpoint::open(&path) {
            for tensor in &checkpoint.tensors {
                let _ = checkpoint.read(tensor, 0..tensor.elements().min(1000));
            }
            checkpoint.fingerprint();
        }
    }
}

#[test]
fn packed_codes_are_the_weights_that_their_nodes_multiply_with() {
    let (_folder, checkpoint) = open_bytes("model.onnx", PACKED);
    let value = |at: u64| {
        let (output, input) = (at / 32, at % 32);
        let (zero, scale) = if input < 16 { (3.0, 0.5) } else { (5.0, 1.0) };
        (((input + output) % 16) as f64 - zero) * (scale + output as f64)
    };
    let right: Vec<f64> = (0..64).map(value).collect();
    assert_eq!(listed(&checkpoint), [row("proj.weight", "matmul-nbits 4 bits", &[2, 32], &right)]);
    let parts: Vec<_> = checkpoint.quantization.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(parts, ["proj.scales", "proj.zeros"]);
    let unmeasured = &checkpoint.unmeasured[0];
    let reason = "packed codes of other.weight: scales is missing";
    assert_eq!((unmeasured.name.as_str(), unmeasured.reason.as_str()), ("other.weight", reason));
}
