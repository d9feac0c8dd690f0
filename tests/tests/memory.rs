//! Memory stays small however large the checkpoint is: its pages are the file's own, and what is in flight is bounded.
#![cfg(target_os = "linux")]

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use kurtoscope_tests::{checkpoints, tested};

const MIB: u64 = 1 << 20;

/// What a run may take besides what is on its way to devices.
const ALLOWANCE: u64 = 64 * MIB;

/// Four payloads of 1 MiB: what a processor's engine announces as its window.
const WINDOW: u64 = 4 * MIB;

/// Anonymous memory of a process now, bytes: what it allocated, without the pages of mapped files.
fn anonymous(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// The same for a process and those that it started: a virtual board runs in one of its own.
fn anonymous_of_all(process: u32) -> Option<u64> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| anonymous(child.parse().ok()?));
    Some(anonymous(process)? + children.sum::<u64>())
}

/// Writes a model of zeros, so many bytes, to a path.
type Write = fn(&Path, u64) -> io::Result<()>;

/// Measures a model of `bytes` bytes on `device` and returns how often memory was looked at, and the most that was seen.
fn peak(write: Write, bytes: u64, device: &str) -> (u32, u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("zeros.safetensors");
    write(&model, bytes).expect("writable");
    let out = folder.path().join("out");
    let quiet = |command: &mut Command| {
        command.stdout(Stdio::null());
    };
    let mut started = tested!().analyze(&model, &[device]).args(["--quiet", "--out"]).args([&out]).with(quiet).start();
    let (mut looks, mut peak) = (0, 0);
    while started.is_running() {
        if let Some(now) = anonymous_of_all(started.child.id()) {
            looks += 1;
            peak = peak.max(now);
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert!(started.wait().success());
    let run = kurtoscope_host::run_file::read(&out.join("run.json")).expect("a run");
    let elements = run.model.parameters;
    assert!(elements >= bytes / 4, "{elements} elements of {bytes} bytes");
    assert_eq!((run.bytes, run.tensors[0].zeros), (4 * elements, elements), "all of it was measured");
    println!(
        "{} MiB on {device}: at most {:.1} MiB of anonymous memory in {looks} looks",
        bytes / MIB,
        peak as f64 / MIB as f64
    );
    (looks, peak)
}

fn assert_small(write: Write, bytes: u64, device: &str) {
    let (looks, peak) = peak(write, bytes, device);
    assert!(looks >= 20, "only {looks} looks at {device}: the run was too short to measure");
    assert!(
        peak <= ALLOWANCE + WINDOW,
        "{} MiB on {device} took {peak} bytes of anonymous memory, more than {ALLOWANCE} and a window of {WINDOW}",
        bytes / MIB
    );
}

#[test]
fn what_is_allocated_is_seen() {
    let before = anonymous(std::process::id()).expect("Linux reports it");
    let block = std::hint::black_box(vec![1u8; 128 * MIB as usize]);
    let after = anonymous(std::process::id()).expect("Linux reports it");
    assert!(after > before + 100 * MIB, "{before} before, {after} after {} bytes", block.len());
}

#[test]
fn a_gibibyte_on_this_machine() {
    assert_small(checkpoints::write_sparse, 1 << 30, "local");
}

#[test]
fn a_quarter_of_one_on_a_virtual_board() {
    assert_small(checkpoints::write_sparse, 256 * MIB, "pty:");
}

#[test]
fn half_a_gibibyte_of_packed_weights() {
    assert_small(checkpoints::write_sparse_packed, 512 * MIB, "local");
}
