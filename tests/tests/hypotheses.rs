//! `kurtoscope hypotheses`, and the report that `analyze` of several models ends with: what is written, what is said of
//! runs that do not fit together, and what bad files lead to.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use kurtoscope_tests::{
    checkpoints::{Safetensors, noise},
    command::{Outcome, names},
    tested,
};
use serde_json::Value;
use tempfile::TempDir;

/// Three GPT-2-shaped models of one layer, the last with an outlier.
fn models() -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |(number, name): (u64, &str)| {
        let path = folder.path().join(name);
        fs::create_dir(&path).expect("writable");
        let mut output = noise(64 * 64, number + 10);
        if name == "c" {
            output[77] = 60.0;
        }
        Safetensors::new()
            .f32("h.0.attn.c_attn.weight", &[64, 192], &noise(64 * 192, number + 20))
            .f32("h.0.attn.c_proj.weight", &[64, 64], &output)
            .f32("h.0.mlp.c_fc.weight", &[64, 256], &noise(64 * 256, number + 30))
            .f32("h.0.mlp.c_proj.weight", &[256, 64], &noise(256 * 64, number + 40))
            .write(&path.join("model.safetensors"))
            .expect("writable");
        let config = r#"{"model_type": "gpt2", "n_head": 4, "n_layer": 1, "n_embd": 64, "attn_pdrop": 0.1}"#;
        fs::write(path.join("config.json"), config).expect("writable");
        path
    };
    let paths = (0..).zip(["a", "b", "c"]).map(write).collect();
    (folder, paths)
}

fn measured() -> (TempDir, PathBuf) {
    let (folder, models) = models();
    let out = folder.path().join("out");
    let outcome = tested!().args(["analyze", "--quiet"]).args(&models).args(["--out".as_ref(), out.as_os_str()]).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert!(outcome.stdout.contains("What it means for quantization"), "{}", outcome.stdout);
    (folder, out)
}

fn hypotheses(arguments: &[&OsStr]) -> Outcome {
    tested!().args(["hypotheses"]).args(arguments).run()
}

fn record(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path.join("hypotheses.json")).expect("a record")).expect("JSON")
}

#[test]
fn analyzing_several_models_ends_with_the_report_that_their_runs_give() {
    let (_folder, out) = measured();
    for file in ["report.md", "report.html", "exp-022.svg", "a/run.json", "c/report.md"] {
        assert!(out.join(file).is_file(), "{file}");
    }
    let first = record(&out);
    let again = out.join("again");
    let outcome = hypotheses(&[out.as_ref(), "--out".as_ref(), again.as_ref()]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(record(&again), first);
    assert_eq!(first["schema"], 1);
    let outlier = &first["experiments"][0]["rows"][0];
    assert_eq!([&outlier[0], &outlier[1], &outlier[2]], ["c", "h.0.attn.c_proj.weight", "attention_output"]);
    // Six matrices a model: q, k and v represent the fused weight.
    assert_eq!(first["evidence"]["tensors"].as_array().map(Vec::len), Some(18));
    assert_eq!(first["evidence"]["models"][0]["facts"]["config.attention_dropout"]["value"], 0.1);
}

#[test]
fn files_are_written_when_nobody_reads_what_is_printed() {
    let (folder, models) = models();
    for format in ["json", "table"] {
        let (out, again) = (folder.path().join(format), folder.path().join(format).join("again"));
        let analyze = tested!().args(["analyze", "--quiet", "--format", format, "--out"]).args([&out]).args(&models);
        let outcome = analyze.run_unread();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{format}");
        let of_each = ["report.md", "run.json", "tensors.csv"];
        assert_eq!(names(&out.join("a")), of_each, "{format}");
        let outcome = tested!().args(["hypotheses", "--format", format, "--out"]).args([&again, &out]).run_unread();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{format}");
        for folder in [out, again] {
            for file in ["hypotheses.json", "report.md", "report.html", "exp-022.svg"] {
                assert!(folder.join(file).is_file(), "{format}: {file}");
            }
        }
    }
}

#[test]
fn one_model_ends_with_its_own_report() {
    let (folder, models) = models();
    let out = folder.path().join("one");
    let outcome = tested!().args(["analyze", "--quiet", "--out"]).args([&out, &models[0]]).run();
    assert_eq!(outcome.code, Some(0));
    assert!(!out.join("hypotheses.json").exists() && out.join("run.json").is_file());
    let report = fs::read_to_string(out.join("report.md")).expect("a report");
    for outcome in [
        hypotheses(&[out.as_ref(), "--out".as_ref(), out.as_ref()]),
        tested!().args(["analyze", "--quiet", "--out"]).args([&out, &models[0], &models[1]]).run(),
    ] {
        assert_eq!(outcome.code, Some(1));
        outcome.assert_said(&["its report.md would be replaced", "choose another folder"]);
    }
    assert_eq!(fs::read_to_string(out.join("report.md")).expect("untouched"), report);
}

#[test]
fn a_run_that_is_named_twice_counts_once_and_the_report_says_so() {
    let (_folder, out) = measured();
    let outcome =
        tested!().args(["hypotheses", "--format", "json"]).args([out.join("a"), out.join("a/run.json")]).run();
    assert_eq!(outcome.code, Some(0));
    let record: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(record["evidence"]["models"].as_array().map(Vec::len), Some(1));
    assert!(
        record["remarks"][0].as_str().is_some_and(|remark| remark.contains("counts once")),
        "{}",
        record["remarks"]
    );
}

#[test]
fn facts_of_ones_own_are_used_and_misspelt_ones_refused() {
    let (folder, out) = measured();
    let facts = folder.path().join("facts.toml");
    let run = |text: &str| {
        fs::write(&facts, text).expect("writable");
        hypotheses(&[out.as_ref(), "--facts".as_ref(), facts.as_ref(), "--format=json".as_ref()])
    };
    let outcome = run("[models.b]\ntraining.precision = \"bf16\"\n");
    let record: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    let fact = &record["evidence"]["models"][1]["facts"]["training.precision"];
    assert_eq!((&fact["value"], &fact["provenance"]["from"]), (&"bf16".into(), &"user".into()));
    for (text, says) in [
        ("[models.b]\ntraining.precison = \"bf16\"\n", "did you mean \"training.precision\"?"),
        ("[modles.b]\n", "unknown field `modles`"),
    ] {
        let outcome = run(text);
        assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
        outcome.assert_said(&["facts.toml", says]);
    }
}

#[test]
fn runs_that_cannot_be_used_say_what_to_do() {
    let (_folder, out) = measured();
    let other = out.join("a/run.json");
    let text = fs::read_to_string(&other).expect("a run").replacen("\"schema\": 1", "\"schema\": 9", 1);
    fs::write(&other, text).expect("writable");
    let outcome = hypotheses(&[out.as_ref()]);
    assert_eq!(outcome.code, Some(1));
    outcome.assert_said(&["run.json has schema 9", "measure the model again with this version"]);
    fs::write(&other, "{\"schema\": 1, ").expect("writable");
    let outcome = hypotheses(&[out.as_ref()]);
    outcome.assert_said(&["run.json, line 1", "measure the model again"]);
    let outcome = hypotheses(&[out.join("b").as_ref(), "--recorded".as_ref()]);
    assert_eq!(outcome.code, Some(2), "runs and the recorded figures are not mixed");
}

#[test]
fn the_recorded_investigation_is_shown_beside_ours() {
    let outcome = tested!().args(["hypotheses", "--recorded", "--format", "markdown"]).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    for says in
        ["INCONCLUSIVE, then REJECTED", "271", "562", "Reproduced from the recorded rows", "Why the verdicts differ"]
    {
        assert!(outcome.stdout.contains(says), "{says}");
    }
    assert!(!outcome.stdout.contains("NOT reproduced"));
    assert!(!outcome.stdout.contains(".svg"), "without --out there are no plots to show");
}
