//! `kurtoscope demo` as a new user sees it: the files, the label, the planted outliers, and an output that behaves in
//! pipes and on terminals.

use std::{fs, process::Stdio};

use kurtoscope_host::{
    record::{Role, Run},
    run_file,
};
use kurtoscope_shared::Moments;
use kurtoscope_tests::{command::names, direct::Stored, tested};

/// The accuracy that the processor's engine promises.
const ACCURACY: f64 = 1e-10;

#[test]
fn leaves_the_model_and_three_reports() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("demo");
    // Chunks of one size, whatever rate a busy machine gives the link: the same bits on both devices.
    let chunks = ["--chunk-bytes", "1048576"];
    let outcome = tested!().args(["demo".as_ref(), "--out".as_ref(), out.as_os_str()]).args(chunks).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(names(&out), ["model", "report.md", "run.json", "tensors.csv"]);
    assert_eq!(names(&out.join("model")), ["config.json", "model.safetensors"]);
    assert!(outcome.stdout.starts_with("SYNTHETIC"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains('\u{1b}'), "no escape sequences in a pipe");
    let markdown = fs::read_to_string(out.join("report.md")).expect("a report");
    assert!(markdown.lines().next().expect("a line").contains("SYNTHETIC"), "{markdown}");

    let run = run_file::read(&out.join("run.json")).expect("run.json is a run");
    assert!(run.model.synthetic);
    assert_eq!(run.device.url, if cfg!(unix) { "pty:" } else { "local" });
    planted_outlier_is_the_worst(&run, &outcome.stdout);

    let stored = Stored::read(&out.join("model"), &run);
    for tensor in &run.tensors {
        let direct = Moments::from_values(stored.values(&tensor.name).iter().copied());
        match (tensor.kurtosis, direct.kurtosis()) {
            (Some(found), Some(expected)) => {
                assert!((found / expected - 1.0).abs() <= ACCURACY, "{}: {found}, should be {expected}", tensor.name);
            }
            (found, expected) => assert_eq!(found, expected, "{}", tensor.name),
        }
        stored.check_top(tensor);
    }

    let csv = fs::read_to_string(out.join("tensors.csv")).expect("a table");
    assert_eq!(csv.lines().count(), run.tensors.len() + 1, "a line a tensor and one of names");

    // The model that it leaves is a model like any other, and keeps its label.
    let (again, _) = tested!().analyze(&out.join("model"), &["local"]).args(chunks).measured();
    assert!(again.model.synthetic);
    assert_eq!(again.tensors, run.tensors);
}

fn planted_outlier_is_the_worst(run: &Run, report: &str) {
    let weights = run.tensors.iter().filter(|tensor| tensor.role == Role::Parameter && tensor.kurtosis.is_some());
    let worst = weights.max_by(|a, b| a.kurtosis.partial_cmp(&b.kurtosis).expect("numbers")).expect("weights");
    assert_eq!(worst.name, "model.decoder.layers.1.self_attn.out_proj.weight");
    assert_eq!((&worst.top[0].index[..], worst.layer), (&[37, 201][..], Some(1)));
    assert!(worst.kurtosis_without_top.one < Some(3.1), "one weight carries all of it: {worst:?}");
    let finding = report.lines().find(|line| line.contains("heaviest tail")).expect("a finding");
    assert!(finding.contains(&worst.name), "{finding}");
    assert!(report.contains("[37, 201]"), "{report}");
}

#[test]
fn the_model_is_the_same_every_time() {
    let measured = || tested!().args(["demo", "--device", "local"]).measured().0;
    let (one, other) = (measured(), measured());
    assert_eq!(one.tensors, other.tensors);
    assert_eq!(one.model.fingerprint, other.model.fingerprint);
}

#[test]
fn without_a_folder_nothing_is_left_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (temporary, here) = (folder.path().join("tmp"), folder.path().join("here"));
    fs::create_dir(&temporary).expect("writable");
    fs::create_dir(&here).expect("writable");
    let outcome = tested!()
        .args(["demo", "--device", "local"])
        .with(|command| {
            command.env("TMPDIR", &temporary).current_dir(&here);
        })
        .run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!((names(&temporary), names(&here)), (vec![], vec![]));
}

#[test]
fn quiet_prints_nothing_on_standard_error() {
    let outcome = tested!().args(["demo", "--quiet"]).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert!(outcome.stdout.starts_with("SYNTHETIC"));
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    for format in ["json", "markdown", "table"] {
        let mut started = tested!()
            .args(["demo", "--device", "local", "--format", format])
            .with(|command| {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
            })
            .start();
        // As `| head -1` does: one line, then the pipe is closed with most of the output unwritten.
        let line = started.first_line();
        assert!(!line.is_empty(), "{format}");
        let mut stderr = started.child.stderr.take().expect("piped");
        let status = started.wait();
        let said = std::io::read_to_string(&mut stderr).expect("text");
        assert_eq!((status.code(), said.as_str()), (Some(0), ""), "{format}");
    }
}

#[cfg(unix)]
mod terminal {
    use std::{
        fs::File,
        io::Read,
        process::{Command, Stdio},
        thread,
    };

    use kurtoscope_tests::tested;
    use rustix::{
        pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
        termios::{Winsize, tcsetwinsize},
    };

    /// What the demo prints on a terminal of 90 columns.
    fn on_a_terminal(change: impl FnOnce(&mut Command)) -> String {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&master).expect("a pseudo-terminal");
        unlockpt(&master).expect("a pseudo-terminal");
        let path = ptsname(&master, Vec::new()).expect("a name").into_string().expect("UTF-8");
        let slave = File::options().read(true).write(true).open(path).expect("the other side");
        let size = Winsize { ws_row: 40, ws_col: 90, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&slave, size).expect("a size");
        let mut master = File::from(master);
        let reader = thread::spawn(move || {
            let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
            // The terminal ends with an error once nobody has its other side open.
            while let Ok(read @ 1..) = master.read(&mut buffer) {
                text.extend(&buffer[..read]);
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut started = tested!()
            .args(["demo", "--device", "local", "--quiet"])
            .with(|command| {
                command.stdout(Stdio::from(slave)).env("TERM", "xterm-256color");
            })
            .with(change)
            .start();
        assert_eq!(started.wait().code(), Some(0));
        drop(started);
        reader.join().expect("a reader")
    }

    #[test]
    fn colours_on_a_terminal_unless_disabled() {
        let colored = on_a_terminal(|_| ());
        assert!(colored.contains('\u{1b}'), "{colored}");
        for (variable, value) in [("NO_COLOR", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")] {
            let plain = on_a_terminal(|command| {
                command.env(variable, value);
            });
            assert!(plain.contains("SYNTHETIC"), "{plain}");
            assert!(!plain.contains('\u{1b}'), "{variable}={value}: {plain}");
        }
    }

    #[test]
    fn tables_fit_the_terminal() {
        let text = on_a_terminal(|command| {
            command.env("NO_COLOR", "1");
        });
        for line in text.lines() {
            // A name cannot be broken.
            let words = line.split_whitespace().count();
            assert!(line.trim_end().chars().count() <= 90 || words == 1, "too wide: {line}");
        }
    }
}
