//! What models of several towers, mixtures of experts, adapters and wrapped models are recorded as, from file to record.

use std::path::Path;

use kurtoscope_checkpoint::Checkpoint;
use kurtoscope_host::{
    analysis::{self, Device},
    link::DeviceUrl,
    record::{Role, Run, Tensor},
    report::findings,
};
use kurtoscope_tests::{
    checkpoints::{Safetensors, noise},
    tested,
};

/// Measures a folder with tensors of these names and shapes; of the data, equal `seed` means equal values.
fn measured(folder: &Path, file: &str, tensors: &[(String, Vec<usize>, u64)]) -> Run {
    let content = tensors.iter().fold(Safetensors::new(), |content, (name, shape, seed)| {
        content.f32(name, shape, &noise(shape.iter().product(), *seed))
    });
    content.write(&folder.join(file)).expect("a temporary file");
    let checkpoint = Checkpoint::open(folder).unwrap_or_else(|error| panic!("{error}"));
    let mut devices = [Device::open(&DeviceUrl::Local, Default::default()).expect("this machine")];
    analysis::analyze(&checkpoint, &mut devices, &mut analysis::Quiet).unwrap_or_else(|error| panic!("{error}"))
}

fn tensor<'r>(run: &'r Run, name: &str) -> &'r Tensor {
    run.tensors.iter().find(|tensor| tensor.name == name).unwrap_or_else(|| panic!("{name} is not in the record"))
}

/// Tensors of data of their own.
fn distinct(names: impl IntoIterator<Item = (String, Vec<usize>)>) -> Vec<(String, Vec<usize>, u64)> {
    names.into_iter().zip(1..).map(|((name, shape), seed)| (name, shape, seed)).collect()
}

#[test]
fn an_embedding_that_encoder_decoder_and_head_share_counts_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut tensors: Vec<(String, Vec<usize>, u64)> =
        ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"]
            .map(|name| (name.to_owned(), vec![64, 32], 1))
            .into();
    for (side, seed) in [("encoder", 2), ("decoder", 3)] {
        tensors.push((format!("{side}.block.0.layer.0.SelfAttention.q.weight"), vec![32, 32], seed));
    }
    let run = measured(folder.path(), "model.safetensors", &tensors);
    assert_eq!(run.model.parameters, 64 * 32 + 2 * 32 * 32);
    assert_eq!(run.tensors.iter().filter(|tensor| tensor.role == Role::Tied).count(), 3);
    for side in ["encoder", "decoder"] {
        let query = tensor(&run, &format!("{side}.block.0.layer.0.SelfAttention.q.weight"));
        assert_eq!((query.layer, query.tower.as_deref()), (Some(0), Some(side)));
    }
}

#[test]
fn a_head_at_the_top_is_tied_to_the_decoders_embedding() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tensors = [
        ("model.encoder.layers.0.fc1.weight".to_owned(), vec![64, 32], 1),
        ("model.decoder.layers.0.fc1.weight".to_owned(), vec![64, 32], 2),
        ("model.decoder.embed_tokens.weight".to_owned(), vec![96, 32], 3),
        ("proj_out.weight".to_owned(), vec![96, 32], 3),
    ];
    let run = measured(folder.path(), "model.safetensors", &tensors);
    let head = tensor(&run, "proj_out.weight");
    assert_eq!((head.role, head.component.name()), (Role::Tied, "head"));
    assert_eq!(head.of.as_deref(), Some("model.decoder.embed_tokens.weight"));
    assert_eq!(run.model.parameters, 2 * 64 * 32 + 96 * 32);
}

#[test]
fn an_adapter_without_its_model_is_called_one_and_has_no_plan() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = r#"{"peft_type": "LORA", "base_model_name_or_path": "some/model"}"#;
    std::fs::write(folder.path().join("adapter_config.json"), config).expect("a temporary file");
    let name = |part: &str| format!("base_model.model.model.layers.1.self_attn.q_proj.{part}.weight");
    let tensors = distinct([(name("lora_A"), vec![8, 64]), (name("lora_B"), vec![64, 8])]);
    let run = measured(folder.path(), "adapter_model.safetensors", &tensors);
    assert!(run.tensors.iter().all(|tensor| tensor.component.name() == "adapter" && tensor.layer == Some(1)));
    let said = findings::adapter(&run, &str::to_owned).expect("an adapter");
    assert!(said.starts_with("This is an adapter: it changes the weights of some/model"), "{said}");
    tested!().args(["plan"]).args([folder.path()]).run().assert_failed(&["is an adapter", "some/model"]);
}

#[test]
fn a_wrapped_model_is_of_its_family() {
    let parts = [("self_attn.q_proj", [64, 64]), ("self_attn.o_proj", [64, 64]), ("mlp.gate_proj", [96, 64])];
    for (prefix, inside, behind) in [
        ("", "", ""),
        ("module.", "", ""),
        ("_orig_mod.", "", ""),
        ("base_model.model.", "", ".base_layer"),
        ("_fsdp_wrapped_module.", "_fsdp_wrapped_module.", ""),
    ] {
        let name = |layer: usize, part: &str| format!("{prefix}model.layers.{layer}.{inside}{part}{behind}.weight");
        let names = (0..2).flat_map(|layer| parts.map(|(part, shape)| (name(layer, part), shape.to_vec())));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = measured(folder.path(), "model.safetensors", &distinct(names));
        assert_eq!(run.model.family.name(), "llama", "{prefix}");
        let gate = tensor(&run, &name(1, "mlp.gate_proj"));
        assert_eq!((gate.component.name(), gate.layer, gate.tower.as_deref()), ("mlp_gate", Some(1), None), "{prefix}");
    }
}

#[test]
fn a_vision_tower_does_not_count_as_layers_of_the_text_model() {
    let text = (0..2).map(|layer| format!("model.language_model.layers.{layer}.self_attn.q_proj.weight"));
    let vision = (0..4).map(|layer| format!("model.vision_tower.encoder.layers.{layer}.self_attn.q_proj.weight"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tensors = distinct(text.chain(vision).map(|name| (name, vec![32, 32])));
    let run = measured(folder.path(), "model.safetensors", &tensors);
    let layers = |tower: Option<&str>| {
        let of_tower = run.tensors.iter().filter(|tensor| tensor.tower.as_deref() == tower);
        of_tower.filter_map(|tensor| tensor.layer).collect::<Vec<_>>()
    };
    assert_eq!((layers(None), layers(Some("vision"))), (vec![0, 1], vec![0, 1, 2, 3]));
    let text = serde_json::to_value(&run).expect("a record");
    let towers: Vec<&serde_json::Value> =
        text["tensors"].as_array().expect("tensors").iter().map(|tensor| &tensor["tower"]).collect();
    assert_eq!(towers.iter().filter(|tower| tower.is_null()).count(), 2);
}
