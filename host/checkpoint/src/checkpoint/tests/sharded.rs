//! Checkpoints of several files, fingerprints, and files damaged at random.

use proptest::prelude::*;

use super::*;
use crate::checkpoint::contents::Data;
use crate::checkpoint::safetensors::read;

/// A file of one byte tensor for each name, 700 bytes each.
fn shard(names: &[&str]) -> Vec<u8> {
    let entries: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            format!(r#""{name}":{{"dtype":"U8","shape":[7,100],"data_offsets":[{},{}]}}"#, i * 700, (i + 1) * 700)
        })
        .collect();
    let mut bytes = file(&format!("{{{}}}", entries.join(",")), 0);
    for name in names {
        bytes.extend((0..700u32).map(|i| (i % 251) as u8 ^ name.len() as u8));
    }
    bytes
}

fn index(map: serde_json::Value) -> String {
    json!({ "metadata": {}, "weight_map": map }).to_string()
}

const INDEX: &str = "model.safetensors.index.json";

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.tensors.iter().map(|tensor| tensor.name.as_str()).collect()
}

#[test]
fn an_index_and_its_shards() {
    let folder = Folder::new()
        .with("s1.safetensors", shard(&["b", "h.10"]))
        .with("s2.safetensors", shard(&["h.9", "extra"]))
        .with("unrelated.safetensors", shard(&["b"]))
        .with(INDEX, index(json!({"b": "s1.safetensors", "h.10": "s1.safetensors", "h.9": "s2.safetensors"})));
    for path in [folder.path(""), folder.path(INDEX)] {
        let checkpoint = Checkpoint::open(&path).expect("a checkpoint");
        assert_eq!(names(&checkpoint), ["b", "extra", "h.9", "h.10"]);
        assert_eq!(checkpoint.path_of(&checkpoint.tensors[2]), folder.path("s2.safetensors"));
    }
    // An unsplit model goes before the index.
    let folder = folder.with("model.safetensors", shard(&["whole"]));
    assert_eq!(names(&folder.open().expect("a checkpoint")), ["whole"]);
}

#[test]
fn shards_without_an_index() {
    let folder = Folder::new()
        .with("model-00001-of-00002.safetensors", shard(&["a"]))
        .with("._model.safetensors", "left by another system");
    assert_eq!(
        folder.open().expect_err("an error").to_string().split_once(": ").map(|(_, message)| message.to_owned()),
        Some(
            "1 of 2 shards are here, model-00002-of-00002.safetensors is missing; finish the download, or name one file \
             to measure it alone"
                .to_owned()
        )
    );
    let folder = folder.with("model-00002-of-00002.safetensors", shard(&["b"]));
    assert_eq!(names(&folder.open().expect("a checkpoint")), ["a", "b"]);
    let folder = folder.with("other.safetensors", shard(&["b"]));
    assert_eq!(
        folder.message(""),
        "tensor \"b\" is in model-00002-of-00002.safetensors and in other.safetensors; where these are two models or two \
         precisions, name the file to measure instead of its folder"
    );
}

#[test]
fn damaged_indexes() {
    let message = |map| {
        let folder = Folder::new().with("s.safetensors", shard(&["a"])).with(INDEX, index(map));
        folder.message("").replace(&format!("{INDEX}: "), "")
    };
    assert_eq!(
        message(json!({"a": "s.safetensors", "b": "t.safetensors", "c": "t.safetensors"})),
        "shard t.safetensors is missing (it should hold 2 tensors, \"b\" among them); finish the download"
    );
    assert_eq!(
        message(json!({"a": "../s.safetensors"})),
        "tensor \"a\" is said to be in \"../s.safetensors\", which is not inside the index's folder; \
         do not use this checkpoint unless you trust where it is from"
    );
    assert_eq!(
        message(json!({"a": "s.safetensors", "z": "s.safetensors"})),
        "tensor \"z\" should be in s.safetensors, which does not hold it; index and shards are not of one model: \
         download all of them again"
    );
    assert!(message(json!({"a": 1})).contains("weight_map does not name a file for tensor \"a\""));
    assert!(message(json!(3)).contains("it has no object \"weight_map\""));
    assert!(message(json!({})).contains("holds no tensors"));
}

#[test]
fn folders_without_safetensors() {
    let message = |names: &[&str]| {
        let folder = names.iter().fold(Folder::new(), |folder, name| folder.with(name, ""));
        let message = folder.open().expect_err("an error").to_string();
        message.replace(&folder.0.path().display().to_string(), "M")
    };
    assert!(
        message(&["tf_model.h5", "README.md"]).starts_with("M: found tf_model.h5 (Keras), a format that this version")
    );
    assert!(
        message(&["training_args.bin", "optimizer.pt"]).contains("no weights here: looked for safetensors, PyTorch,")
    );
    // What is in them is not looked at to choose between them.
    assert!(
        message(&["b.npz", "a.Q4.gguf", "a.Q8.GGUF"])
            .ends_with("M: 3 models are here: a.Q4.gguf, a.Q8.GGUF, b.npz; name the one to measure")
    );
    assert_eq!(message(&["a.onnx", "optimizer.pt"]).split(": ").next(), Some("M/a.onnx"));
    assert_eq!(message(&["a.onnx", "model.bin"]).split(": ").next(), Some("M/model.bin"));
}

#[test]
fn fingerprints_know_the_tensors_and_not_the_files() {
    let print = |files: &[(&str, Vec<u8>)]| {
        let folder = files.iter().fold(Folder::new(), |folder, (name, content)| folder.with(name, content));
        folder.open().expect("a checkpoint").fingerprint()
    };
    let whole = print(&[("model.safetensors", shard(&["a", "bb"]))]);
    assert_eq!(whole.len(), 32);
    assert_eq!(print(&[("x.safetensors", shard(&["a"])), ("y.safetensors", shard(&["bb"]))]), whole);
    assert_eq!(print(&[("model.safetensors", shard(&["bb", "a"]))]), whole);
    assert_ne!(print(&[("model.safetensors", shard(&["a", "b"]))]), whole);
    let mut changed = shard(&["a", "bb"]);
    if let Some(last) = changed.last_mut() {
        *last ^= 1;
    }
    assert_ne!(print(&[("model.safetensors", changed)]), whole);
    let reshaped = String::from_utf8_lossy(&shard(&["a", "bb"])[8..150]).replace("[7,100]", "[100,7]");
    assert!(reshaped.contains("[100,7]"));
    let header = r#"{"a":{"dtype":"U8","shape":[100,7],"data_offsets":[0,700]}}"#;
    let same_shape = header.replace("[100,7]", "[7,100]");
    let signed = same_shape.replace("U8", "I8");
    let prints = [header, &same_shape, &signed].map(|header| print(&[("model.safetensors", file(header, 700))]));
    assert!(prints[0] != prints[1] && prints[1] != prints[2]);
}

/// One random change to a file.
#[derive(Debug, Clone)]
enum Damage {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Length(u64),
    Replace(usize, &'static str),
}

fn damage() -> impl Strategy<Value = Damage> {
    let anywhere = 0..2000usize;
    prop_oneof![
        (0..300usize, any::<u8>()).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        anywhere.clone().prop_map(Damage::Cut),
        (anywhere, proptest::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        prop_oneof![0..2000u64, any::<u64>()].prop_map(Damage::Length),
        (
            0..6usize,
            prop_oneof![
                Just("0"),
                Just("-1"),
                Just("1e9"),
                Just("18446744073709551615"),
                Just("18446744073709551616"),
                Just("2305843009213693951"),
                Just("700"),
                Just("[]"),
                Just("null"),
                Just("\"F4\""),
            ]
        )
            .prop_map(|(which, text)| Damage::Replace(which, text)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip(at, bits) => {
                if let Some(byte) = bytes.get_mut(*at) {
                    *byte ^= bits;
                }
            }
            Self::Cut(at) => bytes.truncate(*at),
            Self::Insert(at, new) => {
                let at = (*at).min(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Length(length) => {
                if let Some(prefix) = bytes.first_chunk_mut::<8>() {
                    *prefix = length.to_le_bytes();
                }
            }
            Self::Replace(which, text) => replace_number(bytes, *which, text),
        }
    }
}

/// Puts `text` in place of the number that comes `which` in the header, and keeps the header's length right.
fn replace_number(bytes: &mut Vec<u8>, which: usize, text: &str) {
    let Some(&prefix) = bytes.first_chunk::<8>() else { return };
    let Some(end) = usize::try_from(u64::from_le_bytes(prefix)).ok().and_then(|length| length.checked_add(8)) else {
        return;
    };
    let Some(header) = bytes.get(8..end) else { return };
    let is_digit = |i: usize| header.get(i).is_some_and(u8::is_ascii_digit);
    let mut starts = (0..header.len()).filter(|&i| is_digit(i) && (i == 0 || !is_digit(i - 1)));
    let Some(start) = starts.nth(which) else { return };
    let stop = (start..).find(|&i| !is_digit(i)).unwrap_or(start);
    bytes.splice(8 + start..8 + stop, text.bytes());
    let length = (end - 8) - (stop - start) + text.len();
    bytes[..8].copy_from_slice(&(length as u64).to_le_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_damage_panics(damages in proptest::collection::vec(damage(), 1..4)) {
        let mut bytes = shard(&["model.a", "model.b"]);
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        match read(Path::new("m"), &bytes) {
            Ok(contents) => {
                for tensor in &contents.tensors {
                    let elements = tensor.shape.iter().product::<u64>();
                    let Data::Mapped(range) = &tensor.data else { panic!("safetensors lie as they are measured") };
                    let stored = bytes.get(range.clone()).expect("inside the file");
                    prop_assert_eq!(stored.len() as u64, elements * tensor.element.size() as u64);
                }
            }
            Err(error) => prop_assert!(error.to_string().starts_with("m: "), "{}", error),
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(read(Path::new("m"), &bytes).map(|contents| contents.tensors.is_empty()).unwrap_or(true));
    }
}
