//! Runs that are cut off: the next one continues with the journal, ends with the same bits, and says what it did.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use kurtoscope_host::{
    analysis::{AnalysisError, KeptInJournal, journal::JOURNAL_FILE},
    record::Run,
    run_file,
};
use kurtoscope_tests::{
    checkpoints::{self, Safetensors, noise},
    command::{Outcome, Tested, names},
    misbehaving, tested,
};
use tempfile::TempDir;

/// A model, 100 chunks for a device that takes 16 KiB at once unless it is another one, and a folder for reports.
struct Case {
    folder: TempDir,
    /// The most bytes of a chunk that the device takes.
    payload: usize,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        checkpoints::write_noise(&folder.path().join("model.safetensors"), 4, 100 << 10).expect("writable");
        Self { folder, payload: 1 << 14 }
    }

    /// Four tensors of eight rows of 40 000, in two chunks each for a device that takes 1 MiB at once.
    fn of_long_rows() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = (0..4u64).fold(Safetensors::new(), |file, number| {
            file.f32(&format!("layers.{number}.weight"), &[8, 40_000], &noise(8 * 40_000, number + 1))
        });
        file.write(&folder.path().join("model.safetensors")).expect("writable");
        Self { folder, payload: 1 << 20 }
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("model.safetensors")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn journal(&self) -> PathBuf {
        self.out().join(JOURNAL_FILE)
    }

    fn length(&self) -> u64 {
        fs::metadata(self.journal()).map_or(0, |data| data.len())
    }

    /// The command with this fault of the device and these arguments.
    fn command(&self, fault: &str, arguments: &[&str]) -> Tested {
        self.analyze(fault, arguments).args(["--out".as_ref(), self.out().as_os_str()])
    }

    fn analyze(&self, fault: &str, arguments: &[&str]) -> Tested {
        let payload = |command: &mut std::process::Command| {
            command.env("KURTOSCOPE_TEST_PAYLOAD", self.payload.to_string());
        };
        tested!().analyze(&self.model(), &[&misbehaving!(fault)]).args(arguments).with(payload)
    }

    /// Kills a run on a slow device once the journal has grown.
    fn kill_midway(&self) {
        let before = self.length();
        let quiet = |command: &mut std::process::Command| {
            command.stdout(std::process::Stdio::null());
        };
        let mut started = self.command("slow", &["--quiet"]).with(quiet).start();
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.length() < before + 2000 {
            assert!(Instant::now() < deadline, "the journal does not grow");
            thread::sleep(Duration::from_millis(2));
        }
        started.child.kill().expect("it runs");
        started.wait();
        assert!(!self.out().join("run.json").exists());
    }

    fn finish(&self, arguments: &[&str]) -> (Run, Outcome) {
        let outcome = self.command("good", arguments).run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert_eq!(names(&self.out()), ["report.md", "run.json", "tensors.csv"], "the journal is gone");
        (run_file::read(&self.out().join("run.json")).expect("a run"), outcome)
    }

    /// The tensors of a run that nobody cut off.
    fn undisturbed(&self, arguments: &[&str]) -> String {
        tensors(&self.analyze("good", arguments).measured().0)
    }
}

/// Every statistic of every tensor, with floats as the bits that JSON holds exactly.
fn tensors(run: &Run) -> String {
    serde_json::to_string(&run.tensors).expect("numbers and strings")
}

fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).expect("a journal");
    bytes[place] ^= 0x10;
    fs::write(path, bytes).expect("writable");
}

#[test]
fn killed_again_and_again_it_ends_with_the_same_bits() {
    let case = Case::new();
    for _ in 0..3 {
        case.kill_midway();
    }
    let (run, outcome) = case.finish(&["--resume"]);
    assert_eq!(tensors(&run), case.undisturbed(&[]));
    assert!(run.resumed_bytes > 0 && run.resumed_bytes < run.bytes, "{} of {}", run.resumed_bytes, run.bytes);
    assert_eq!(run.devices.iter().map(|share| share.bytes).sum::<u64>(), run.bytes);
    outcome.assert_said(&["continuing", "were measured by an earlier run"]);
}

#[test]
fn cut_or_damaged_anywhere_it_ends_with_the_same_bits() {
    let case = Case::new();
    let undisturbed = case.undisturbed(&[]);
    case.kill_midway();
    let whole = fs::read(case.journal()).expect("a journal");
    for part in 1..8 {
        let place = whole.len() * part / 8;
        fs::create_dir_all(case.out()).expect("writable");
        fs::write(case.journal(), &whole[..place]).expect("writable");
        assert_eq!(tensors(&case.finish(&[]).0), undisturbed, "cut at {place}");
        fs::remove_dir_all(case.out()).expect("writable");
        fs::create_dir_all(case.out()).expect("writable");
        fs::write(case.journal(), &whole).expect("writable");
        flip(&case.journal(), place);
        let (run, outcome) = case.finish(&[]);
        assert_eq!(tensors(&run), undisturbed, "damaged at {place}");
        outcome.assert_said(&["is damaged at byte"]);
        fs::remove_dir_all(case.out()).expect("writable");
    }
}

#[test]
fn a_lost_device_leaves_a_journal_and_says_so() {
    let case = Case::new();
    let outcome = case.command("refuse", &[]).run();
    outcome.assert_failed(&["of 1638400 bytes were measured", "run.journal", "the same command continues"]);
    assert_eq!(names(&case.out()), [JOURNAL_FILE]);
    let (run, _) = case.finish(&[]);
    assert!(run.resumed_bytes > 0);
    assert_eq!(tensors(&run), case.undisturbed(&[]));
    let outcome = tested!().analyze(&case.model(), &[&misbehaving!("refuse")]).run();
    outcome.assert_failed(&["`--out DIR` would have kept"]);
}

#[test]
fn a_journal_of_another_run_is_not_continued() {
    let case = Case::new();
    case.kill_midway();
    let whole = fs::read(case.journal()).expect("a journal");
    // Other settings.
    case.command("good", &["--resume", "--chunk-bytes", "4096"]).run().assert_failed(&[
        "cannot continue",
        "chunks of 16384 bytes",
        "4096 are asked for",
    ]);
    assert_eq!(fs::read(case.journal()).expect("untouched"), whole);
    let (run, outcome) = case.finish(&["--chunk-bytes", "4096"]);
    assert_eq!(run.resumed_bytes, 0);
    outcome.assert_said(&["starting over", "4096 are asked for"]);
    // Another checkpoint.
    fs::write(case.journal(), &whole).expect("writable");
    checkpoints::write_noise(&case.model(), 4, 101 << 10).expect("writable");
    case.command("good", &["--resume"]).run().assert_failed(&["cannot continue", "another checkpoint"]);
    let (run, outcome) = case.finish(&[]);
    assert_eq!(run.resumed_bytes, 0);
    outcome.assert_said(&["starting over", "another checkpoint"]);
    // None.
    case.command("good", &["--resume"]).run().assert_failed(&["there is no journal"]);
}

#[test]
fn a_journal_that_cannot_be_read_is_not_replaced_in_silence() {
    let case = Case::new();
    case.kill_midway();
    let whole = fs::read(case.journal()).expect("a journal");
    // The version of the format, and the description of the run.
    for place in [7, 30] {
        fs::write(case.journal(), &whole).expect("writable");
        flip(&case.journal(), place);
        case.command("good", &["--resume"]).run().assert_failed(&["cannot continue", "another version", "damaged"]);
        let (run, outcome) = case.finish(&[]);
        assert_eq!(run.resumed_bytes, 0, "byte {place}");
        outcome.assert_said(&["starting over", "cannot be read", "another version"]);
        fs::create_dir_all(case.out()).expect("writable");
    }
}

#[test]
fn fresh_starts_over() {
    let case = Case::new();
    case.kill_midway();
    let (run, _) = case.finish(&["--fresh"]);
    assert_eq!((run.resumed_bytes, tensors(&run)), (0, case.undisturbed(&[])));
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let case = Case::new();
    fs::create_dir(case.out()).expect("writable");
    let held = kurtoscope_host::analysis::Journal::open(&case.out(), Default::default()).expect("a journal");
    case.command("good", &[]).run().assert_failed(&["run.journal is in use"]);
    drop(held);
    case.finish(&[]);
}

#[test]
fn a_folder_that_takes_no_journal_is_reported_before_anything_is_measured() {
    let case = Case::new();
    fs::create_dir_all(case.journal()).expect("a folder in its place");
    case.command("good", &[]).run().assert_failed(&["cannot keep a journal in", "run.journal"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_the_journal_and_not_the_run() {
    let case = Case::new();
    fs::create_dir(case.out()).expect("writable");
    std::os::unix::fs::symlink("/dev/full", case.journal()).expect("a link");
    let (run, outcome) = case.finish(&[]);
    assert_eq!(tensors(&run), case.undisturbed(&[]));
    assert_eq!(outcome.stderr.matches("cannot be written").count(), 1, "{}", outcome.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_promised_of_a_journal_that_could_not_be_written() {
    let case = Case::new();
    fs::create_dir(case.out()).expect("writable");
    std::os::unix::fs::symlink("/dev/full", case.journal()).expect("a link");
    let outcome = case.command("refuse", &[]).run();
    outcome.assert_said(&["of 1638400 bytes were measured", "run.journal could not keep them"]);
    assert!(!outcome.stderr.contains("the same command continues"), "{}", outcome.stderr);
    let error =
        AnalysisError::Stopped { measured: 9, total: 10, journal: Some(KeptInJournal { path: "j".into(), bytes: 8 }) };
    assert!(error.to_string().contains("but j, which keeps 8 bytes of them"), "{error}");
}

#[test]
fn chunks_with_many_columns_are_kept_too() {
    let case = Case::of_long_rows();
    // The size of chunks does not depend on how fast the link is now.
    let chunks = ["--chunk-bytes", "1048576"];
    // Three chunks, of six, two and six rows.
    case.command("refuse", &chunks).run().assert_failed(&[
        "2240000 of 5120000 bytes were measured",
        "run.journal, which keeps them",
        "the same command continues",
    ]);
    let (run, _) = case.finish(&["--resume", "--chunk-bytes", "1048576"]);
    assert_eq!((run.resumed_bytes, run.bytes), (2_240_000, 5_120_000));
    assert_eq!(tensors(&run), case.undisturbed(&chunks));
}

/// Interrupts `command` with Ctrl-C once `journal` has grown.
#[cfg(unix)]
fn interrupt(command: Tested, journal: &Path) {
    let quiet = |command: &mut std::process::Command| {
        command.stdout(std::process::Stdio::null());
    };
    let mut started = command.args(["--quiet"]).with(quiet).start();
    while fs::metadata(journal).map_or(0, |data| data.len()) < 2000 {
        assert!(started.is_running());
        thread::sleep(Duration::from_millis(2));
    }
    let process = rustix::process::Pid::from_child(&started.child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).expect("it runs");
    assert_eq!(started.wait().code(), Some(130));
}

#[cfg(unix)]
#[test]
fn of_several_models_those_that_were_finished_are_not_measured_again() {
    let case = Case::new();
    let small = case.folder.path().join("small.safetensors");
    checkpoints::write_noise(&small, 1, 20 << 10).expect("writable");
    let command = |fault, arguments: &[&str]| {
        let [device, out] = [misbehaving!(fault).into(), case.out().into_os_string()];
        let models = [&small, &case.model()].map(|path| path.clone().into_os_string());
        tested!().args(["analyze"]).args(models).args(["--device".into(), device, "--out".into(), out]).args(arguments)
    };
    // The folder of each is named after it.
    let [first, second] = ["small", "model"].map(|name| case.out().join(name));
    let reports = ["report.md", "run.json", "tensors.csv"];
    let cut_off = || {
        interrupt(command("slow", &[]), &second.join(JOURNAL_FILE));
        assert_eq!((names(&first).len(), names(&second)), (reports.len() + 1, vec![JOURNAL_FILE.to_owned()]));
        run_file::read(&first.join("run.json")).expect("a run")
    };
    let finish = |arguments: &[&str]| {
        let outcome = command("good", arguments).run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert_eq!([names(&first), names(&second)], [reports, reports], "the journals are gone");
        let runs = [&first, &second].map(|folder| run_file::read(&folder.join("run.json")).expect("a run"));
        fs::remove_dir_all(case.out()).expect("writable");
        (runs, outcome)
    };
    let before = cut_off();
    assert_eq!(before.resumed_bytes, 0);
    let ([again, continued], outcome) = finish(&["--resume"]);
    assert_eq!(outcome.stderr.matches("were measured by an earlier run").count(), 2, "{}", outcome.stderr);
    assert_eq!((again.resumed_bytes, tensors(&again)), (before.bytes, tensors(&before)), "nothing is measured again");
    assert!(continued.resumed_bytes > 0 && continued.resumed_bytes < continued.bytes);
    assert_eq!(tensors(&continued), case.undisturbed(&[]));
    cut_off();
    let (fresh, _) = finish(&["--fresh"]);
    assert_eq!(fresh.map(|run| run.resumed_bytes), [0, 0]);
}

#[cfg(unix)]
#[test]
fn interrupted_it_stops_in_good_order() {
    let case = Case::new();
    interrupt(case.command("slow", &[]), &case.journal());
    let (run, _) = case.finish(&["--resume"]);
    assert!(run.resumed_bytes > 0);
    assert_eq!(tensors(&run), case.undisturbed(&[]));
}
