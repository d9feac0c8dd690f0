//! A Linux board's root file system that is mounted here.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use kurtoscope_tests::command::Outcome;

use crate::board::{Bench, Mounted};

fn into_root(bench: &Bench, root: &Path, more: &[&str]) -> Outcome {
    let (root, program) = (root.to_string_lossy(), bench.program());
    bench.flash("test-linux", &[&["--root", &root, "--firmware", &program.to_string_lossy()], more].concat()).run()
}

#[test]
fn the_same_files_as_over_ssh_and_back() {
    let (here, there) = (Bench::new(), Bench::new());
    let before = here.state();
    let dry = into_root(&here, &here.tree(), &["--dry-run"]);
    assert!(dry.code == Some(0) && dry.said().contains("read it back"), "{}{}", dry.stdout, dry.stderr);
    assert_eq!(here.state(), before);
    let outcome = into_root(&here, &here.tree(), &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    there.flashed();
    assert_eq!(here.state(), there.state());
    let again = into_root(&here, &here.tree(), &[]);
    assert!(again.code == Some(0) && again.said().contains("Already up to date"), "{}", again.stdout);
    let removed = into_root(&here, &here.tree(), &["--remove"]);
    assert_eq!(removed.code, Some(0), "{}", removed.stderr);
    assert_eq!(here.state(), before);
    assert!(!here.tree().join("usr/local/share/kurtoscope").exists(), "a folder of ours is left");
}

#[test]
fn what_an_interrupted_run_left_is_repaired() {
    let bench = Bench::new();
    assert_eq!(into_root(&bench, &bench.tree(), &[]).code, Some(0));
    let whole = bench.state();
    fs::remove_file(bench.tree().join("usr/local/share/kurtoscope/installed")).expect("there");
    fs::remove_file(bench.tree().join("etc/systemd/system/multi-user.target.wants/kurtoscope-device.service"))
        .expect("there");
    fs::write(bench.tree().join("usr/local/bin/.kurtoscope-device.new"), [7; 1000]).expect("writable");
    assert_eq!(into_root(&bench, &bench.tree(), &[]).code, Some(0));
    assert_eq!(bench.state(), whole);
}

#[test]
fn a_directory_that_is_no_root_or_another_machines() {
    let bench = Bench::new();
    let empty = bench.beside("empty");
    into_root(&bench, &empty, &[]).assert_failed(&["not the root file system of a board", "no etc"]);
    into_root(&bench, &empty.join("absent"), &[]).assert_failed(&["not the root file system of a board"]);
    let mut other = fs::read(bench.program()).expect("readable");
    other[18..20].copy_from_slice(&243_u16.to_le_bytes());
    fs::write(bench.tree().join("usr/bin/env"), other).expect("writable");
    into_root(&bench, &bench.tree(), &[]).assert_failed(&["its processor is riscv64"]);
}

#[test]
fn a_link_that_leads_out_of_the_root_is_not_followed() {
    let bench = Bench::new();
    let outside = bench.beside("outside");
    fs::remove_dir_all(bench.tree().join("usr/local")).expect("there");
    symlink(&outside, bench.tree().join("usr/local")).expect("writable");
    into_root(&bench, &bench.tree(), &[]).assert_failed(&["/usr/local/bin/kurtoscope-device leads out of it"]);
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 0);
}

#[test]
fn a_full_and_a_read_only_card() {
    let bench = Bench::new();
    let Some(card) = Mounted::new(&bench.tree().join("usr/local"), "1M") else { return };
    into_root(&bench, &bench.tree(), &[]).assert_failed(&["its file system is full", "make room"]);
    card.resize("200M");
    card.lock();
    into_root(&bench, &bench.tree(), &[]).assert_failed(&["read-only file system"]);
}

#[test]
fn a_card_of_another_user() {
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let bench = Bench::new();
    bench.everybody_may_look();
    let before = bench.state();
    let (root, program) = (bench.tree().display().to_string(), bench.program().display().to_string());
    let works = Command::new("setpriv").args(nobody).args([program.as_str(), "--version"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: commands cannot be run as another user here: a card that may not be written is not tried");
        return;
    }
    let arguments = ["--root", root.as_str(), "--firmware", &program];
    let outcome = bench.flash("test-linux", &arguments).inside("setpriv", &nobody, "").run();
    outcome.assert_failed(&["this user may not change /usr/local/bin/kurtoscope-device", "as root", "sudo"]);
    assert_eq!(bench.state(), before);
}
