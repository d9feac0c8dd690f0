//! Runs that are cut off: the next one continues with the journal, ends with the same bits, and says what it did.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use kurtoscope::{analysis::journal::JOURNAL_FILE, record::Run, report::json};
use kurtoscope_tests::{
    checkpoints,
    command::{Outcome, Tested, names},
    misbehaving, tested,
};
use tempfile::TempDir;

/// A model of 100 chunks for a device that takes 16 KiB at once, and a folder for reports.
struct Case {
    folder: TempDir,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        checkpoints::write_noise(&folder.path().join("model.safetensors"), 4, 100 << 10).expect("writable");
        Self { folder }
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
        tested!()
            .analyze(&self.model(), &[&misbehaving!(fault)])
            .args(["--out".as_ref(), self.out().as_os_str()])
            .args(arguments)
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
        (json::read(&self.out().join("run.json")).expect("a run"), outcome)
    }

    /// The tensors of a run that nobody cut off.
    fn undisturbed(&self) -> String {
        let (run, _) = tested!().analyze(&self.model(), &[&misbehaving!("good")]).measured();
        tensors(&run)
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
    assert_eq!(tensors(&run), case.undisturbed());
    assert!(run.resumed_bytes > 0 && run.resumed_bytes < run.bytes, "{} of {}", run.resumed_bytes, run.bytes);
    assert_eq!(run.devices.iter().map(|share| share.bytes).sum::<u64>(), run.bytes);
    outcome.assert_said(&["continuing", "were measured by an earlier run"]);
}

#[test]
fn cut_or_damaged_anywhere_it_ends_with_the_same_bits() {
    let case = Case::new();
    let undisturbed = case.undisturbed();
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
    assert_eq!(tensors(&run), case.undisturbed());
    let outcome = tested!().analyze(&case.model(), &[&misbehaving!("refuse")]).run();
    outcome.assert_failed(&["`--out DIR` would have kept them"]);
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
fn fresh_starts_over() {
    let case = Case::new();
    case.kill_midway();
    let (run, _) = case.finish(&["--fresh"]);
    assert_eq!((run.resumed_bytes, tensors(&run)), (0, case.undisturbed()));
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let case = Case::new();
    fs::create_dir(case.out()).expect("writable");
    let held = kurtoscope::analysis::Journal::open(&case.out(), Default::default()).expect("a journal");
    case.command("good", &[]).run().assert_failed(&["run.journal is in use"]);
    drop(held);
    case.finish(&[]);
}

#[test]
fn a_folder_that_takes_no_journal_is_told_before_anything_is_measured() {
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
    assert_eq!(tensors(&run), case.undisturbed());
    assert_eq!(outcome.stderr.matches("cannot be written").count(), 1, "{}", outcome.stderr);
}

#[cfg(unix)]
#[test]
fn interrupted_it_stops_in_good_order() {
    let case = Case::new();
    let quiet = |command: &mut std::process::Command| {
        command.stdout(std::process::Stdio::null());
    };
    let mut started = case.command("slow", &["--quiet"]).with(quiet).start();
    while case.length() < 2000 {
        assert!(started.is_running());
        thread::sleep(Duration::from_millis(2));
    }
    let process = rustix::process::Pid::from_child(&started.child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).expect("it runs");
    assert_eq!(started.wait().code(), Some(130));
    let (run, _) = case.finish(&["--resume"]);
    assert!(run.resumed_bytes > 0);
    assert_eq!(tensors(&run), case.undisturbed());
}
