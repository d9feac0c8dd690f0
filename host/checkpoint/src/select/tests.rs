//! Which names are the model, for folders and repositories alike.

use super::*;

fn weights(names: &[&str]) -> Vec<String> {
    match select(names).expect("weights").weights {
        Weights::File(file) | Weights::Index(file) => vec![file],
        Weights::Files(files) => files,
    }
}

#[test]
fn the_preferred_format_is_selected() {
    let all = ["a.gguf", "config.json", "Model.safetensors", "pytorch_model.bin"];
    assert_eq!(weights(&all), ["Model.safetensors"]);
    assert_eq!(weights(&["a.gguf", "pytorch_model.bin"]), ["pytorch_model.bin"]);
    assert_eq!(weights(&["a.gguf", "last.ckpt", "optimizer.pt"]), ["last.ckpt"]);
    assert_eq!(weights(&["a.onnx", "b.onnx", "a.gguf"]), ["a.gguf"]);
    assert_eq!(weights(&["w.npy", "README.md"]), ["w.npy"]);
    assert_eq!(weights(&["flax_model.msgpack", "pytorch_model.bin"]), ["pytorch_model.bin"]);
    assert_eq!(weights(&["config.json", "flax_model.msgpack"]), ["flax_model.msgpack"]);
    let sharded = ["consolidated.safetensors", "model-1-of-1.safetensors", "model.safetensors.index.json"];
    assert_eq!(weights(&sharded), ["model.safetensors.index.json"]);
    assert_eq!(weights(&["pytorch_model.bin.index.json", "vae/model.safetensors"]), ["pytorch_model.bin.index.json"]);
    assert_eq!(weights(&["b.safetensors", "a.safetensors", "._a.safetensors"]), ["a.safetensors", "b.safetensors"]);
}

#[test]
fn external_data_of_onnx_models_comes_along() {
    let selection = select(&["onnx/model.onnx", "onnx/model.onnx_data", "onnx/other.bin"]).expect("weights");
    assert_eq!(selection.weights, Weights::File("onnx/model.onnx".into()));
    assert_eq!(selection.external, ["onnx/model.onnx_data"]);
}

#[test]
fn the_index_goes_before_an_unsplit_model_and_the_rest_is_left_out() {
    let selected = |names: &[&str]| {
        let selection = select(names).expect("weights");
        (selection.path().to_owned(), selection.left_out.join(" "))
    };
    const INDEX: &str = "model.safetensors.index.json";
    let (path, left_out) = selected(&["model-1-of-1.safetensors", "model.safetensors", INDEX, "optimizer.safetensors"]);
    // The index is not read here, so its own shards are among the files.
    assert_eq!((path.as_str(), left_out.as_str()), (INDEX, "model-1-of-1.safetensors model.safetensors"));
    assert_eq!(selected(&["consolidated.safetensors.index.json", INDEX]).0, INDEX);
    let several = select(&["a.safetensors.index.json", "b.safetensors.index.json"]).expect_err("several");
    assert!(several.to_string().contains("a.safetensors.index.json, b.safetensors.index.json"), "{several}");
    let (path, left_out) = selected(&["model.fp16.safetensors", "model.safetensors"]);
    assert_eq!((path.as_str(), left_out.as_str()), ("model.safetensors", "model.fp16.safetensors"));
    let selection = select_file("q/model.safetensors.index.json", &["q/a.safetensors", "b.safetensors"]);
    assert_eq!(selection.expect("weights").left_out, ["q/a.safetensors"]);
}

#[test]
fn copies_and_files_beside_a_series_are_left_out() {
    let unet = ["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.safetensors"];
    assert_eq!(weights(&unet), [unet[1]]);
    let series = ["model-1-of-2.safetensors", "model-2-of-2.safetensors"];
    for more in [
        &["consolidated.safetensors"][..],
        &["consolidated-1-of-1.safetensors"],
        &["model.fp16-1-of-2.safetensors", "model.fp16-2-of-2.safetensors"],
    ] {
        let selection = select(&[&series[..], more].concat()).expect("weights");
        assert_eq!(selection.weights, Weights::Files(series.map(String::from).into()));
        assert_eq!(selection.left_out, more);
    }
    let parts = ["consolidated.00.pth", "consolidated.01.pth"];
    assert_eq!(weights(&parts), parts);
    assert_eq!(weights(&["a.safetensors", "b.safetensors"]), ["a.safetensors", "b.safetensors"]);
}

#[test]
fn weights_in_sub_folders_are_named_and_not_selected() {
    let pipeline = [
        "model_index.json",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/model.onnx",
        "vae/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ];
    let expected = SelectError::SubFolders {
        folders: vec!["unet".to_owned(), "vae".to_owned()],
        is_pipeline: true,
        example: pipeline[1].to_owned(),
    };
    assert_eq!(select(&pipeline), Err(expected));
    assert!(matches!(select(&pipeline[1..]), Err(SelectError::SubFolders { is_pipeline: false, .. })));
    assert_eq!(weights(&[&pipeline[..], &["a.gguf"]].concat()), ["a.gguf"]);
}

#[test]
fn the_other_models_of_a_pipeline_are_left_out_by_name() {
    for list in ["model_index.json", "modules.json"] {
        let names =
            [list, "flux1-dev.safetensors", "transformer/model.safetensors", "vae/model.safetensors", "vae/x.txt"];
        let selection = select(&names).expect("weights");
        assert_eq!(selection.left_out, ["transformer/model.safetensors", "vae/model.safetensors"]);
        // Without a list they may be anything: exports, earlier states of training.
        assert_eq!(select(&names[1..]).expect("weights").left_out, [""; 0]);
    }
}

#[test]
fn the_parts_of_a_split_file_are_one_model() {
    let parts = ["q4/m-00001-of-00002.gguf", "q4/m-00002-of-00002.gguf"];
    assert_eq!(weights(&parts), parts);
    let mixed = [parts[0], parts[1], "q8/m-00001-of-00001.gguf", "q4/m-00001-of-00003.gguf"];
    let several = select(&mixed).expect_err("several").to_string();
    assert!(several.starts_with("3 .gguf files") && !several.contains("00002-of-00002"), "{several}");
    for part in parts {
        let selection = select_file(part, &mixed).expect("weights");
        assert_eq!(selection.weights, Weights::Files(parts.map(String::from).into()));
        assert_eq!(selection.path(), parts[0]);
    }
    let one = select_file(parts[1], &[parts[1]]).expect_err("incomplete");
    let missing = parts[0].to_owned();
    assert_eq!(one, SelectError::Incomplete { found: 1, total: 2, missing, readable_alone: false });
}

#[test]
fn the_configuration_is_the_one_beside_the_weights() {
    let selection = select(&["config.json", "model.safetensors"]).expect("weights");
    assert_eq!((selection.config.as_deref(), selection.path()), (Some("config.json"), "model.safetensors"));
    let selection = select_file("q/b.gguf", &["config.json", "q/config.json", "q/b.gguf"]).expect("weights");
    assert_eq!(selection.config.as_deref(), Some("q/config.json"));
    let shards = select(&["a.safetensors", "b.safetensors"]).expect("weights");
    assert_eq!((shards.config.as_deref(), shards.path()), (None, ""));
}

#[test]
fn names_without_weights() {
    let other = Some(("tf_model.h5".to_owned(), "Keras"));
    assert_eq!(select(&["README.md", "tf_model.h5"]), Err(SelectError::NoWeights { other }));
    assert_eq!(select(&["optimizer.pt", ".hidden/a.gguf"]), Err(SelectError::NoWeights { other: None }));
}

#[test]
fn incomplete_series() {
    let missing = |names: &[&str]| match check_complete(names) {
        Err(SelectError::Incomplete { missing, .. }) => Some(missing),
        _ => None,
    };
    assert_eq!(missing(&["a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors"]), None);
    assert_eq!(missing(&["a-00000-of-00002.safetensors", "a-00001-of-00002.safetensors"]), None);
    assert_eq!(missing(&["a.safetensors", "b.safetensors"]), None);
    assert_eq!(
        missing(&["a-1-of-2.bin", "a-1-of-2.safetensors", "a-2-of-2.bin"]).as_deref(),
        Some("a-00002-of-00002.safetensors")
    );
    assert_eq!(missing(&["a-1-of-3.safetensors"]).as_deref(), Some("a-00002-of-00003.safetensors"));
    let huge = format!("a-1-of-{}.safetensors", u64::MAX);
    assert_eq!(missing(&[&huge]).as_deref(), Some("a-00002-of-18446744073709551615.safetensors"));
}
