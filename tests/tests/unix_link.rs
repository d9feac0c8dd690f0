//! `unix:PATH` and `kurtoscope-device --unix PATH`: the same figures as on this machine, sockets that are not there or are
//! something else, and devices that go away and come back.
#![cfg(unix)]

use std::{
    fs,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kurtoscope_checkpoint::Checkpoint;
use kurtoscope_host::{
    analysis::{Device, DeviceFailure, DeviceOptions, Progress, RunOptions, Timeouts, analyze_with},
    link::{DeviceUrl, UnixAddress},
    record::Run,
};
use kurtoscope_tests::{checkpoints, command::Tested, faults::SocketProcess, tested};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_kurtoscope-under-test");

/// A folder with a model, and room for sockets.
struct Case {
    folder: TempDir,
}

impl Case {
    /// A model of this many chunks of 16 KiB.
    fn of_chunks(chunks: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        checkpoints::write_noise(&folder.path().join("model.safetensors"), 4, chunks << 10).expect("writable");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn analyze(&self, device: &str) -> Tested {
        let chunks = ["--chunk-bytes", "16384"];
        tested!().analyze(&self.path("model.safetensors"), &[device]).args(chunks).impatient()
    }
}

fn tensors(run: &Run) -> String {
    serde_json::to_string(&run.tensors).expect("numbers and strings")
}

#[test]
fn a_device_behind_a_socket_measures_what_this_machine_measures_for_one_command_after_the_other() {
    let case = Case::of_chunks(64);
    let socket = case.path("socket");
    let _device = SocketProcess::start(Path::new(PROGRAM), &socket).expect("started");
    let (here, _) = case.analyze("local").measured();
    for _ in 0..2 {
        let (run, outcome) = case.analyze(&format!("unix:{}", socket.display())).measured();
        assert_eq!((outcome.stderr.as_str(), run.device.board.as_str()), ("", "behind a socket"));
        assert_eq!(run.device.url, format!("unix:{}", socket.display()));
        assert!(tensors(&run) == tensors(&here), "results differ from this machine's");
    }
}

#[test]
fn what_is_no_device_is_named() {
    let case = Case::of_chunks(64);
    let fails = |path: &Path, words: &[&str]| {
        let url = format!("unix:{}", path.display());
        let outcome = case.analyze(&url).run();
        outcome.assert_failed(words);
        outcome.assert_said(&[&url]);
    };
    fails(&case.path("nothing"), &["there is no such socket", "kurtoscope-device --unix"]);
    fails(&case.path("model.safetensors"), &["the file is no socket", "serial:"]);
    fails(case.folder.path(), &["the file is no socket"]);
    let left = case.path("left");
    drop(UnixListener::bind(&left).expect("a socket"));
    fails(&left, &["no device listens on the socket", "kurtoscope-device --unix"]);
    let silent = case.path("silent");
    let _listener = UnixListener::bind(&silent).expect("a socket");
    fails(&silent, &["no valid answer", "0.5 s"]);
    tested!()
        .analyze(&case.path("model.safetensors"), &["unix:"])
        .run()
        .assert_said(&["lacks the socket", "unix:/run"]);
}

#[test]
fn a_socket_takes_the_place_of_one_that_was_left_and_of_nothing_else() {
    let case = Case::of_chunks(64);
    let start = |path: &Path| SocketProcess::start(Path::new(PROGRAM), path);
    let socket = case.path("socket");
    let mut first = start(&socket).expect("nothing is there");
    let second = tested!().args(["device", "--unix"]).args([&socket]).run();
    second.assert_failed(&[&socket.display().to_string(), "the socket cannot be served"]);
    first.kill().expect("it runs");
    assert!(socket.exists(), "a process that is killed leaves its socket");
    start(&socket).expect("in its place");
    let file = case.path("file");
    fs::write(&file, "mine").expect("writable");
    assert!(start(&file).is_err());
    assert_eq!(fs::read(&file).expect("still there"), b"mine");
}

/// Ends the device when the first chunk has been measured; starts it again when the link has been reported as lost.
struct Interruption {
    device: Arc<Mutex<SocketProcess>>,
    comes_back: bool,
    measured: bool,
    notices: Vec<String>,
}

impl Progress for Interruption {
    fn begin(&mut self, _bytes: u64) {}

    fn measured(&mut self, _bytes: u64, _tensor: &str) {
        if !std::mem::replace(&mut self.measured, true) {
            self.device.lock().unwrap_or_else(PoisonError::into_inner).kill().expect("it runs");
        }
    }

    fn notice(&mut self, text: &str) {
        self.notices.push(text.into());
        if self.comes_back {
            self.device.lock().unwrap_or_else(PoisonError::into_inner).start_again().expect("started");
        }
    }

    fn lost(&mut self, _failure: &DeviceFailure) {}

    fn finish(&mut self) {}
}

#[test]
fn a_device_that_goes_away_is_waited_for_and_the_run_ends_in_the_same_bits() {
    // More than a device takes before it has answered.
    let case = Case::of_chunks(2048);
    let model = Checkpoint::open(&case.path("model.safetensors")).expect("a model");
    let socket = case.path("socket");
    let url = DeviceUrl::Unix(UnixAddress { path: socket.clone() });
    let give_up = Duration::from_secs(2);
    let measure = |comes_back| {
        let device = Arc::new(Mutex::new(SocketProcess::start(Path::new(PROGRAM), &socket).expect("started")));
        let timeouts = Timeouts { give_up: if comes_back { give_up * 20 } else { give_up }, ..Timeouts::default() };
        let options = DeviceOptions { timeouts, ..DeviceOptions::default() };
        let mut devices = [Device::open(&url, options).expect("it listens")];
        let mut progress = Interruption { device, comes_back, measured: false, notices: Vec::new() };
        let mut options = RunOptions { chunk_bytes: Some(16_384), ..RunOptions::default() };
        let outcome = analyze_with(&model, &mut devices, &mut options, &mut progress);
        assert!(progress.notices.iter().any(|text| text.contains("the link was lost")), "{:?}", progress.notices);
        outcome
    };
    let run = measure(true).expect("it came back");
    assert!(run.devices[0].reconnects > 0);
    let (here, _) = case.analyze("local").measured();
    assert!(tensors(&run) == tensors(&here), "results differ from this machine's");
    let error = kurtoscope::causes::with_causes(&measure(false).expect_err("it is gone"));
    assert!(error.contains("did not come back") && error.contains("no device listens on the socket"), "{error}");
}
