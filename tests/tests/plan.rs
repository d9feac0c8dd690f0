//! `kurtoscope plan`: verdicts and fragments from finished runs and from models, budgets, and arguments that do not fit.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use kurtoscope_tests::{
    checkpoints::{Safetensors, noise},
    command::{Outcome, names},
    tested,
};
use serde_json::Value;
use tempfile::TempDir;

/// Two LLaMA-like layers of 256 x 256 and 512 x 256, one matrix with a weight that sets the scale for all.
fn model() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let mut file = Safetensors::new();
    for layer in 0..2u32 {
        for (place, module) in
            ["self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj"].into_iter().enumerate()
        {
            let mut values = noise(256 * 256, u64::from(layer) * 4 + place as u64 + 1);
            // The noise has a heavy tail, which is not what is tested here.
            let rms = (values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32).sqrt();
            values.iter_mut().for_each(|value| *value = value.clamp(-2.0 * rms, 2.0 * rms));
            if (layer, module) == (1, "self_attn.o_proj") {
                let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
                values[777] = 60.0 * largest;
            }
            file = file.f32(&format!("model.layers.{layer}.{module}.weight"), &[256, 256], &values);
        }
    }
    file.write(&path).expect("writable");
    (folder, path)
}

/// The folder of a finished run of that model.
fn measured() -> &'static Path {
    static RUN: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, run) = RUN.get_or_init(|| {
        let (folder, model) = model();
        let out = folder.path().join("run");
        tested!().analyze(&model, &["local"]).args(["--out".as_ref(), out.as_os_str()]).measured();
        (folder, out)
    });
    run
}

fn plan(subject: &Path, more: &[&str]) -> Outcome {
    tested!().args(["plan".as_ref(), subject.as_os_str()]).args(["--quiet"]).args(more).run()
}

fn succeeded(outcome: Outcome) -> String {
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{}", outcome.stdout);
    outcome.stdout
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn the_isolated_weight_is_found_and_its_matrix_kept() {
    let text = succeeded(plan(measured(), &["--target", "int8-per-tensor", "--format", "json"]));
    let document = parsed(&text);
    assert_eq!(document["schema"], 1);
    let found = &document["plans"][0];
    assert_eq!(found["target"], "int8-per-tensor");
    let entries = found["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), 8);
    for entry in entries {
        let is_spoilt = entry["name"] == "model.layers.1.self_attn.o_proj.weight";
        assert_eq!(entry["verdict"] != "pass", is_spoilt, "{entry}");
    }
    let planned = found["planned"]["sqnr_db"].as_f64().expect("noise");
    assert!(planned > found["uniform"]["sqnr_db"].as_f64().expect("noise"));
}

#[test]
fn a_model_is_measured_first() {
    let (_folder, model) = model();
    let direct = succeeded(plan(&model, &["--target", "int8-per-tensor", "--format", "json"]));
    let finished = succeeded(plan(measured(), &["--target", "int8-per-tensor", "--format", "json"]));
    assert_eq!(parsed(&direct)["plans"], parsed(&finished)["plans"]);
}

#[test]
fn what_was_not_asked_for_cannot_be_planned_with() {
    let (_folder, model) = model();
    let outcome = plan(&model, &["--target", "int4-g128", "--statistics", "moments"]);
    outcome.assert_failed(&["lacks what int4-g128 rests on: int4_g128", "--statistics all"]);
}

#[test]
fn a_budget_is_kept_and_beats_one_precision_for_all() {
    let document = parsed(&succeeded(plan(measured(), &["--bits", "5", "--format", "json"])));
    let found = &document["budget"];
    let figure = |outcome: &Value, name: &str| outcome[name].as_f64().expect("a figure");
    assert!(figure(&found["outcome"], "bits_per_weight") <= 5.0);
    let (planned, uniform) = (figure(&found["outcome"], "sqnr_db"), figure(&found["uniform"]["outcome"], "sqnr_db"));
    assert!(
        planned > uniform && planned <= found["bound_db"].as_f64().expect("a bound") + 1e-9,
        "{planned}, {uniform}"
    );
    let rule = &found["kurtosis_rule"];
    assert!(figure(&rule["best_at_its_bits"], "sqnr_db") >= figure(&rule["outcome"], "sqnr_db"));
}

#[test]
fn llama_cpp_gets_the_names_of_its_files() {
    let text = succeeded(plan(measured(), &["--target", "q4_k", "--export", "llama.cpp"]));
    assert!(text.contains(r"'^blk\.[0-9]+\.attn_q\.weight$=q4_K'"), "{text}");
}

#[test]
fn all_targets_side_by_side() {
    let text = succeeded(plan(measured(), &[]));
    assert!(text.contains("q4_k") && !text.contains("No plan for"), "{text}");
    assert!(text.contains("int8-per-tensor") && text.contains("All dB"), "{text}");
    let markdown = succeeded(plan(&measured().join("run.json"), &["--format", "markdown"]));
    assert!(markdown.contains("| int8-per-tensor | 7 |"), "{markdown}");
}

#[test]
fn the_folder_has_report_record_and_fragments() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let path = out.path().to_str().expect("UTF-8");
    let arguments = ["--target", "int8-per-tensor", "--export", "onnxruntime", "--export", "json", "--out", path];
    succeeded(plan(measured(), &arguments));
    assert_eq!(names(out.path()), ["plan.json", "plan.md", "plan_onnxruntime.py"]);
    let fragment = fs::read_to_string(out.path().join("plan_onnxruntime.py")).expect("a fragment");
    assert!(fragment.contains("\"model.layers.1.self_attn.o_proj.weight\""), "{fragment}");
    assert!(!fragment.contains("layers.0"), "only what is kept: {fragment}");
}

#[test]
fn one_fragment_alone_goes_to_standard_output() {
    let text = succeeded(plan(measured(), &["--target", "int8-per-tensor", "--export", "onnxruntime"]));
    assert!(text.starts_with("# Made by kurtoscope") && text.contains("def nodes_to_exclude"), "{text}");
}

#[test]
fn arguments_that_do_not_fit_say_what_would() {
    let run = measured();
    let refused = |more: &[&str], words: &[&str]| {
        let outcome = plan(run, more);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{more:?}");
        outcome.assert_said(words);
    };
    refused(&["--target", "int5"], &["no such target", "int8-per-channel", "q4_k", "mxfp4"]);
    refused(&["--export", "tflite"], &["no such tool", "llama.cpp", "executorch", "json"]);
    refused(&["--bits", "many"], &["an average number of bits"]);
    plan(run, &["--target", "int8-per-tensor", "--bits", "99"])
        .assert_failed(&["an average of 99 bits", "from 3.00 to 16 bits"]);
    plan(run, &["--export", "torchao"]).assert_failed(&["--target or --bits"]);
    plan(run, &["--target", "int8-per-tensor", "--export", "llama.cpp"])
        .assert_failed(&["nothing like int8-per-tensor", "it has q8_0, q4_0, q4_k; `--target` takes one of these"]);
    plan(run, &["--target", "q8_0", "--export", "json", "--export", "llama.cpp"]).assert_failed(&["--out DIR"]);
}

/// A run of an older version: no figures but the predicted ones, no shares of rows and columns.
#[test]
fn an_older_run_is_reported_with_what_it_lacks() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = parsed(&fs::read_to_string(measured().join("run.json")).expect("a run"));
    run["tool"]["version"] = "0.0.9".into();
    for tensor in run["tensors"].as_array_mut().expect("tensors") {
        let tensor = tensor.as_object_mut().expect("a tensor");
        tensor.remove("concentration");
        let kept = tensor["quantization"]["int8_per_tensor"].clone();
        tensor["quantization"] = serde_json::json!({ "int8_per_tensor": kept });
    }
    let older = folder.path().join("older.json");
    fs::write(&older, run.to_string()).expect("writable");
    plan(&older, &["--target", "q4_0"]).assert_failed(&[
        "kurtoscope 0.0.9",
        "lacks what q4_0 rests on: q4_0",
        "kurtoscope analyze",
    ]);
    plan(&older, &["--bits", "4.5"]).assert_failed(&["int4_g32, int8_g32"]);
    let text = succeeded(plan(&older, &[]));
    assert!(text.contains("No plan for int8-per-channel"), "{text}");
    let text = succeeded(plan(&older, &["--target", "int8-per-tensor"]));
    assert!(text.contains("undecided: the run lacks"), "{text}");

    for tensor in run["tensors"].as_array_mut().expect("tensors") {
        tensor["quantization"] = serde_json::json!({});
    }
    fs::write(&older, run.to_string()).expect("writable");
    plan(&older, &[]).assert_failed(&["lacks what int8-per-tensor rests on: int8_per_tensor"]);
}

#[test]
fn what_is_no_run_and_no_model_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let broken = folder.path().join("broken.json");
    fs::write(&broken, "{").expect("writable");
    plan(&broken, &[]).assert_failed(&["broken.json", "line 1"]);
    plan(&folder.path().join("missing"), &[]).assert_failed(&["missing"]);
}
