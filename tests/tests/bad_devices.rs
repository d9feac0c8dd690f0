//! Devices that are absent, silent, wrong or lost: what the command says, and that what it still measures is right.

use std::{fs, path::PathBuf, time::Duration};

use kurtoscope_host::{
    analysis::journal::JOURNAL_FILE,
    record::{Run, Tensor},
};
use kurtoscope_shared::protocol::PROTOCOL_VERSION;
use kurtoscope_tests::{
    checkpoints,
    command::{Outcome, names},
    misbehaving, tested,
};
use tempfile::TempDir;

/// Many times what a run takes here: two seconds until a device is given up are the longest wait.
const LONGEST: Duration = Duration::from_secs(20);

/// A model of 64 chunks for a device that takes 16 KiB at once.
struct Model {
    folder: TempDir,
}

impl Model {
    fn new() -> Self {
        Self::of_chunks(64)
    }

    fn of_chunks(chunks: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        checkpoints::write_noise(&folder.path().join("model.safetensors"), 4, chunks << 10).expect("writable");
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("model.safetensors")
    }

    fn measure(&self, devices: &[&str]) -> (Run, Outcome) {
        tested!().analyze(&self.path(), devices).impatient().within(LONGEST).measured()
    }

    /// Measures on `device`, which must fail with a message that has its URL and `words`, and leave no report behind.
    fn assert_fails(&self, device: &str, words: &[&str]) -> Outcome {
        let out = self.folder.path().join("out");
        let outcome = tested!()
            .analyze(&self.path(), &[device])
            .args(["--out".as_ref(), out.as_os_str()])
            .impatient()
            .within(LONGEST)
            .run();
        outcome.assert_failed(words);
        outcome.assert_said(&[device]);
        // No report, and the journal only where the message names it.
        let kept: &[&str] = if outcome.stderr.contains(JOURNAL_FILE) { &[JOURNAL_FILE] } else { &[] };
        assert_eq!(names(&out), kept, "{}", outcome.stderr);
        outcome
    }
}

/// Every statistic of every tensor, with floats as the bits that JSON holds exactly.
fn json(tensors: &[Tensor]) -> String {
    serde_json::to_string_pretty(tensors).expect("numbers and strings")
}

/// The URLs of the devices that took part, with the chunks that each measured.
fn shares(run: &Run) -> Vec<u64> {
    run.devices.iter().map(|share| share.chunks).collect()
}

#[test]
fn a_silent_device() {
    Model::new().assert_fails(&misbehaving!("silent"), &["no valid answer", "0.5 s", "baud"]);
}

#[test]
fn a_device_that_sends_noise() {
    Model::new().assert_fails(&misbehaving!("noise"), &["no valid answer", "a damaged frame"]);
}

#[test]
fn a_device_that_frames_in_the_other_way() {
    let outcome =
        Model::new().assert_fails(&misbehaving!("cobs"), &["it sends COBS frames", "length-prefixed", "exec:"]);
    assert!(!outcome.stderr.contains("no answer"), "{}", outcome.stderr);
}

#[test]
fn what_a_shell_says_first_is_passed_over() {
    let model = Model::new();
    let (alone, _) = model.measure(&[&misbehaving!("good")]);
    let (run, outcome) = model.measure(&[&misbehaving!("banner")]);
    assert_eq!((outcome.stderr.as_str(), run.devices[0].damaged), ("", 0));
    assert!(json(&run.tensors) == json(&alone.tensors), "results differ");
}

#[test]
fn a_device_of_another_version() {
    let theirs = "it uses protocol 77";
    let ours = format!("this program protocol {PROTOCOL_VERSION}");
    Model::new().assert_fails(&misbehaving!("other-protocol"), &[theirs, &ours]);
}

#[test]
fn a_device_that_computes_wrongly() {
    // The fourth moment is a thousandth too large, the engine promises 1e-10.
    Model::new().assert_fails(&misbehaving!("wrong"), &["self-test", "1.0", "e-3", "1e-10", "--allow-untrusted"]);
}

#[test]
fn a_device_that_computes_wrongly_can_be_looked_at_and_every_report_says_so_first() {
    let model = Model::new();
    let device = misbehaving!("wrong");
    let out = model.folder.path().join("out");
    let outcome = tested!()
        .analyze(&model.path(), &[&device])
        .args(["--allow-untrusted", "--out"])
        .args([&out])
        .impatient()
        .run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.lines().next().expect("a line").contains("UNTRUSTED"), "{}", outcome.stdout);
    let markdown = fs::read_to_string(out.join("report.md")).expect("a report");
    assert!(markdown.lines().next().expect("a line").contains("UNTRUSTED"), "{markdown}");
    let run = kurtoscope_host::run_file::read(&out.join("run.json")).expect("a run");
    assert!(!run.device.self_test.passed);
    let error = run.device.self_test.max_relative_error.expect("a number");
    assert!((error / 1e-3 - 1.0).abs() < 1e-6, "{error:e}");
    // And the fault is in the figures, or the warning would be about nothing.
    let (good, _) = model.measure(&[&misbehaving!("good")]);
    for (wrong, good) in run.tensors.iter().zip(&good.tensors) {
        let ratio = wrong.kurtosis.expect("defined") / good.kurtosis.expect("defined");
        assert!((ratio - 1.001).abs() < 1e-5, "{}: {ratio}", wrong.name);
    }
}

#[test]
fn the_only_device_is_lost() {
    for (fault, words) in [
        ("refuse", &["refuses a chunk", "engine failed", "(chunk of 16384 bytes, 4096 elements of"][..]),
        ("nonsense", &["report contradicts itself or its chunk", "(chunk of 16384 bytes"]),
        ("hang", &["no valid answer within 2", "(chunk of 16384 bytes", "cable"]),
    ] {
        let model = Model::new();
        let device = misbehaving!(fault);
        let out = model.folder.path().join("out");
        let outcome = tested!()
            .analyze(&model.path(), &[&device])
            .args(["--out".as_ref(), out.as_os_str()])
            .impatient()
            .within(LONGEST)
            .run();
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{fault}: {outcome:?}");
        outcome.assert_said(words);
        outcome.assert_said(&[&device, "of 1048576 bytes were measured", "nothing was written"]);
        // Three chunks are measured well before the fault shows.
        assert!(outcome.stderr.contains("49152 of 1048576"), "{fault}: {}", outcome.stderr);
        // What was measured is kept for the next run; no report is.
        assert_eq!(names(&out), [JOURNAL_FILE], "{fault}");
    }
}

#[test]
fn the_loss_of_the_only_device_is_reported_once() {
    Model::new().assert_fails(&misbehaving!("refuse"), &["refuses a chunk"]);
}

#[test]
fn programs_that_are_no_device() {
    let model = Model::new();
    model.assert_fails("exec:false", &["the link ended before the device answered"]);
    // The shell says why, on a line of its own.
    model.assert_fails("exec:no-such-program", &["the link ended before the device answered", "not found"]);
    model.assert_fails("exec:echo hello", &["the link ended before the device answered"]);
    model.assert_fails("exec:cat", &["its introduction cannot be decoded"]);
}

/// One device of two shows this fault after three chunks; the other must finish, and the result must not show it.
fn assert_the_other_goes_on(fault: &str) {
    // Enough chunks for both, however late one of them starts.
    let model = Model::of_chunks(512);
    let (alone, _) = model.measure(&[&misbehaving!("good")]);
    let lost = misbehaving!(fault);
    let (run, outcome) = model.measure(&[&lost, &misbehaving!("good")]);
    outcome.assert_said(&["lost a device", &lost]);
    assert_eq!(shares(&run).iter().sum::<u64>(), 512, "each chunk counts once");
    assert!(shares(&run)[0] <= 3, "{:?}", shares(&run));
    assert!(json(&run.tensors) == json(&alone.tensors), "results differ");
}

#[test]
fn a_program_that_ends_after_every_few_chunks_is_started_again_and_the_run_is_finished() {
    let model = Model::new();
    let (alone, _) = model.measure(&[&misbehaving!("good")]);
    let (run, outcome) = model.measure(&[&misbehaving!("vanish")]);
    outcome.assert_said(&["the link was lost; it is being opened again"]);
    assert!(!outcome.stderr.contains("lost a device"), "{}", outcome.stderr);
    assert!(json(&run.tensors) == json(&alone.tensors), "results differ");
    // At most three chunks a life, and 64 to measure.
    assert!(run.devices[0].reconnects >= 21, "{:?}", run.devices[0]);
}

/// A model of 64 chunks whose chunk number 40 crashes a driver, and a file with the crashes that are left.
fn poisoned(crashes: usize) -> (Model, String) {
    let model = Model::new();
    let mut bytes = fs::read(model.path()).expect("written");
    let start = bytes.len() - (64 - 40) * 16_384;
    bytes[start..start + 4].copy_from_slice(&12_345f32.to_le_bytes());
    fs::write(model.path(), bytes).expect("writable");
    let file = model.folder.path().join("crashes");
    fs::write(&file, vec![b'x'; crashes]).expect("writable");
    let device = format!("{} '{}'", misbehaving!("crash"), file.display());
    (model, device)
}

#[test]
fn a_driver_that_crashes_costs_the_run_nothing_but_a_restart() {
    for crashes in [1, 2] {
        let (model, device) = poisoned(crashes);
        let (alone, _) = model.measure(&[&misbehaving!("good")]);
        let (run, outcome) = model.measure(&[&device]);
        assert_eq!(run.devices[0].reconnects, crashes as u64);
        assert_eq!(outcome.stderr.matches("the link was lost; it is being opened again").count(), crashes);
        assert!(json(&run.tensors) == json(&alone.tensors), "results differ");
    }
}

#[test]
fn three_crashes_over_the_same_chunk_end_it() {
    let (model, device) = poisoned(100);
    let outcome = model.assert_fails(&device, &["its program ended 3 times over the same chunk", "4096 elements of"]);
    // Chunk 40 of 64, in tensors of 16 chunks each: the third one's ninth.
    outcome.assert_said(&["\"layers.2.weight\" from element 32768", "update the driver"]);
    // Another device measures what this one cannot.
    let (model, device) = poisoned(100);
    let (alone, _) = model.measure(&[&misbehaving!("good")]);
    let (run, outcome) = model.measure(&[&device, &misbehaving!("good")]);
    assert!(json(&run.tensors) == json(&alone.tensors), "results differ: {}", outcome.stderr);
}

#[test]
fn the_other_goes_on_when_a_device_refuses_chunks() {
    assert_the_other_goes_on("refuse");
}

#[test]
fn the_other_goes_on_when_a_device_answers_nonsense() {
    assert_the_other_goes_on("nonsense");
}

#[test]
fn the_other_goes_on_when_a_device_hangs() {
    assert_the_other_goes_on("hang");
}

#[test]
fn this_machine_goes_on_when_a_board_is_lost() {
    let model = Model::of_chunks(1024);
    let (alone, _) = model.measure(&[&misbehaving!("good")]);
    let lost = misbehaving!("refuse");
    // This machine is quick: it may have measured everything before the board gets as far as its fault, though hardly ever.
    let mut losses = 0;
    for _ in 0..10 {
        let (run, outcome) = model.measure(&[&lost, "local"]);
        assert!(json(&run.tensors) == json(&alone.tensors), "results differ");
        let said = outcome.stderr.contains("lost a device") && outcome.stderr.contains("refuse");
        assert_eq!(said, !outcome.stderr.is_empty(), "{}", outcome.stderr);
        losses += usize::from(said);
    }
    assert!(losses > 0, "the board was never lost in ten runs");
}

#[test]
fn several_devices_share_a_run_and_agree_bit_for_bit() {
    let model = Model::new();
    let good = misbehaving!("good");
    let (alone, _) = model.measure(&[&good]);
    let devices = [good.as_str(), &good, "local", "pty:"];
    for _ in 0..3 {
        let (run, outcome) = model.measure(&devices);
        assert_eq!(outcome.stderr, "", "nothing is lost");
        assert_eq!(run.devices.len(), devices.len());
        assert_eq!(shares(&run).iter().sum::<u64>(), 64, "each chunk counts once");
        assert_eq!(run.devices.iter().map(|share| share.bytes).sum::<u64>(), run.bytes);
        assert!(json(&run.tensors) == json(&alone.tensors), "results differ");
    }
    let large = Model::of_chunks(1024);
    let (run, _) = large.measure(&[&good, &good]);
    assert!(shares(&run).iter().all(|chunks| *chunks > 0), "both work: {:?}", shares(&run));
    assert!(json(&run.tensors) == json(&large.measure(&[&good]).0.tensors), "results differ");
}

#[test]
fn the_device_command_serves_on_standard_input_and_output() {
    let model = Model::new();
    let device = format!("exec:'{}' device --stdio --board bench", env!("CARGO_BIN_EXE_kurtoscope-under-test"));
    let (run, outcome) = model.measure(&[&device]);
    assert_eq!((outcome.stderr.as_str(), run.device.board.as_str()), ("", "bench"));
    assert!(json(&run.tensors) == json(&model.measure(&["local"]).0.tensors), "results differ from this machine's");
}

/// The command is a shell's command line, with all that shells understand.
#[cfg(unix)]
#[test]
fn exec_takes_any_command_line_of_the_shell() {
    let model = Model::new();
    let program = env!("CARGO_BIN_EXE_kurtoscope-under-test");
    for line in [
        format!("cd / && '{program}' device --stdio"),
        format!("LC_ALL=C '{program}' device --stdio"),
        format!("'{program}' device --stdio | cat"),
    ] {
        let device = format!("exec:{line}");
        let outcome = tested!().analyze(&model.path(), &[&device]).impatient().within(LONGEST).run();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{line}");
    }
}

#[cfg(unix)]
mod serial {
    use std::{
        fs::{File, OpenOptions},
        os::unix::{
            fs::{PermissionsExt, chown},
            process::CommandExt,
        },
        path::Path,
        process::{Command, Stdio},
    };

    use embedded_io_adapters::std::FromStd;
    use kurtoscope_firmware::{Board, Framing, Session, engine::CpuEngine, serve};
    use kurtoscope_tests::command::Tested;
    use rustix::{
        pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
        termios::{OptionalActions, ioctl_tiocexcl, tcgetattr, tcsetattr},
    };

    use super::*;

    /// A user without rights of any kind: `nobody` on Linux and the BSDs alike.
    const NOBODY: u32 = 65534;

    /// A serial port without anyone behind it.
    struct Port {
        path: String,
        master: std::os::fd::OwnedFd,
        slave: File,
    }

    impl Port {
        fn new() -> Self {
            let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
            grantpt(&master).expect("a pseudo-terminal");
            unlockpt(&master).expect("a pseudo-terminal");
            let path = ptsname(&master, Vec::new()).expect("a name").into_string().expect("UTF-8");
            let slave = OpenOptions::new().read(true).write(true).open(&path).expect("the other side");
            Self { path, master, slave }
        }

        fn url(&self) -> String {
            format!("serial:{}?baud=115200", self.path)
        }

        fn permit(&self, mode: u32) {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(mode)).expect("the port is ours");
        }
    }

    /// Measures on the port as a user to whom permissions and locks apply: root, to whom they do not, becomes nobody,
    /// with a copy of the command and of the model where nobody can read them.
    fn measure_without_privileges(url: &str) -> Outcome {
        let model = Model::new();
        let folder = model.folder.path();
        let program = folder.join("kurtoscope");
        // Copied by another process: a child that another test starts meanwhile would inherit the file open for writing,
        // and the system starts no program that is.
        let copied =
            Command::new("cp").args([Path::new(env!("CARGO_BIN_EXE_kurtoscope-under-test")), &program]).status();
        assert!(copied.is_ok_and(|status| status.success()), "the command cannot be copied");
        let change = |command: &mut Command| {
            if rustix::process::geteuid().is_root() {
                open_to_all(folder);
                command.uid(NOBODY).gid(NOBODY).current_dir("/");
            }
        };
        Tested::new(&program).analyze(&model.path(), &[url]).impatient().with(change).run()
    }

    fn piped(command: &mut Command) {
        command.stdout(Stdio::piped());
    }

    fn open_to_all(folder: &Path) {
        chown(folder, Some(NOBODY), Some(NOBODY)).expect("we are root");
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("we are root");
        }
    }

    #[test]
    fn an_absent_port() {
        Model::new().assert_fails("serial:/dev/ttyNotThere?baud=115200", &["no such port", "kurtoscope devices"]);
    }

    #[test]
    fn a_path_that_is_no_port() {
        let model = Model::new();
        let url = format!("serial:{}?baud=115200", model.path().display());
        model.assert_fails(&url, &["cannot be opened"]);
    }

    #[test]
    fn a_port_that_another_program_has() {
        let port = Port::new();
        port.permit(0o666);
        ioctl_tiocexcl(&port.slave).expect("exclusive");
        let outcome = measure_without_privileges(&port.url());
        outcome.assert_failed(&[&port.url(), "in use by another program"]);
    }

    #[test]
    fn a_port_that_is_locked() {
        // What serial programs of today do besides; it binds root as well.
        let port = Port::new();
        rustix::fs::flock(&port.slave, rustix::fs::FlockOperation::NonBlockingLockExclusive).expect("locked");
        Model::new().assert_fails(&port.url(), &["in use by another program"]);
    }

    #[test]
    fn a_port_that_may_not_be_opened() {
        let port = Port::new();
        port.permit(0o000);
        let outcome = measure_without_privileges(&port.url());
        outcome.assert_failed(&[&port.url(), "not allowed", "dialout"]);
    }

    #[test]
    fn a_port_with_nobody_behind_it() {
        let port = Port::new();
        Model::new().assert_fails(&port.url(), &["no valid answer within 0.5 s", "baud"]);
    }

    /// A device for standard input and output, on the other side of what looks like a serial port.
    #[test]
    fn a_port_whose_device_frames_in_the_other_way() {
        let port = Port::new();
        let mut attributes = tcgetattr(&port.master).expect("a terminal");
        attributes.make_raw();
        tcsetattr(&port.master, OptionalActions::Now, &attributes).expect("a terminal");
        let end = || FromStd::new(File::from(port.master.try_clone().expect("a descriptor")));
        let (reader, writer) = (end(), end());
        let board = Board { name: "bench".into(), identity: String::new() };
        let mut session = Session::new(CpuEngine::with_max_payload(1 << 14), board);
        std::thread::spawn(move || serve(&mut session, Framing::LengthPrefixed, reader, writer));
        let outcome = Model::new().assert_fails(&port.url(), &["it sends length-prefixed frames", "COBS", "exec:"]);
        assert!(!outcome.stderr.contains("no answer"), "{}", outcome.stderr);
    }

    #[test]
    fn a_board_serves_one_host_after_the_other() {
        let model = Model::new();
        let (local, _) = model.measure(&["local"]);
        let mut board = tested!().args(["device", "--pty", "--board", "bench"]).with(piped).start();
        let url = format!("serial:{}", board.first_line().trim());
        for host in 1..=3 {
            let (run, outcome) = model.measure(&[&url]);
            assert_eq!((outcome.stderr.as_str(), run.device.board.as_str()), ("", "bench"), "host {host}");
            assert!(json(&run.tensors) == json(&local.tensors), "host {host}: results differ");
            assert!(board.is_running(), "the board ended after host {host}");
        }
    }

    #[test]
    fn a_board_outlives_a_host_that_dies_in_the_middle() {
        let model = Model::new();
        let large = model.folder.path().join("large.safetensors");
        checkpoints::write_sparse(&large, 1 << 30).expect("writable");
        let (local, _) = model.measure(&["local"]);
        let mut board = tested!().args(["device", "--pty"]).with(piped).start();
        let url = format!("serial:{}", board.first_line().trim());
        for host in 1..=3 {
            let mut dying = tested!().analyze(&large, &[&url]).with(piped).start();
            std::thread::sleep(Duration::from_millis(150 * host));
            assert!(dying.is_running(), "host {host} was done too soon");
            drop(dying);
            let (run, _) = model.measure(&[&url]);
            assert!(json(&run.tensors) == json(&local.tensors), "after host {host}: results differ");
            assert!(board.is_running(), "the board ended with host {host}");
        }
    }

    #[test]
    fn a_board_that_is_to_serve_once_ends_with_its_host() {
        let model = Model::new();
        let mut board = tested!().args(["device", "--pty", "--once"]).with(piped).within(LONGEST).start();
        let url = format!("serial:{}", board.first_line().trim());
        model.measure(&[&url]);
        assert!(board.wait().success());
    }
}
