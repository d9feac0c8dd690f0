//! A Linux board behind ssh.

use std::{fs, path::Path, process::Command};

use kurtoscope_tests::{command::Outcome, misbehaving};

use crate::board::{Bench, CONFIG, Mounted};

const PROGRAM: &str = "usr/local/bin/kurtoscope-device";
const UNIT: &str = "etc/systemd/system/kurtoscope-device.service";

fn systemctl(bench: &Bench) -> String {
    fs::read_to_string(bench.tree().join("systemctl.log")).unwrap_or_default()
}

#[test]
fn from_a_bare_board_to_its_self_test_and_back() {
    let bench = Bench::new();
    let before = bench.state();
    let outcome = bench.flashed();
    for part in
        ["Flashed", "test-linux answers: firmware 0.1.0, engine cpu", "Self-test passed", "restart the board once"]
    {
        assert!(outcome.said().contains(part), "{part}: {}", outcome.said());
    }
    let after = bench.state();
    assert_eq!(after[Path::new(PROGRAM)], (0o755, fs::read(bench.program()).expect("readable")));
    let unit = String::from_utf8(after[Path::new(UNIT)].1.clone()).expect("text");
    assert!(
        unit.contains("ExecStart=/usr/local/bin/kurtoscope-device --usb-gadget --board test-linux --engine cpu\n"),
        "{unit}"
    );
    let config = fs::read_to_string(bench.tree().join("boot/firmware/config.txt")).expect("readable");
    assert!(config.starts_with(CONFIG) && config.contains("\n[all]\ndtoverlay=dwc2\n"), "{config}");
    let service = "kurtoscope-device.service";
    assert_eq!(systemctl(&bench), format!("daemon-reload\nenable {service}\nrestart {service}\n"));

    // Once more: nothing is done, and the board is opened all the same.
    let again = bench.flashed();
    assert!(
        again.said().contains("Already up to date") && again.said().contains("Self-test passed"),
        "{}",
        again.stdout
    );
    assert!(again.said().contains("has kurtoscope-device 0.1.0"), "{}", again.stdout);
    assert_eq!(bench.state(), after);
    assert_eq!(systemctl(&bench).lines().count(), 3, "nothing was restarted");

    let removed = bench.flash("test-linux", &["--to", "pi@board", "--remove"]).run();
    assert_eq!(removed.code, Some(0), "{}", removed.stderr);
    assert_eq!(bench.state(), before);
    assert!(!bench.tree().join("usr/local/share/kurtoscope").exists(), "a folder of ours is left");
    let nothing = bench.flash("test-linux", &["--to", "pi@board", "--remove"]).run();
    assert!(nothing.code == Some(0) && nothing.said().contains("Nothing of Kurtoscope is there"), "{}", nothing.stdout);
}

#[test]
fn a_dry_run_prints_the_steps_and_changes_nothing() {
    let bench = Bench::new();
    let before = bench.state();
    let outcome = bench.over_ssh(&bench.program(), &["--dry-run"]).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for part in [
        "nothing is changed",
        "1. put /usr/local/bin/kurtoscope-device",
        "sha256sum",
        "--version",
        "2. put /etc/systemd/system/kurtoscope-device.service",
        "3. replace /boot/firmware/config.txt",
        "4. have kurtoscope-device.service started at every boot",
        "systemctl enable kurtoscope-device.service",
        "5. start kurtoscope-device.service now",
        "systemctl restart kurtoscope-device.service",
        "6. put /usr/local/share/kurtoscope/installed",
    ] {
        assert!(outcome.said().contains(part), "{part}: {}", outcome.said());
    }
    assert_eq!(bench.state(), before);
    assert_eq!(systemctl(&bench), "");
    // It is also to be had without a firmware, and builds none.
    let unbuilt = bench.flash("test-linux", &["--to", "pi@board", "--dry-run"]).run();
    assert!(unbuilt.code == Some(0) && unbuilt.said().contains("built first"), "{}{}", unbuilt.stdout, unbuilt.stderr);
    bench.flashed();
    let flashed = bench.state();
    let removal = bench.flash("test-linux", &["--to", "pi@board", "--remove", "--dry-run"]).run();
    assert!(removal.said().contains("remove /usr/local/bin/kurtoscope-device"), "{}", removal.stdout);
    assert_eq!(bench.state(), flashed);
}

#[test]
fn wherever_it_is_interrupted_the_next_run_repairs_it() {
    let reference = Bench::new();
    reference.flashed();
    let whole = reference.state();
    // The look around, six steps; the handshake is call eight.
    for (variable, calls) in [("DIE_AT", 1..=7), ("DIE_AFTER", 1..=7), ("CUT_AT", 2..=4)] {
        for call in calls {
            let bench = Bench::new();
            let torn = bench
                .over_ssh(&bench.program(), &[])
                .with(|ssh| {
                    ssh.env(variable, call.to_string());
                })
                .run();
            torn.assert_failed(&["pi@board", "ssh did not get through", "closed by remote host"]);
            // Whatever is there under its name is whole.
            for (path, content) in bench.state() {
                assert!(
                    whole.get(&path) == Some(&content) || content.1 == CONFIG.as_bytes(),
                    "{variable}={call}: {path:?}"
                );
            }
            bench.flashed();
            assert_eq!(bench.state(), whole, "{variable}={call}");
            assert!(systemctl(&bench).ends_with("restart kurtoscope-device.service\n"), "{variable}={call}");
            assert!(bench.tree().join("active").exists(), "{variable}={call}");
        }
    }
}

#[test]
fn a_power_cut_in_the_middle_of_a_copy_is_cleaned_up() {
    let bench = Bench::new();
    bench.flashed();
    let whole = bench.state();
    // The old list of what is there was removed first, half a new program is beside the old one.
    fs::remove_file(bench.tree().join("usr/local/share/kurtoscope/installed")).expect("there");
    fs::write(bench.tree().join("usr/local/bin/.kurtoscope-device.new"), [7; 1000]).expect("writable");
    fs::write(bench.tree().join(PROGRAM), b"an older program").expect("writable");
    bench.flashed();
    assert_eq!(bench.state(), whole);
}

#[test]
fn a_service_that_does_not_come_up_is_an_error_until_it_does() {
    let bench = Bench::new();
    let fails = bench.tree().join("fails");
    fs::write(&fails, "").expect("writable");
    for _ in 0..2 {
        let outcome = bench.over_ssh(&bench.program(), &[]).run();
        outcome.assert_failed(&["pi@board", "the service ends soon", "fe980000.usb is taken", "--no-service"]);
    }
    fs::remove_file(&fails).expect("there");
    bench.flashed();
    let whole = bench.state();
    // Stopped by somebody since: it is not up to date then, and is started.
    fs::remove_file(bench.tree().join("active")).expect("there");
    let outcome = bench.flashed();
    assert!(outcome.said().contains("start kurtoscope-device.service now"), "{}", outcome.said());
    assert!(bench.tree().join("active").exists());
    assert_eq!(bench.state(), whole);
}

#[test]
fn a_board_whose_port_comes_with_the_next_start_is_reported_every_time() {
    let bench = Bench::new();
    fs::remove_dir(bench.tree().join("sys/class/udc/fe980000.usb")).expect("there");
    for state in ["Flashed", "Already up to date"] {
        let outcome = bench.flashed();
        for part in [state, "restart the board once, so that \"dtoverlay=dwc2\" takes effect"] {
            assert!(outcome.said().contains(part), "{part}: {}", outcome.said());
        }
    }
    assert_eq!(systemctl(&bench), "daemon-reload\nenable kurtoscope-device.service\n", "nothing is started in vain");
    let removed = bench.flash("test-linux", &["--to", "pi@board", "--remove"]).run();
    assert!(removed.code == Some(0) && removed.said().contains("when the board is restarted"), "{}", removed.said());
}

#[test]
fn lights_and_ports_by_name() {
    let bench = Bench::new();
    let unit = |more: &[&str]| {
        let outcome = bench.over_ssh(&bench.program(), more).run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.said());
        fs::read_to_string(bench.tree().join(UNIT)).expect("flashed")
    };
    let named = unit(&["--led", "gpiochip0:17", "--udc", "fe980000.usb"]);
    assert!(named.contains(" --led gpiochip0:17 --udc fe980000.usb\n"), "{named}");
    assert!(!unit(&["--led", "ACT"]).contains("--led"), "there is none of this name");
}

#[test]
fn ssh_that_is_refused_absent_or_misnamed() {
    let bench = Bench::new();
    let refused = bench.over_ssh(&bench.program(), &[]);
    let refused = refused
        .with(|ssh| {
            ssh.env("REFUSE", "pi@board: Permission denied (publickey,password).");
        })
        .run();
    refused.assert_failed(&["pi@board", "Permission denied (publickey,password)", "try `ssh pi@board true`"]);
    let program = bench.program();
    let unknown = bench.flash("test-linux", &["--to", "pi@bord", "--firmware", &program.to_string_lossy()]).run();
    unknown.assert_failed(&["pi@bord", "Could not resolve hostname"]);
    let option =
        bench.flash("test-linux", &["--to=-oProxyCommand=true", "--firmware", &program.to_string_lossy()]).run();
    option.assert_failed(&["\"-oProxyCommand=true\" is not a host"]);
    let empty = bench.beside("nothing");
    let absent = bench
        .over_ssh(&program, &[])
        .with(|command| {
            command.env("PATH", empty);
        })
        .run();
    absent.assert_failed(&["ssh cannot be started", "install the OpenSSH client", "--root"]);
    let nowhere = bench.flash("test-linux", &[]).run();
    nowhere.assert_failed(&["say where the board is", "--to pi@HOST", "--root DIR"]);
    assert!(!bench.tree().join(PROGRAM).exists());
}

#[test]
fn a_shell_that_is_none_and_a_profile_that_talks() {
    let bench = Bench::new();
    bench.this_machine_has("ssh", "#!/bin/sh\necho 'This account is currently not available.'\n");
    let outcome = bench.over_ssh(&bench.program(), &[]).run();
    outcome.assert_failed(&["did not answer the first questions", "This account is currently not available"]);
}

#[test]
fn firmware_that_is_another_version_or_does_not_run_never_replaces_what_is_there() {
    let bench = Bench::new();
    bench.flashed();
    let good = bench.state();
    let files = bench.beside("files");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(files.join(name), bytes).expect("writable");
        files.join(name)
    };
    let program = fs::read(bench.program()).expect("readable");
    let mut for_another = program.clone();
    for_another[18..20].copy_from_slice(&243_u16.to_le_bytes());
    let cases = [
        // A program that runs, and is not the device side of this version.
        (env!("CARGO_BIN_EXE_kurtoscope-under-test").into(), vec!["calls itself \"kurtoscope 0.1.0\"", "same version"]),
        (write("cut", &program[..1 << 16]), vec!["does not run there", "what was there before is kept"]),
        (write("script", b"#!/bin/sh\necho kurtoscope-device 0.1.0\n"), vec!["no program for Linux"]),
        (write("riscv", &for_another), vec!["is for riscv64", "kurtoscope boards build test-linux"]),
        (files.join("absent"), vec!["cannot be read", "No such file"]),
    ];
    for (firmware, words) in cases {
        bench.over_ssh(&firmware, &[]).run().assert_failed(&words);
        let mut state = bench.state();
        // The list of what is there is gone where a step was begun, so that the next run finishes.
        let manifest = Path::new("usr/local/share/kurtoscope/installed");
        state.entry(manifest.into()).or_insert_with(|| good[manifest].clone());
        assert_eq!(state, good, "{}", firmware.display());
    }
    bench.flashed();
    assert_eq!(bench.state(), good);
}

#[test]
fn another_machine_no_root_no_systemd() {
    let bench = Bench::new();
    bench.board_has("uname", "#!/bin/sh\necho mips\n");
    bench.over_ssh(&bench.program(), &[]).run().assert_failed(&["its processor is mips", "is it the right one"]);
    fs::remove_file(bench.tree().join("bin/uname")).expect("there");

    // Somebody who is not root, first with a sudo that asks, then with one that does not.
    bench.board_has("id", "#!/bin/sh\necho 1000\n");
    bench.board_has("sudo", "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n");
    bench.over_ssh(&bench.program(), &[]).run().assert_failed(&["needs root there", "visudo"]);
    assert!(!bench.tree().join(PROGRAM).exists());
    bench.board_has("sudo", "#!/bin/sh\nshift\nexec \"$@\"\n");
    bench.flashed();

    let bench = Bench::new();
    fs::remove_dir(bench.tree().join("run/systemd/system")).expect("there");
    bench.over_ssh(&bench.program(), &[]).run().assert_failed(&["there is no systemd", "--no-service"]);
    let outcome = bench.over_ssh(&bench.program(), &["--no-service"]).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(bench.tree().join(PROGRAM).exists() && !bench.tree().join(UNIT).exists());
    assert_eq!(systemctl(&bench), "");
}

#[test]
fn a_full_disk_before_and_while_copying() {
    let bench = Bench::new();
    let Some(disk) = Mounted::new(&bench.tree().join("usr/local"), "1M") else { return };
    let full = bench.over_ssh(&bench.program(), &[]).run();
    full.assert_failed(&["its file system is full (", "KiB free)", "/usr/local/bin/kurtoscope-device needs"]);
    // A board that promises more than it has: found out while copying, and nothing is left of the copy.
    bench.board_has("df", "#!/bin/sh\necho head\necho disk 9999999 1 9999998 1% /\n");
    let full = bench.over_ssh(&bench.program(), &[]).run();
    full.assert_failed(&["its file system is full: /usr/local/bin/kurtoscope-device needs"]);
    assert_eq!(fs::read_dir(bench.tree().join("usr/local/bin")).map(Iterator::count).unwrap_or(0), 0);
    disk.resize("200M");
    bench.flashed();
    // What a power cut left fills the rest: it is removed first.
    let program = fs::metadata(bench.program()).expect("there").len();
    fs::write(bench.tree().join(PROGRAM), b"an older program").expect("writable");
    fs::write(bench.tree().join("usr/local/bin/.kurtoscope-device.new"), vec![7; program as usize]).expect("writable");
    disk.resize(&format!("{}K", program / 1024 + 2048));
    bench.flashed();
}

#[test]
fn a_read_only_disk() {
    let bench = Bench::new();
    let Some(disk) = Mounted::new(&bench.tree().join("usr/local"), "200M") else { return };
    disk.lock();
    let outcome = bench.over_ssh(&bench.program(), &[]).run();
    outcome.assert_failed(&["read-only file system", "usr/local", "remount,rw"]);
    assert!(!bench.tree().join(UNIT).exists(), "nothing else was begun");
}

#[test]
fn a_read_only_disk_that_need_not_be_written() {
    let bench = Bench::new();
    let Some(disk) = Mounted::new(&bench.tree().join("boot"), "1M") else { return };
    fs::create_dir_all(bench.tree().join("boot/firmware")).expect("writable");
    let config = bench.tree().join("boot/firmware/config.txt");
    fs::write(&config, CONFIG).expect("writable");
    disk.lock();
    bench.over_ssh(&bench.program(), &[]).run().assert_failed(&["read-only file system", "boot/firmware"]);
    let alone = bench.over_ssh(&bench.program(), &["--no-service"]).run();
    assert_eq!(alone.code, Some(0), "{}", alone.said());
    disk.unlock();
    fs::write(&config, "dtoverlay=dwc2\n").expect("writable");
    disk.lock();
    bench.flashed();
}

/// Flashes well, and lets the board answer through `device`.
fn answered_by(device: &str) -> (Bench, Outcome) {
    let bench = Bench::new();
    let outcome = bench.over_ssh(&bench.program(), &["--device", device, "--wait", "1"]).run();
    assert!(bench.tree().join(PROGRAM).exists());
    (bench, outcome)
}

#[test]
fn a_board_that_never_answers_or_answers_wrongly() {
    let (bench, silent) = answered_by(&misbehaving!("silent", "test-linux"));
    silent.assert_failed(&["did not answer within 1 s", "no valid answer", "ssh pi@board journalctl"]);
    // It is flashed, which is reported when it is opened again.
    let again = bench.flashed();
    assert!(again.said().contains("Already up to date"), "{}", again.stdout);
    let (_, gone) = answered_by("exec:false");
    gone.assert_failed(&["the program ends instead of answering", "the link ended", "--engine cpu"]);
    let (_, other_protocol) = answered_by(&misbehaving!("other-protocol", "test-linux"));
    other_protocol.assert_failed(&["flashed, but", "protocol 77", "same version"]);
    let (_, older) = answered_by(&misbehaving!("older", "test-linux"));
    older.assert_failed(&["calls itself \"0.0.9\"", "this is kurtoscope 0.1.0", "same version"]);
    let (_, wrong) = answered_by(&misbehaving!("wrong", "test-linux"));
    wrong.assert_failed(&["flashed, but", "self-test"]);
    let (_, other) = answered_by(&misbehaving!("good", "other"));
    other.assert_failed(&["calls itself \"other\", not \"test-linux\"", "--device"]);
}

#[test]
fn firmware_is_built_first_where_none_is_named() {
    if Command::new("cargo").arg("--version").output().is_err() {
        println!("SKIPPED: no cargo on the path: nothing is built before flashing");
        return;
    }
    let bench = Bench::new();
    let (target, good) = (bench.beside("target"), misbehaving!("good", "test-linux"));
    let flash = || {
        bench.flash("test-linux", &["--to", "pi@board", "--device", &good]).with(|command| {
            command.env("CARGO_TARGET_DIR", &target);
        })
    };
    // No sources, then sources of another version, then the right ones.
    flash().run().assert_failed(&["building its firmware failed"]);
    bench.sources_of("test-linux", "kurtoscope-device 0.0.9");
    flash().run().assert_failed(&["calls itself \"kurtoscope-device 0.0.9\"", "same version"]);
    assert!(!bench.tree().join(PROGRAM).exists());
    bench.sources_of("test-linux", "kurtoscope-device 0.1.0");
    let outcome = flash().run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
    assert!(outcome.said().contains("Building the firmware of test-linux"), "{}", outcome.said());
    let built = Command::new(bench.tree().join(PROGRAM)).output().expect("it runs");
    assert_eq!(built.stdout, b"kurtoscope-device 0.1.0\n");
}

#[test]
fn the_program_knows_the_options_of_the_unit() {
    let bench = Bench::new();
    fs::create_dir_all(bench.tree().join("sys/class/leds/ACT")).expect("writable");
    // Its processor need not be this machine's.
    bench.board_has("uname", "#!/bin/sh\necho aarch64\n");
    let dry = bench.flash_of_this_checkout("raspberry-pi-5", &["--to", "pi@board", "--dry-run"]).run().said();
    let line = dry.lines().find_map(|line| line.trim().strip_prefix("ExecStart=")).expect("a unit");
    assert!(line.contains("--usb-gadget") && line.contains("--led ACT"), "{line}");
    // An option that it does not know is an error even where help is asked for behind it.
    let words: Vec<&str> = line.split(' ').skip(1).chain(["--help"]).collect();
    let said = Command::new(bench.program()).args(&words).output().expect("it runs");
    assert!(said.status.success(), "{line}: {}", String::from_utf8_lossy(&said.stderr));
    let unknown = Command::new(bench.program()).args(["--unknown", "--help"]).output().expect("it runs");
    assert!(!unknown.status.success());
}

#[test]
fn systemd_takes_the_unit() {
    let bench = Bench::new();
    bench.flashed();
    // The unit of the board's place for programs, which this machine need not have.
    let unit = fs::read_to_string(bench.tree().join(UNIT)).expect("flashed");
    let unit = unit.replace("/usr/local/bin/kurtoscope-device", &bench.program().display().to_string());
    let path = bench.beside("files").join("kurtoscope-device.service");
    fs::write(&path, unit).expect("writable");
    let Ok(said) = Command::new("systemd-analyze").args(["verify", "--man=no", "--generators=no"]).arg(&path).output()
    else {
        println!("SKIPPED: no systemd-analyze here: the unit is not held against systemd");
        return;
    };
    let errors = String::from_utf8_lossy(&said.stderr);
    let ours: Vec<&str> = errors.lines().filter(|line| line.contains("kurtoscope-device")).collect();
    assert!(ours.is_empty(), "{errors}");
}

/// The program that `.ci/run` builds for 64-bit ARM, if it did.
const AARCH64_DEVICE: &str = "KURTOSCOPE_AARCH64_DEVICE";

#[test]
fn a_raspberry_pi_with_its_own_program_under_emulation() {
    let Some(program) = std::env::var_os(AARCH64_DEVICE).filter(|path| !path.is_empty()) else {
        println!("SKIPPED: {AARCH64_DEVICE} does not name a kurtoscope-device for aarch64; .ci/run builds one");
        return;
    };
    let bench = Bench::new();
    bench.board_has("uname", "#!/bin/sh\necho aarch64\n");
    bench.emulates("qemu-aarch64-static");
    let flash = || {
        let program = Path::new(&program).display().to_string();
        let arguments = ["--to", "pi@board", "--engine", "cpu", "--firmware", &program];
        let outcome = bench.flash_of_this_checkout("raspberry-pi-5", &arguments).run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.said());
        outcome.said()
    };
    let said = flash();
    for part in ["aarch64", "raspberry-pi-5 answers: firmware 0.1.0, engine cpu", "Self-test passed", "no light ACT"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(flash().contains("has kurtoscope-device 0.1.0"));
}
