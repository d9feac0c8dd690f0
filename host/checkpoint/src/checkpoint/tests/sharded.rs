//! Checkpoints of several files, and fingerprints.

use super::*;
use crate::testing::shard;

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
    let folder = folder.with("model.safetensors", shard(&["whole"]));
    let checkpoint = folder.open().expect("a checkpoint");
    assert_eq!(names(&checkpoint), ["b", "extra", "h.9", "h.10"], "the index goes before an unsplit model");
    assert_eq!(
        checkpoint.remarks,
        [
            "Not measured: 2 files of weights that the index does not name (model.safetensors, unrelated.safetensors).",
            "Of the tensors in the shards, 1 is not in the index and measured all the same (extra)."
        ]
    );
}

#[test]
fn a_tensor_of_several_shards_is_the_one_that_the_index_names() {
    let folder = Folder::new()
        .with("base.safetensors", shard(&["a", "b"]))
        .with("overlay.safetensors", shard(&["b"]))
        .with(INDEX, index(json!({"a": "base.safetensors", "b": "overlay.safetensors"})));
    for path in [folder.path(""), folder.path(INDEX)] {
        let checkpoint = Checkpoint::open(&path).expect("a checkpoint");
        assert_eq!(names(&checkpoint), ["a", "b"]);
        assert_eq!(checkpoint.path_of(&checkpoint.tensors[1]), folder.path("overlay.safetensors"));
        let remark = "The tensor b is in several shards: measured is the copy in the shard that the index names.";
        assert_eq!(checkpoint.remarks, [remark]);
    }
    // What the index does not list may be in one shard only.
    let folder = folder.with(INDEX, index(json!({"a": "base.safetensors", "c": "overlay.safetensors"})));
    assert!(folder.message("").starts_with("tensor \"b\" is in base.safetensors and in overlay.safetensors"));
}

#[test]
fn pipelines_name_their_sub_folders() {
    let folder = Folder::new().with("model_index.json", "{}");
    for part in ["unet", "vae"] {
        fs::create_dir(folder.path(part)).expect("a folder");
        fs::write(folder.path(part).join("diffusion_pytorch_model.safetensors"), shard(&["a"])).expect("a file");
    }
    let error = folder.open().expect_err("an error").to_string();
    let expected = "a pipeline of several models (model_index.json), whose weights are in sub-folders: unet, vae; \
                    name the one to measure, such as ";
    assert!(error.contains(expected) && error.ends_with("/unet"), "{error}");
    assert_eq!(names(&Checkpoint::open(&folder.path("vae")).expect("a checkpoint")), ["a"]);
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
    let checkpoint = folder.open().expect("a checkpoint");
    assert_eq!(names(&checkpoint), ["a", "b"]);
    assert_eq!(checkpoint.remarks, ["Not measured: 1 file of weights beside the model's (other.safetensors)."]);
    let folder = Folder::new().with("a.safetensors", shard(&["b"])).with("b.safetensors", shard(&["b"]));
    assert_eq!(
        folder.message(""),
        "tensor \"b\" is in a.safetensors and in b.safetensors; where these are two models or two precisions, name the \
         file to measure instead of its folder"
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
    let folder =
        Folder::new().with("model.safetensors", shard(&["a"])).with(INDEX, index(json!({"a": "gone.safetensors"})));
    assert!(
        folder.message("").ends_with(
            "finish the download, or name a file that the index does not, to measure it alone (model.safetensors)"
        ),
        "{}",
        folder.message("")
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
            .ends_with("M: 2 models are here: a.Q4.gguf, a.Q8.GGUF; name the one to measure")
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
