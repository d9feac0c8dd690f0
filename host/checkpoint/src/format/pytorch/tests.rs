//! Checkpoints as `torch.save` writes them, made by `fixtures/make.py`: what is read, what is refused, and damage.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use crate::checkpoint::{Checkpoint, CheckpointError};

const ZIP: &[u8] = include_bytes!("fixtures/zip.bin");
const LEGACY: &[u8] = include_bytes!("fixtures/legacy.bin");
const TAR: &[u8] = include_bytes!("fixtures/tar.pth");
const NESTED: &[u8] = include_bytes!("fixtures/nested.ckpt");
const UNKNOWN: &[u8] = include_bytes!("fixtures/unknown.ckpt");
const NESTED_LEGACY: &[u8] = include_bytes!("fixtures/nested.legacy.ckpt");

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/pytorch/fixtures").join(name)
}

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(&fixture(name)).expect("a checkpoint")
}

/// The message of the error that opening a fixture gives, without its path.
fn refused(name: &str) -> String {
    let message = Checkpoint::open(&fixture(name)).expect_err("an error").to_string();
    message.split_once(&format!("{name}: ")).map(|(_, message)| message.to_owned()).unwrap_or(message)
}

/// A folder with copies of fixtures under other names.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in files {
        fs::write(folder.path().join(name), content).expect("a file written");
    }
    folder
}

/// All elements of a tensor.
fn bytes(checkpoint: &Checkpoint, name: &str) -> Vec<u8> {
    let tensor = checkpoint.tensors.iter().find(|tensor| tensor.name == name).expect("the tensor");
    checkpoint.read(tensor, 0..tensor.elements()).expect("elements").to_vec()
}

fn floats(values: impl IntoIterator<Item = i16>) -> Vec<u8> {
    values.into_iter().flat_map(|i| (0.5 * f32::from(i) - 3.0).to_le_bytes()).collect()
}

/// That a checkpoint holds what `weights()` in `make.py` makes.
fn check_weights(checkpoint: &Checkpoint) {
    assert_eq!(checkpoint.format, "pytorch");
    let tensors = checkpoint.tensors.iter();
    let tensors: Vec<_> = tensors.map(|tensor| (&*tensor.name, &*tensor.stored, &tensor.shape[..])).collect();
    let expected: [(&str, &str, &[u64]); 10] = [
        ("brain", "bf16", &[2]),
        ("count", "i64", &[]),
        ("double", "f64", &[2]),
        ("flag", "bool", &[3]),
        ("half", "f16", &[3]),
        ("lm_head.weight", "f32", &[6, 4]),
        ("none", "f32", &[0, 4]),
        ("transformer.h.0.mlp.c_fc.bias", "f32", &[4]),
        ("transformer.h.0.mlp.c_fc.weight", "f32", &[4, 3]),
        ("transformer.wte.weight", "f32", &[6, 4]),
    ];
    assert_eq!(tensors, expected);
    let bytes = |name| bytes(checkpoint, name);
    assert_eq!(bytes("brain"), [0x80, 0x3f, 0, 0xc0]);
    assert_eq!(bytes("count"), (-7i64).to_le_bytes());
    assert_eq!(bytes("double"), [1e300f64.to_le_bytes(), (-2.5f64).to_le_bytes()].concat());
    assert_eq!(bytes("flag"), [0, 1, 1]);
    assert_eq!(bytes("half"), [0, 0x3c, 0, 0xc0, 0xff, 0x7b]);
    assert_eq!(bytes("transformer.wte.weight"), floats(0..24));
    assert_eq!(bytes("lm_head.weight"), floats(0..24), "shares its storage");
    assert!(bytes("none").is_empty());
    assert_eq!(bytes("transformer.h.0.mlp.c_fc.bias"), floats(4..8));
    let transposed = (0..4).flat_map(|column| (0..3).map(move |row| row * 4 + column));
    assert_eq!(bytes("transformer.h.0.mlp.c_fc.weight"), floats(transposed), "in the order of the view");
}

#[test]
fn every_container_and_nesting_gives_the_same_weights() {
    for name in ["zip.bin", "legacy.bin", "tar.pth", "nested.ckpt", "nested.legacy.ckpt"] {
        check_weights(&open(name));
    }
}

#[test]
fn parts_of_tensors() {
    let checkpoint = open("zip.bin");
    let tensor = checkpoint.tensors.iter().find(|tensor| tensor.name.ends_with("wte.weight")).expect("the tensor");
    let first = checkpoint.read(tensor, 2..5).expect("elements");
    assert_eq!(first[..], floats(2..5));
    let again = checkpoint.read(tensor, 2..5).expect("elements");
    assert_eq!(first, again);
    assert_ne!(first.as_ptr(), again.as_ptr(), "a chunk is a copy, and does not keep the whole tensor in memory");
    assert!(checkpoint.read(tensor, 24..25).is_err());
}

#[test]
fn the_name_of_a_file_does_not_matter() {
    let folder = folder(&[("weights", ZIP), ("PyTorch_Model.BIN", LEGACY), ("optimizer.pt", b"not looked at")]);
    check_weights(&Checkpoint::open(&folder.path().join("weights")).expect("a checkpoint"));
    check_weights(&Checkpoint::open(folder.path()).expect("a checkpoint"));
}

#[test]
fn shards() {
    let one = fs::read(fixture("hostile.bin")).expect("a fixture");
    let index = br#"{"weight_map": {"weight": "PYTORCH_MODEL-00001-OF-00002.BIN", "half": "b.bin"}}"#;
    let files: [(&str, &[u8]); 3] =
        [("pytorch_model.bin.index.json", index), ("PYTORCH_MODEL-00001-OF-00002.BIN", &one), ("b.bin", ZIP)];
    let indexed = folder(&files);
    for path in [indexed.path().to_owned(), indexed.path().join(files[0].0)] {
        let checkpoint = Checkpoint::open(&path).expect("a checkpoint");
        assert_eq!(checkpoint.tensors.len(), 11);
        assert_eq!(bytes(&checkpoint, "weight"), floats(0..4));
        assert_eq!(bytes(&checkpoint, "flag"), [0, 1, 1]);
    }
    let numbered = folder(&[("pytorch_model-00001-of-00002.bin", &one)]);
    let message = Checkpoint::open(numbered.path()).expect_err("an error").to_string();
    assert!(message.contains("1 of 2 shards are here, pytorch_model-00002-of-00002.bin is missing"), "{message}");
    let unindexed = folder(&[("a.pt", &one), ("b.pth", ZIP)]);
    assert_eq!(Checkpoint::open(unindexed.path()).expect("a checkpoint").tensors.len(), 11);
    let rivals = folder(&[("best.pt", ZIP), ("last.pt", LEGACY)]);
    let error = Checkpoint::open(rivals.path()).expect_err("an error");
    assert!(matches!(error, CheckpointError::DuplicateTensor { .. }), "{error}");
}

#[test]
fn nothing_in_a_pickle_runs() {
    for name in ["hostile.bin", "hostile.legacy.bin"] {
        let checkpoint = open(name);
        assert_eq!(checkpoint.tensors.len(), 1);
        assert_eq!(bytes(&checkpoint, "weight"), floats(0..4));
        assert!(!Path::new("kurtoscope-ran-a-pickle").exists());
    }
}

#[test]
fn views_that_repeat_elements_are_listed_and_not_unfolded() {
    let checkpoint = open("expanded.bin");
    assert_eq!(checkpoint.tensors.len(), 1);
    let [wide] = &checkpoint.unmeasured[..] else { panic!("one tensor that is not measured") };
    assert_eq!((&*wide.name, &wide.shape[..], &*wide.dtype), ("wide", &[1 << 20, 1 << 10][..], "f32"));
    assert!(wide.reason.starts_with("it repeats its elements"));
}

#[test]
fn what_is_refused() {
    assert_eq!(
        refused("sparse.bin"),
        "cannot be read as a PyTorch checkpoint: unsupported Python type 'torch._utils._rebuild_sparse_tensor'. \
         The file holds tensor data in a form this reader cannot represent; load it in PyTorch and save its plain, dense \
         weights as safetensors"
    );
    assert!(refused("big-endian.bin").contains("Big-endian PyTorch files are not supported"));
    assert!(refused("compressed.bin").contains("its storages claim 20000 bytes of a file of "));
    assert!(refused("empty.bin").contains("holds no tensors"));
    let pickle = folder(&[("list.pkl", b"\x80\x02]q\x00."), ("cut.bin", &ZIP[..ZIP.len() / 2])]);
    let message = |name: &str| Checkpoint::open(&pickle.path().join(name)).expect_err("an error").to_string();
    assert!(message("list.pkl").contains("Expected a dictionary at the root of the PyTorch file, found list"));
    assert!(
        message("cut.bin").ends_with("the file is truncated or damaged: download it again"),
        "{}",
        message("cut.bin")
    );
}

#[test]
fn fingerprints_sample_all_of_a_file_that_does_not_tell_where_its_tensors_are() {
    let print = |content: &[u8]| {
        let folder = folder(&[("m.bin", content)]);
        Checkpoint::open(&folder.path().join("m.bin")).expect("a checkpoint").fingerprint()
    };
    assert_eq!(print(LEGACY), print(LEGACY));
    let first = LEGACY.windows(4).position(|window| window == (-3.0f32).to_le_bytes()).expect("the first value");
    for at in [first, first + 40, LEGACY.len() - 1] {
        let mut changed = LEGACY.to_vec();
        changed[at] ^= 1;
        assert_ne!(print(&changed), print(LEGACY), "{at}");
    }
}

#[test]
fn damage_that_a_checksum_finds_is_reported_when_the_tensor_is_read() {
    let mut damaged = ZIP.to_vec();
    let value = (-3.0f32).to_le_bytes();
    let at = damaged.windows(4).position(|window| window == value).expect("the first value");
    damaged[at] ^= 1;
    let folder = folder(&[("m.bin", &damaged)]);
    let checkpoint = Checkpoint::open(&folder.path().join("m.bin")).expect("a checkpoint");
    let tensor = checkpoint.tensors.iter().find(|tensor| tensor.name.ends_with("wte.weight")).expect("the tensor");
    let message = checkpoint.read(tensor, 0..4).expect_err("an error").to_string();
    assert!(message.contains("tensor \"transformer.wte.weight\": elements 0..4 cannot be read: "), "{message}");
    assert!(message.ends_with("Invalid checksum; the file has changed or is damaged: download it again"), "{message}");
}

#[test]
fn sparse_members_of_tar_archives_are_refused() {
    let mut header = tar::Header::new_gnu();
    header.set_path("storages").expect("a short name");
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(0);
    let gnu = header.as_gnu_mut().expect("a GNU header");
    // One part, of no bytes, at the very end.
    gnu.sparse[0].offset = [0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
    gnu.sparse[0].numbytes = *b"00000000000\0";
    // 1 TiB, which does not fit in octal digits.
    gnu.realsize = [0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
    header.set_cksum();
    let mut archive = header.as_bytes().to_vec();
    archive.resize(2048, 0);
    let folder = folder(&[("m.pth", &archive)]);
    let message = Checkpoint::open(&folder.path().join("m.pth")).expect_err("an error").to_string();
    assert!(message.contains("its members claim 1099511627776 bytes of a file of 2048; "), "{message}");
}

/// One change to a file: bits flipped, bytes put in, or the end cut off.
fn damage(bytes: &mut Vec<u8>, at: usize, kind: u8, new: &[u8]) {
    let at = at % (bytes.len() + 1);
    match kind {
        0 => bytes.truncate(at),
        1 => drop(bytes.splice(at..at, new.iter().copied())),
        _ => bytes.iter_mut().skip(at).zip(new).for_each(|(byte, new)| *byte ^= new),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_damage_panics(
        which in 0..6usize,
        changes in proptest::collection::vec((any::<usize>(), 0..12u8, proptest::collection::vec(any::<u8>(), 1..4)), 1..4),
    ) {
        let mut content = [ZIP, LEGACY, TAR, NESTED, NESTED_LEGACY, UNKNOWN][which].to_vec();
        for (at, kind, new) in changes {
            damage(&mut content, at, kind, &new);
        }
        let folder = folder(&[("m", &content)]);
        if let Ok(checkpoint) = Checkpoint::open(&folder.path().join("m")) {
            for tensor in &checkpoint.tensors {
                prop_assert!(tensor.byte_len() <= content.len() as u64);
                if let Ok(elements) = checkpoint.read(tensor, 0..tensor.elements()) {
                    prop_assert_eq!(elements.len() as u64, tensor.byte_len());
                }
            }
        }
    }
}

#[test]
fn a_type_that_is_not_known_costs_its_tensor_and_not_the_file() {
    let checkpoint = open("unknown.ckpt");
    let found: Vec<_> = checkpoint.tensors.iter().map(|tensor| (&*tensor.name, &*tensor.stored)).collect();
    assert_eq!(found, [("h.0.f8", "f8_e4m3"), ("h.0.parameter", "f32"), ("weight", "f32")]);
    let values = |at: usize| crate::testing::values(&checkpoint, &checkpoint.tensors[at], 0..4);
    assert_eq!(values(0), [1.0, 2.0, -1.0, 0.0]);
    assert_eq!(values(1), [-2.0, -1.5, -1.0, -0.5], "two elements into its storage");
    assert_eq!(values(2), [-3.0, -2.5, -2.0, -1.5]);
    let reasons: Vec<_> =
        checkpoint.unmeasured.iter().map(|tensor| (&*tensor.name, &*tensor.dtype, &*tensor.reason)).collect();
    let unknown = "this element type is not known to this version";
    assert_eq!(
        reasons,
        [
            ("h.0.complex", "ComplexFloatStorage", unknown),
            ("h.0.long", "FloatStorage", "its storage is too short for its shape"),
            ("h.0.scale", "float8_e8m0fnu", unknown),
            (
                "h.0.sparse",
                "torch._utils._rebuild_sparse_tensor",
                "it is more than a view of its elements: quantized, sparse or of another class"
            ),
            (
                "h.0.turned",
                "FloatStorage",
                "its elements are not in order, and a type in the file is not known to this version"
            ),
        ]
    );
}

#[test]
fn quantized_weights_are_their_numbers() {
    let checkpoint = open("gptq.bin");
    let names: Vec<_> = checkpoint.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["h.0.fc.weight", "h.0.ln.weight"]);
    let parts: Vec<_> = checkpoint.quantization.iter().map(|tensor| (&*tensor.name, &*tensor.dtype)).collect();
    assert_eq!(parts, [("h.0.fc.qzeros", "i32"), ("h.0.fc.scales", "f16")]);
    let weight = &checkpoint.tensors[0];
    assert_eq!(weight.shape, [8, 16]);
    let right = |at: u64| {
        let (output, input) = (at / 16, at % 16);
        ((3 * input + output) % 16) as f64 - 8.0
    };
    let right: Vec<f64> = (0..128).map(|at| right(at) * if at % 16 < 8 { 0.5 } else { 1.0 }).collect();
    for range in [0..128, 3..40, 127..128] {
        let found = crate::testing::values(&checkpoint, weight, range.clone());
        assert_eq!(found, right[range.start as usize..range.end as usize], "{range:?}");
    }
}
