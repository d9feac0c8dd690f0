//! Which rows runs give, what models are called, and what becomes of runs that do not fit together.

use std::fs;

use super::*;
use crate::evidence::{FactValue, UserFacts};
use crate::{files, fixture};

fn facts() -> Facts {
    Facts::new(None)
}

#[test]
fn rows_are_matrices_and_parts_stand_for_fused_tensors() {
    let gathered = gather(&[fixture::full()], &facts());
    let names: Vec<&str> = gathered.evidence.tensors.iter().map(|row| row.tensor.as_str()).collect();
    for name in ["layers.0.self_attn.qkv.weight[k]", "layers.1.self_attn.qkv.weight[q]", "embed_tokens.weight"] {
        assert!(names.iter().any(|row| row.ends_with(name)), "{name}");
    }
    for name in ["qkv.weight", "mask", "lm_head.weight", "final_layer_norm.weight", "fc1.bias", "unused.weight"] {
        assert!(!names.iter().any(|row| row.ends_with(name)), "{name}");
    }
    let outlier = gathered.evidence.tensors.iter().find(|row| row.kurtosis == Some(562.3)).expect("the outlier");
    assert_eq!((outlier.layer, outlier.depth, outlier.shape.as_slice()), (Some(1), Some(1.0), [768, 768].as_slice()));
    assert_eq!((outlier.elements, outlier.kurtosis_without_16), (Some(768 * 768), Some(2.99)));
    assert_eq!(gathered.evidence.models[0].parameters, Some(125_239_296));
    let remarks = gathered.remarks.join("\n");
    assert!(remarks.contains("opt-125m is synthetic") && remarks.contains("failed its self-test"), "{remarks}");
}

#[test]
fn a_small_model_with_a_famous_name_gets_no_facts_of_the_famous_one() {
    let gathered = gather(&[fixture::full()], &facts());
    // Two layers, so it is not the published model, whatever it is called.
    assert!(gathered.evidence.models[0].facts.keys().all(|name| !name.starts_with("training.")));
}

#[test]
fn depth_runs_from_the_first_layer_to_the_last() {
    assert_eq!([depth(Some(0), Some(12)), depth(Some(11), Some(12))], [Some(0.0), Some(1.0)]);
    assert_eq!(depth(Some(1), Some(12)), Some(1.0 / 11.0));
    assert_eq!([depth(Some(0), Some(1)), depth(None, Some(12)), depth(Some(3), None)], [None; 3]);
}

#[test]
fn layers_of_another_tower_are_counted_apart() {
    let gathered = gather(&[fixture::two_towers()], &facts());
    assert_eq!(gathered.evidence.models[0].layers, Some(2));
    let placed = |row: &TensorEvidence| (row.layer, row.main_layer(), row.depth);
    let rows: Vec<_> = gathered.evidence.tensors.iter().map(placed).collect();
    assert_eq!(rows[..2], [(Some(0), Some(0), Some(0.0)), (Some(1), Some(1), Some(1.0))]);
    assert_eq!(rows[2..], [(Some(0), None, None), (Some(1), None, None), (Some(2), None, None)]);
}

#[test]
fn of_encoder_and_decoder_the_larger_gives_the_layers() {
    let mut run = fixture::two_towers();
    for tensor in &mut run.tensors {
        tensor.tower = Some(if tensor.tower.is_some() { "encoder" } else { "decoder" }.into());
    }
    let layers = |run: &Run| gather(std::slice::from_ref(run), &facts()).evidence.models[0].layers;
    assert_eq!(layers(&run), Some(3));
    run.model.config = Some(serde_json::json!({"encoder_layers": 12, "decoder_layers": 6, "num_hidden_layers": 12}));
    assert_eq!(layers(&run), Some(12));
    run.tensors[0].count *= 9;
    assert_eq!(layers(&run), Some(6));
}

#[test]
fn layers_are_stated_for_the_text_model_of_several_modalities() {
    let mut run = fixture::two_towers();
    run.model.config = Some(serde_json::json!({"text_config": {"num_hidden_layers": 26}}));
    assert_eq!(gather(&[run], &facts()).evidence.models[0].layers, Some(26));
}

#[test]
fn an_adapter_adds_no_rows() {
    let gathered = gather(&[fixture::adapter()], &facts());
    assert!(gathered.evidence.tensors.is_empty());
    assert!(gathered.remarks.iter().any(|remark| remark.contains("is an adapter")), "{:?}", gathered.remarks);
}

#[test]
fn the_same_data_counts_once() {
    let mut again = fixture::clean();
    again.device.url = "pty:".into();
    let gathered = gather(&[fixture::clean(), again], &facts());
    assert_eq!((gathered.evidence.models.len(), gathered.evidence.tensors.len()), (1, 2));
    assert_eq!(
        gathered.remarks,
        [
            "tiny-gpt2 (2) holds the same data as tiny-gpt2, so both are one model, which counts once: the run that was named first was used."
        ]
    );
}

#[test]
fn the_same_weights_in_another_type_count_once_and_other_weights_twice() {
    let mut run = fixture::clean();
    for (place, tensor) in run.tensors.iter_mut().enumerate() {
        tensor.top[0].index = vec![17 + place as u64, 400];
    }
    let mut other = run.clone();
    (other.model.source, other.model.fingerprint) = ("elsewhere/gpt2.gguf".into(), "0".repeat(32));
    other.tensors[0].kurtosis = Some(3.39);
    let gathered = gather(&[run.clone(), other.clone()], &facts());
    assert_eq!(gathered.evidence.models.len(), 1);
    assert!(gathered.remarks[0].starts_with("gpt2 has its farthest weights where they are in tiny-gpt2"));
    for tensor in &mut other.tensors {
        tensor.top[0].index = vec![500, 3];
    }
    assert_eq!(gather(&[run, other], &facts()).evidence.models.len(), 2);
}

#[test]
fn a_run_without_a_family_stays_and_is_remarked() {
    let mut run = fixture::clean();
    run.model.family = Family::Unknown;
    run.model.config = None;
    let gathered = gather(&[run], &facts());
    assert_eq!((gathered.evidence.models.len(), gathered.evidence.tensors.len()), (1, 2));
    assert!(gathered.evidence.models[0].facts.is_empty());
    assert!(gathered.remarks[0].contains("of no family"), "{:?}", gathered.remarks);
}

#[test]
fn facts_come_from_the_user_then_config_then_the_table() {
    let mut run = fixture::clean();
    run.model.source = "hf:openai-community/gpt2@main".into();
    run.model.config = Some(serde_json::json!({ "attn_pdrop": 0.25, "n_layer": 12, "n_embd": 768, "n_head": 12 }));
    let user =
        UserFacts::parse(Path::new("f.toml"), "[models.gpt2]\nconfig.heads = 3\n[models.bert]\n").expect("valid");
    let gathered = gather(&[run], &Facts::new(Some(user)));
    let model = &gathered.evidence.models[0];
    assert_eq!(model.name, "gpt2");
    assert_eq!(model.facts["config.heads"].value, FactValue::Number(3.0));
    assert_eq!(model.facts["config.attention_dropout"].value, FactValue::Number(0.25));
    assert_eq!(model.facts["model.positions"].value, FactValue::Text("learned".into()));
    assert!(gathered.remarks[0].starts_with("The facts about bert were not used"), "{:?}", gathered.remarks);
}

#[test]
fn models_are_distinguished_by_as_little_as_it_takes() {
    for (sources, expected) in [
        (vec!["hf:facebook/opt-125m@main", "models/gpt2/"], vec!["opt-125m", "gpt2"]),
        (vec!["a/opt/safetensors", "a/gpt2/model.safetensors"], vec!["opt/safetensors", "gpt2/model"]),
        (vec!["x/opt", "y/opt", "opt"], vec!["x/opt", "y/opt", "opt"]),
        (vec!["x/opt", "x/opt", "./x/opt"], vec!["opt", "opt (2)", "opt (3)"]),
        (vec!["", "/"], vec!["model", "model (2)"]),
        (vec!["C:\\models\\a.gguf", ".bin"], vec!["a", ".bin"]),
    ] {
        assert_eq!(names(&sources), expected, "{sources:?}");
    }
}

#[test]
fn folders_are_searched_and_what_cannot_be_read_says_what_to_do() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let root = folder.path();
    for (name, source) in [("b", "models/b"), ("a", "models/a")] {
        let mut run = fixture::clean();
        run.model.source = source.into();
        let text = run_file::to_json(&run).expect("numbers and strings");
        files::write_all(&root.join(name), &[(RUN_FILE, text)]).expect("writable");
    }
    let sources = |paths: &[PathBuf]| {
        let runs = read(paths).expect("runs");
        runs.into_iter().map(|run| run.model.source).collect::<Vec<_>>()
    };
    assert_eq!(sources(&[root.to_owned()]), ["models/a", "models/b"]);
    assert_eq!(sources(&[root.join("b"), root.join("a/run.json")]), ["models/b", "models/a"]);

    fs::create_dir(root.join("empty")).expect("writable");
    fs::write(root.join("other.json"), "{\"schema\": 2}").expect("writable");
    fs::write(root.join("broken.json"), "{\"schema\": 1, \"tool\"").expect("writable");
    for (name, says) in [
        ("empty", "neither run.json nor a folder with one in it"),
        ("other.json", "has schema 2; this version of kurtoscope reads schema 1"),
        ("broken.json", "line 1, column 20: not a run of kurtoscope"),
        ("missing", "cannot read"),
    ] {
        let error = read(&[root.join("a"), root.join(name)]).expect_err(name).to_string();
        assert!(error.contains(says) && error.contains(name), "{name}: {error}");
    }
}
