//! `kurtoscope analyze hf:…` against a hub on this machine: what it downloads, what it keeps, what it says when it cannot.

mod server;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use server::{COMMIT, Fault, Hub, TOKEN, hash};

/// The command with a home of its own. It reaches no hub but the one that is configured.
struct Session {
    home: tempfile::TempDir,
    endpoint: String,
}

impl Session {
    fn new(hub: &Hub) -> Self {
        Self { home: tempfile::tempdir().expect("a folder"), endpoint: hub.endpoint.clone() }
    }

    fn command(&self, model: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kurtoscope-under-test"));
        // Nothing of the user's: no token, no cache, no proxy.
        command.env_clear().env("HOME", self.home.path()).env("HF_HOME", self.home.path().join("hf"));
        command.env("HF_ENDPOINT", &self.endpoint).args(["analyze", model, "--format", "json"]);
        command
    }

    fn analyze(&self, model: &str) -> Value {
        measured(&self.command(model).output().expect("started"))
    }

    fn fails(&self, model: &str) -> String {
        refused(&self.command(model).output().expect("started"))
    }

    fn repository(&self) -> PathBuf {
        self.home.path().join("hf/hub/models--org--tiny")
    }

    fn blob(&self, bytes: &[u8]) -> PathBuf {
        self.repository().join("blobs").join(hash(bytes))
    }
}

fn measured(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("run.json")
}

fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

/// A safetensors file with one matrix of this name.
fn weights(name: &str) -> Vec<u8> {
    let values: Vec<u8> = (0..16_384_u32).flat_map(|i| ((i * 7919 % 1013) as f32).to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![128, 128], &values).expect("a matrix");
    safetensors::serialize(BTreeMap::from([(name, view)]), None).expect("serialized")
}

fn config() -> Vec<u8> {
    json!({ "model_type": "opt" }).to_string().into_bytes()
}

fn tensors(run: &Value) -> Vec<&str> {
    let tensors = run["tensors"].as_array().expect("tensors");
    tensors.iter().filter_map(|tensor| tensor["name"].as_str()).collect()
}

const MODEL: &str = "hf:org/tiny";

fn tiny(fault: Fault) -> (Vec<u8>, Hub) {
    let weights = weights("a.weight");
    let files = [("config.json", config()), ("README.md", b"# Tiny".to_vec()), ("model.safetensors", weights.clone())];
    let hub = Hub::start(&files, fault);
    (weights, hub)
}

#[test]
fn a_model_is_measured_and_nothing_is_downloaded_twice() {
    let (weights, hub) = tiny(Fault::None);
    let session = Session::new(&hub);
    let report = session.home.path().join("report");
    let run = measured(&session.command(MODEL).arg("--out").arg(&report).output().expect("started"));
    assert!(fs::read_to_string(report.join("report.md")).expect("a report").contains(&format!("Commit: `{COMMIT}`")));
    assert_eq!(run["model"]["source"], MODEL);
    assert_eq!(run["model"]["revision"], COMMIT);
    assert_eq!(run["model"]["config"]["model_type"], "opt");
    assert_eq!(tensors(&run), ["a.weight"]);
    assert!(hub.requests().iter().all(|request| !request.contains("README")), "only what is needed");

    let repository = session.repository();
    assert_eq!(fs::read_to_string(repository.join("refs/main")).expect("a reference"), COMMIT);
    let link = repository.join("snapshots").join(COMMIT).join("model.safetensors");
    let target = fs::read_link(&link).expect("a link");
    assert_eq!(target, Path::new("../../blobs").join(hash(&weights)), "relative, as other tools make it");
    assert_eq!(fs::read(&link).expect("readable"), weights);

    let again = session.analyze(MODEL);
    assert_eq!(again["model"], run["model"]);
    assert_eq!(hub.requests(), ["GET /api/models/org/tiny/revision/main?blobs=true"]);
}

#[test]
fn a_download_that_is_cut_goes_on() {
    for fault in [Fault::CutOnce, Fault::CutOnceWithoutRanges] {
        let (weights, hub) = tiny(fault);
        let session = Session::new(&hub);
        session.analyze(MODEL);
        assert_eq!(fs::read(session.blob(&weights)).expect("a blob"), weights, "{fault:?}");
        let half = weights.len() / 2;
        let storage: Vec<String> = hub.requests().into_iter().filter(|asked| asked.contains("/storage/")).collect();
        let [first, again] = &storage[..] else { panic!("{fault:?}: {storage:?}") };
        assert!(!first.contains("from"), "{fault:?}: {first}");
        assert!(again.ends_with(&format!("from {half}")), "{fault:?}: {again}");
    }
}

#[test]
fn a_server_may_send_less_of_a_range_than_was_asked_for() {
    let (weights, hub) = tiny(Fault::Stingy);
    let session = Session::new(&hub);
    session.analyze(MODEL);
    assert_eq!(fs::read(session.blob(&weights)).expect("a blob"), weights);
    let asked = hub.requests().into_iter().filter(|asked| asked.contains("/storage/")).count();
    assert_eq!(asked, 1 + weights.len().div_ceil(2).div_ceil(server::LEAST));
}

#[test]
fn names_that_lead_out_of_the_repository_are_refused() {
    for name in
        ["model.safetensors/../../../../../outside.safetensors", "/outside.safetensors", "..\\outside.safetensors"]
    {
        let files = [("config.json", config()), (name, weights("a.weight"))];
        let hub = Hub::start(&files, Fault::None);
        let session = Session::new(&hub);
        let said = session.fails(MODEL);
        assert!(said.contains("is no path inside the repository"), "{name}: {said}");
        assert!(hub.requests().iter().all(|asked| !asked.contains("/storage/")), "{name}: something was downloaded");
    }
}

#[test]
fn a_download_that_is_given_up_keeps_what_came() {
    let (weights, hub) = tiny(Fault::Dies);
    let session = Session::new(&hub);
    let (half, whole) = (weights.len() / 2, weights.len());
    let said = session.fails(MODEL);
    assert!(said.contains(&format!("model.safetensors: the download stopped at {half} of {whole} bytes")), "{said}");
    assert!(said.contains("run the command again"), "{said}");
    let partial = session.blob(&weights).with_extension("incomplete");
    assert_eq!(fs::read(partial).expect("the first half"), weights[..half]);
}

#[test]
fn what_an_earlier_run_left_is_used_only_if_it_is_right() {
    for (left, is_right) in [("right", true), ("wrong", false)] {
        let (weights, hub) = tiny(Fault::None);
        let session = Session::new(&hub);
        let blob = session.blob(&weights);
        let partial = blob.with_extension("incomplete");
        let mut half = weights[..1000].to_vec();
        half[500] ^= u8::from(!is_right);
        fs::create_dir_all(session.repository().join("blobs")).expect("a folder");
        fs::write(&partial, &half).expect("written");
        session.analyze(MODEL);
        assert_eq!(fs::read(&blob).expect("a blob"), weights, "{left}");
        assert!(!partial.exists(), "{left}");
        let storage: Vec<String> = hub.requests().into_iter().filter(|asked| asked.contains("/storage/")).collect();
        assert_eq!(storage.len(), if is_right { 1 } else { 2 }, "{left}: {storage:?}");
        assert!(storage[0].ends_with("from 1000"), "{left}: {storage:?}");
    }
}

#[test]
fn offline_uses_the_cache_alone() {
    let (_, hub) = tiny(Fault::None);
    let session = Session::new(&hub);
    let offline = |model: &str| session.command(model).env("HF_HUB_OFFLINE", "1").output().expect("started");
    let missing = refused(&offline(MODEL));
    assert!(missing.contains("not in the cache") && missing.contains("HF_HUB_OFFLINE"), "{missing}");
    session.analyze(MODEL);
    hub.requests();
    assert_eq!(measured(&offline(MODEL))["model"]["revision"], COMMIT);
    assert_eq!(measured(&offline(&format!("{MODEL}@{COMMIT}")))["model"]["revision"], COMMIT);
    refused(&offline(&format!("{MODEL}@v1")));
    assert_eq!(hub.requests(), [""; 0]);
}

#[test]
fn a_hub_that_is_not_there() {
    let (_, hub) = tiny(Fault::None);
    let mut session = Session::new(&hub);
    session.analyze(MODEL);
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
    session.endpoint = format!("http://127.0.0.1:{port}");
    let said = session.fails(MODEL);
    assert!(said.contains(&session.endpoint) && said.contains("HF_ENDPOINT"), "{said}");
    assert!(said.contains("HF_HUB_OFFLINE=1 to use the copy"), "{said}");
    assert!(session.fails("hf:org/other").contains("holds no copy"));
}

#[test]
fn gated_models_need_a_token_which_only_the_hub_sees() {
    let (_, hub) = tiny(Fault::Gated);
    let session = Session::new(&hub);
    let said = session.fails(MODEL);
    assert!(said.contains("accept the licence") && said.contains("HF_TOKEN") && said.contains("401"), "{said}");
    hub.requests();
    measured(&session.command(MODEL).env("HF_TOKEN", TOKEN).output().expect("started"));
    for request in hub.requests() {
        assert_eq!(request.ends_with("with token"), !request.contains("/storage/"), "{request}");
    }
    // The token's file, which `hf auth login` writes.
    let session = Session::new(&hub);
    fs::create_dir_all(session.home.path().join("hf")).expect("a folder");
    fs::write(session.home.path().join("hf/token"), format!("{TOKEN}\n")).expect("written");
    session.analyze(MODEL);
}

#[test]
fn revisions() {
    let (_, hub) = tiny(Fault::None);
    let session = Session::new(&hub);
    for revision in ["v1", COMMIT] {
        let model = format!("{MODEL}@{revision}");
        let run = session.analyze(&model);
        assert_eq!((&run["model"]["source"], &run["model"]["revision"]), (&json!(model), &json!(COMMIT)));
    }
    let said = session.fails("hf:org/tiny@v2");
    assert!(said.contains("no branch, tag or commit \"v2\""), "{said}");
    let said = session.fails("hf:org/absent");
    assert!(said.contains("no such model") && said.contains("HF_TOKEN"), "{said}");
    let output = session.command("hf:org/tiny@").output().expect("started");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn safetensors_go_before_the_same_weights_in_other_formats() {
    let files = [("model.safetensors", weights("a.weight")), ("pytorch_model.bin", vec![0; 100])];
    let hub = Hub::start(&files, Fault::None);
    assert_eq!(Session::new(&hub).analyze(MODEL)["model"]["format"], "safetensors");
    assert!(hub.requests().iter().all(|request| !request.contains("pytorch_model.bin")));
}

#[test]
fn shards_are_those_of_the_index() {
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let index = json!({ "weight_map": { "a.weight": shards[0], "b.weight": shards[1] } }).to_string().into_bytes();
    let files = [
        ("consolidated.safetensors", weights("whole.weight")),
        ("model.safetensors.index.json", index),
        (shards[0], weights("a.weight")),
        (shards[1], weights("b.weight")),
    ];
    let hub = Hub::start(&files, Fault::None);
    let session = Session::new(&hub);
    assert_eq!(tensors(&session.analyze(MODEL)), ["a.weight", "b.weight"]);
    assert!(hub.requests().iter().all(|request| !request.contains("consolidated")));
    let named = session.analyze("hf:org/tiny/consolidated.safetensors");
    assert_eq!(tensors(&named), ["whole.weight"]);

    let hub = Hub::start(&files[..3], Fault::None);
    let said = Session::new(&hub).fails(MODEL);
    assert!(said.contains("which the repository lacks") && said.contains(shards[1]), "{said}");
}

#[test]
fn a_choice_that_only_the_user_can_make() {
    let hub = Hub::start(&[("n-q4.gguf", vec![0; 8]), ("n-q8.gguf", vec![1; 8])], Fault::None);
    let said = Session::new(&hub).fails(MODEL);
    assert!(said.contains("2 .gguf files") && said.contains("hf:org/tiny/n-q4.gguf"), "{said}");
    let hub = Hub::start(&[("README.md", vec![0; 8]), ("tf_model.h5", vec![1; 8])], Fault::None);
    let said = Session::new(&hub).fails(MODEL);
    assert!(said.contains("no weights among its 2 files (README.md, tf_model.h5)"), "{said}");
}

#[test]
fn bytes_that_are_not_right_are_not_kept() {
    let cases = [
        (Fault::Damaged, "its SHA-256 is"),
        (Fault::Longer, "announced with"),
        (Fault::Enormous, "the disk is full: 1152921504606846976 bytes are needed"),
    ];
    for (fault, expected) in cases {
        let (weights, hub) = tiny(fault);
        let session = Session::new(&hub);
        let said = session.fails(MODEL);
        assert!(said.contains(expected), "{fault:?}: {said}");
        let blob = session.blob(&weights);
        assert!(!blob.exists(), "{fault:?}");
        // Nothing of it is left that the next run would go on with.
        let partial = fs::metadata(blob.with_extension("incomplete"));
        assert!(partial.map_or(0, |metadata| metadata.len()) == 0, "{fault:?}");
    }
}

#[test]
fn the_cache_is_where_the_environment_says() {
    let (weights, hub) = tiny(Fault::None);
    let session = Session::new(&hub);
    let other = session.home.path().join("elsewhere");
    measured(&session.command(MODEL).env("HF_HUB_CACHE", &other).output().expect("started"));
    assert!(other.join("models--org--tiny/blobs").join(hash(&weights)).exists());
    assert!(!session.home.path().join("hf").exists() && !session.home.path().join(".cache").exists());
}

#[test]
fn quiet_is_quiet_and_lines_are_lines() {
    let (_, hub) = tiny(Fault::None);
    let output = Session::new(&hub).command(MODEL).arg("--quiet").output().expect("started");
    measured(&output);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let output = Session::new(&hub).command(MODEL).output().expect("started");
    assert!(String::from_utf8_lossy(&output.stderr).contains("downloading 64."), "{output:?}");
}
