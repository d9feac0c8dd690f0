//! `kurtoscope compare`: correct devices agree, faulty ones are found and diagnosed, and the exit code shows it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kurtoscope_tests::{
    checkpoints::{Safetensors, noise},
    command::Outcome,
    misbehaving, tested,
};
use tempfile::TempDir;

/// Three tensors of noise, with subnormal numbers among them.
fn model() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let file = (0..3u32).fold(Safetensors::new(), |file, layer| {
        let mut values = noise(64 * 512, u64::from(layer) + 1);
        for (index, value) in values.iter_mut().enumerate().skip(500).step_by(997) {
            *value = f32::from_bits(1 + index as u32);
        }
        file.f32(&format!("layers.{layer}.weight"), &[512, 64], &values)
    });
    file.write(&path).expect("writable");
    (folder, path)
}

fn compare(model: &Path, device: &str, more: &[&str]) -> Outcome {
    let model = model.to_str().expect("UTF-8");
    tested!().args(["compare", model, "--device", device, "--allow-untrusted", "--quiet"]).args(more).run()
}

#[test]
fn correct_devices_agree() {
    let (_folder, model) = model();
    for device in ["pty:", &misbehaving!("good")] {
        let outcome = compare(&model, device, &[]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{device}");
        assert!(outcome.stdout.starts_with("The runs "), "{}", outcome.stdout);
        assert!(!outcome.stdout.contains("Most likely"), "{}", outcome.stdout);
        // Three matrices: twelve plans, two remedies and a tail each.
        assert!(outcome.stdout.contains("None of 45 verdicts flips: plans for 12 targets"), "{}", outcome.stdout);
    }
}

#[test]
fn faulty_devices_are_found_and_diagnosed() {
    let (_folder, model) = model();
    for (fault, words) in [
        ("drop", "leaves elements out of its sums, about one in"),
        ("flush", "takes subnormal numbers for zero: 99 elements"),
        ("half", "rounds values to 16-bit floats"),
        ("wrong", "counts and extremes are right, but sums are not (variance or kurtosis off by up to 1.0e-3)"),
    ] {
        let outcome = compare(&model, &misbehaving!(fault), &["--format", "markdown"]);
        assert_eq!(outcome.code, Some(3), "{fault}: {}", outcome.stderr);
        outcome.assert_said(&["differ beyond the stated accuracy", "exit code 3"]);
        assert!(outcome.stdout.contains(words), "{fault}: {}", outcome.stdout);
    }
}

#[test]
fn finished_runs_are_compared_within_a_tolerance() {
    let (folder, model) = model();
    let out = folder.path().join("out");
    let both = [out.join("reference"), out.join("device")].map(|path| path.to_str().expect("UTF-8").to_owned());
    let outcome = compare(&model, &misbehaving!("wrong"), &["--out", out.to_str().expect("UTF-8")]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    let again = |tolerance: &str| {
        tested!().args(["compare", &both[0], &format!("{}/run.json", both[1])]).args(["--tolerance", tolerance]).run()
    };
    // Its fourth moment is a thousandth too large, and what is left of it without the farthest weights by more than that.
    assert_eq!(again("1e-1").code, Some(0));
    assert_eq!(again("1e-4").code, Some(3));
}

#[test]
fn the_exit_code_is_the_same_when_nobody_reads_the_report() {
    let (folder, model) = model();
    let out = folder.path().join("out");
    let model = model.to_str().expect("UTF-8");
    for (fault, code) in [("wrong", 3), ("good", 0)] {
        for format in ["json", "table"] {
            let device = misbehaving!(fault);
            let arguments = ["compare", model, "--device", &device, "--allow-untrusted", "--quiet", "--format", format];
            let outcome = tested!().args(arguments).args(["--out".as_ref(), out.as_os_str()]).run_unread();
            assert_eq!(outcome.code, Some(code), "{fault}, {format}: {}", outcome.stderr);
            assert!(out.join("device/run.json").is_file());
            let finished = ["reference", "device"].map(|run| out.join(run));
            assert_eq!(tested!().args(["compare"]).args(finished).run_unread().code, Some(code), "{fault}");
        }
    }
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let (folder, model) = model();
    let other = folder.path().join("other.safetensors");
    Safetensors::new().f32("layers.0.weight", &[8, 8], &noise(64, 9)).write(&other).expect("writable");
    let run = |model: &Path, name: &str| {
        let out = folder.path().join(name);
        tested!().analyze(model, &["local"]).args(["--out".as_ref(), out.as_os_str()]).measured();
        out.to_str().expect("UTF-8").to_owned()
    };
    let (a, b) = (run(&model, "a"), run(&other, "b"));
    tested!().args(["compare", &a, &b]).run().assert_failed(&["different weights", "same files on both devices"]);
    tested!().args(["compare", &a]).run().assert_failed(&["one run is no comparison"]);
    tested!().args(["compare", &a, &b, "--device", "local"]).run().assert_failed(&["--device measures one model; 2"]);
    fs::write(folder.path().join("broken.json"), "{").expect("writable");
    let broken = folder.path().join("broken.json");
    tested!().args(["compare", &a, broken.to_str().expect("UTF-8")]).run().assert_failed(&["broken.json", "line 1"]);
}
