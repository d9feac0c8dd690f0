//! Microcontrollers: a boot loader's volume, and a debug probe. Volumes are folders, and real mounts where that is allowed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use kurtoscope_tests::misbehaving;

use crate::board::{Bench, Mounted};

/// Volumes that are mounted are seen by everybody who looks for one: one test at a time has some.
static MOUNTS: Mutex<()> = Mutex::new(());

const FAMILY: u32 = 0xe48b_ff59;

/// A UF2 file of this many blocks.
fn uf2(blocks: u32, family: u32) -> Vec<u8> {
    let block = |number: u32| {
        let words = [0x0a32_4655, 0x9e5d_5157, 0x2000, 0x1000_0000 + number * 256, 256, number, blocks, family];
        let mut block: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        block.resize(508, number as u8);
        block.extend(0x0ab1_6f30_u32.to_le_bytes());
        block
    };
    (0..blocks).flat_map(block).collect()
}

fn firmware(bench: &Bench, bytes: &[u8]) -> String {
    let path = bench.beside("files").join("firmware.uf2");
    fs::write(&path, bytes).expect("writable");
    path.display().to_string()
}

/// Makes a folder the volume of a boot loader.
fn volume(folder: &Path, board_id: &str) {
    fs::create_dir_all(folder).expect("writable");
    fs::write(folder.join("INFO_UF2.TXT"), format!("UF2 Bootloader v1.0\nModel: Test\nBoard-ID: {board_id}\n"))
        .expect("writable");
}

#[test]
fn a_file_on_the_volume_is_read_back_and_the_board_opened() {
    let bench = Bench::new();
    let (there, content) = (bench.beside("volume"), uf2(700, FAMILY));
    volume(&there, "RP2350");
    let arguments = [
        "--volume",
        &there.display().to_string(),
        "--firmware",
        &firmware(&bench, &content),
        "--device",
        &misbehaving!("good", "test-pico"),
    ];
    let dry = bench.flash("test-pico", &[&arguments[..], &["--dry-run"]].concat()).run();
    assert!(dry.code == Some(0) && dry.said().contains("nothing is changed"), "{}{}", dry.stdout, dry.stderr);
    assert!(!there.join("FIRMWARE.UF2").exists());
    let outcome = bench.flash("test-pico", &arguments).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for part in ["Copying 700 blocks", "Read back: the same bytes", "answers: firmware 0.1.0", "Self-test passed"] {
        assert!(outcome.said().contains(part), "{part}: {}", outcome.said());
    }
    assert_eq!(fs::read(there.join("FIRMWARE.UF2")).expect("there"), content);
}

#[test]
fn a_boot_loader_that_restarts_takes_its_volume_with_it() {
    let bench = Bench::new();
    let there = bench.beside("volume");
    volume(&there, "RP2350");
    // As the boot loader would: the volume is gone once the last byte is there.
    let content = uf2(700, FAMILY);
    let (size, watched) = (content.len() as u64, there.clone());
    let boot_loader = std::thread::spawn(move || {
        for _ in 0..3000 {
            if fs::metadata(watched.join("FIRMWARE.UF2")).is_ok_and(|file| file.len() == size) {
                fs::remove_dir_all(&watched).expect("ours");
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    });
    let outcome = bench
        .flash(
            "test-pico",
            &[
                "--volume",
                &there.display().to_string(),
                "--firmware",
                &firmware(&bench, &content),
                "--device",
                &misbehaving!("good", "test-pico"),
            ],
        )
        .run();
    boot_loader.join().expect("no panic");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.said().contains("restarted the board"), "{}", outcome.said());
}

#[test]
fn files_and_volumes_of_others_are_refused() {
    let bench = Bench::new();
    let (there, plain) = (bench.beside("volume"), bench.beside("plain"));
    volume(&there, "RPI-RP2");
    let flash = |volume: &Path, content: &[u8]| {
        let (volume, firmware) = (volume.display().to_string(), firmware(&bench, content));
        bench.flash("test-pico", &["--volume", &volume, "--firmware", &firmware]).run()
    };
    let whole = uf2(4, FAMILY);
    flash(&there, &whole).assert_failed(&["calls itself \"RPI-RP2\"", "\"RP2350\""]);
    flash(&plain, &whole).assert_failed(&["no volume of a UF2 boot loader"]);
    let elf_of_this_machine = fs::read(bench.program()).expect("readable");
    flash(&there, &elf_of_this_machine).assert_failed(&["not a program of a 32-bit processor"]);
    flash(&there, &uf2(4, 0xe48b_ff56)).assert_failed(&["family 0xe48bff56", "takes 0xe48bff59"]);
    flash(&there, &whole[..1500]).assert_failed(&["no UF2 file", "1500 bytes"]);
    flash(&there, &whole[..1024]).assert_failed(&["block 0 of 2 calls itself number 0 of 4"]);
    assert!(!there.join("FIRMWARE.UF2").exists());
}

#[test]
fn a_board_that_never_answers_after_flashing() {
    let bench = Bench::new();
    let there = bench.beside("volume");
    volume(&there, "RP2350");
    let arguments = ["--volume", &there.display().to_string(), "--firmware", &firmware(&bench, &uf2(4, FAMILY))];
    let silent = bench
        .flash(
            "test-pico",
            &[&arguments[..], &["--device", &misbehaving!("silent", "test-pico"), "--wait", "1"]].concat(),
        )
        .run();
    silent.assert_failed(&["did not answer within 1 s", "kurtoscope devices"]);
}

#[test]
fn another_board_that_answers_is_not_taken_for_the_flashed_one() {
    let bench = Bench::new();
    let there = bench.beside("volume");
    volume(&there, "RP2350");
    let firmware = firmware(&bench, &uf2(4, FAMILY));
    let other = misbehaving!("good", "my-thermometer");
    let arguments = ["--volume", &there.display().to_string(), "--firmware", &firmware, "--device", &other];
    bench
        .flash("test-pico", &arguments)
        .run()
        .assert_failed(&["calls itself \"my-thermometer\", not \"test-pico\"", "--device"]);
    // A board on a serial port that does not appear: no other port is asked.
    let silent = bench.flash("test-serial", &[&arguments[..4], &["--wait", "0.5"]].concat()).run();
    silent.assert_failed(&["no serial port appeared within 0.5 s", "kurtoscope devices", "--device"]);
}

#[test]
fn a_volume_of_another_user() {
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let bench = Bench::new();
    let there = bench.beside("volume");
    volume(&there, "RP2350");
    let firmware = firmware(&bench, &uf2(4, FAMILY));
    let arguments = ["--volume", &there.display().to_string(), "--firmware", &firmware];
    // Everybody may look, and only the owner may write.
    bench.everybody_may_look();
    let program = env!("CARGO_BIN_EXE_kurtoscope-under-test");
    let works = Command::new("setpriv").args(nobody).args([program, "--version"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: commands cannot be run as another user here: a volume that may not be written is not tried");
        return;
    }
    let outcome = bench.flash("test-pico", &arguments).inside("setpriv", &nobody, "").run();
    outcome.assert_failed(&["this user may not write to the volume", "uid=$(id -u)"]);
    assert!(!outcome.stderr.contains("half"), "{}", outcome.stderr);
}

#[test]
fn full_and_read_only_volumes() {
    let _alone = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let bench = Bench::new();
    let there = bench.beside("volume");
    let Some(disk) = Mounted::new(&there, "100K") else { return };
    volume(&there, "RP2350");
    let content = uf2(700, FAMILY);
    let arguments = [
        "--volume",
        &there.display().to_string(),
        "--firmware",
        &firmware(&bench, &content),
        "--device",
        &misbehaving!("good", "test-pico"),
    ];
    bench.flash("test-pico", &arguments).run().assert_failed(&["the volume is full after", "of 358400 bytes"]);
    disk.lock();
    bench.flash("test-pico", &arguments).run().assert_failed(&["mounted read-only"]);
    // The next run repairs it.
    let status = Command::new("mount").args(["-o", "remount,rw,size=1M"]).arg(&there).status();
    assert!(status.is_ok_and(|status| status.success()));
    let outcome = bench.flash("test-pico", &arguments).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(fs::read(there.join("FIRMWARE.UF2")).expect("there"), content);
}

#[test]
fn no_one_and_two_boards_in_boot_mode() {
    let _alone = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    // Mounts that only this command sees, so that no other test and no real board is in the way.
    let private = ["--mount", "--propagation", "private"];
    let works = Command::new("unshare").args(private).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: no file system can be mounted here (it takes root): volumes are not looked for");
        return;
    }
    let bench = Bench::new();
    let firmware = firmware(&bench, &uf2(4, FAMILY));
    let folders: Vec<PathBuf> = ["one", "two 2", "other"].map(|name| bench.beside(name)).to_vec();
    let run = |mounted: &[(&Path, &str)]| {
        let script: String = mounted
            .iter()
            .map(|(path, id)| {
                let path = path.display();
                format!("mount -t tmpfs tmpfs '{path}' && printf 'Board-ID: {id}\\n' >'{path}/INFO_UF2.TXT' && ")
            })
            .collect();
        bench
            .flash("test-pico", &["--firmware", &firmware, "--device", &misbehaving!("good", "test-pico")])
            .inside("unshare", &private, &script)
            .run()
    };
    run(&[]).assert_failed(&["no board in boot mode is attached", "Hold BOOTSEL.", "--volume"]);
    let two = run(&[(&folders[0], "RP2350"), (&folders[1], "RP2350")]);
    two.assert_failed(&["2 boards in boot mode are attached", "two 2", "unplug all but one"]);
    run(&[(&folders[2], "RPI-RP2")]).assert_failed(&["calls itself \"RPI-RP2\""]);
    // One of each: the right one is taken.
    let one = run(&[(&folders[2], "RPI-RP2"), (&folders[1], "RP2350")]);
    assert_eq!(one.code, Some(0), "{}", one.stderr);
    assert!(one.said().contains("two 2"), "{}", one.stdout);
}

/// A stand-in for probe-rs that lists these probes, and writes down what it is asked.
fn probe_rs(bench: &Bench, probes: &str, download: &str) {
    let log = bench.beside("files").join("probe.log");
    bench.this_machine_has(
        "probe-rs",
        &format!(
            "#!/bin/sh\necho \"$*\" >>'{}'\ncase $1 in list) printf '{probes}';; download) {download};; esac\n",
            log.display()
        ),
    );
}

#[test]
fn a_debug_probe_and_none_and_two() {
    let bench = Bench::new();
    let program = bench.program().display().to_string();
    let good = misbehaving!("good", "test-probed");
    let arguments = ["--firmware", program.as_str(), "--device", &good];
    probe_rs(&bench, "No debug probes were found.\\n", "true");
    bench.flash("test-probed", &arguments).run().assert_failed(&["no debug probe is attached"]);
    let two = "The following debug probes were found:\\n[0]: A -- 2e8a:000c:1 (CMSIS-DAP)\\n[1]: B -- 2e8a:000c:2 (CMSIS-DAP)\\n";
    probe_rs(&bench, two, "true");
    bench.flash("test-probed", &arguments).run().assert_failed(&["2 debug probes are attached", "--probe"]);
    let outcome = bench.flash("test-probed", &[&arguments[..], &["--probe", "2e8a:000c:2"]].concat()).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.said().contains("Self-test passed"), "{}", outcome.said());
    let log = fs::read_to_string(bench.beside("files").join("probe.log")).expect("written");
    let download = format!("download --verify --chip STM32F405RG --probe 2e8a:000c:2 {program}\n");
    assert!(log.ends_with(&format!("{download}reset --chip STM32F405RG --probe 2e8a:000c:2\n")), "{log}");
    probe_rs(&bench, "[0]: A -- 2e8a:000c:1\\n", "echo 'Error: target did not respond' >&2; exit 1");
    let failed = bench.flash("test-probed", &arguments).run();
    failed.assert_failed(&["probe-rs download failed", "target did not respond"]);
    // And where the command is not installed.
    fs::remove_file(bench.beside("path").join("probe-rs")).expect("there");
    let empty = bench.beside("nothing");
    let absent = bench
        .flash("test-probed", &arguments)
        .with(|command| {
            command.env("PATH", empty);
        })
        .run();
    absent.assert_failed(&["probe-rs cannot be started", "https://probe.rs"]);
    assert!(!absent.stderr.contains("--method"), "{}", absent.stderr);
    // A board that is flashed in either way is.
    let good = misbehaving!("good", "test-pico");
    let arguments = ["--method", "probe-rs", "--firmware", program.as_str(), "--device", &good];
    bench
        .flash("test-pico", &arguments)
        .with(|command| {
            command.env("PATH", bench.beside("nothing"));
        })
        .run()
        .assert_failed(&["probe-rs cannot be started", "flash with --method uf2"]);
    probe_rs(&bench, "[0]: A -- 2e8a:000c:1\\n", "true");
    let outcome = bench.flash("test-pico", &arguments).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
    let log = fs::read_to_string(bench.beside("files").join("probe.log")).expect("written");
    assert!(log.ends_with(&format!("download --verify --chip RP235x {program}\nreset --chip RP235x\n")), "{log}");
}

#[test]
fn options_of_other_kinds_of_boards() {
    let bench = Bench::new();
    bench.flash("test-pico", &["--to", "pi@board"]).run().assert_failed(&["this option is for boards that run Linux"]);
    bench.flash("test-linux", &["--method", "uf2"]).run().assert_failed(&["this option is for microcontrollers"]);
    bench
        .flash("test-probed", &["--method", "uf2"])
        .run()
        .assert_failed(&["its board.toml does not say its boot loader's volume"]);
    bench.flash("test-pico", &["--probe", "1:2:3"]).run().assert_failed(&["this option is for debug probes"]);
    bench
        .flash("test-pico", &["--method", "probe-rs", "--volume", "/"])
        .run()
        .assert_failed(&["this option is for volumes of boot loaders"]);
    bench.flash("nobody", &[]).run().assert_failed(&["nobody", "test-linux", "test-pico"]);
}
