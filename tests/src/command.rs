//! Running the command under test: its exit code and everything that it says, within a time that a hang does not get.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use kurtoscope_host::record::Run;

/// Longer than any test's command takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program of this crate as a [`Tested`] command; the command under test unless another is named.
///
/// A macro, because cargo gives only integration tests the programs' paths.
#[macro_export]
macro_rules! tested {
    () => {
        $crate::command::Tested::new(env!("CARGO_BIN_EXE_kurtoscope-under-test"))
    };
}

/// The device URL of a `misbehaving-device` with this fault, under this name if one is given.
#[macro_export]
macro_rules! misbehaving {
    ($fault:expr, $name:expr) => {
        format!("exec:env KURTOSCOPE_TEST_NAME={} '{}' {}", $name, env!("CARGO_BIN_EXE_misbehaving-device"), $fault)
    };
    ($fault:expr) => {
        format!("exec:'{}' {}", env!("CARGO_BIN_EXE_misbehaving-device"), $fault)
    };
}

/// A command that is being put together.
#[derive(Debug)]
pub struct Tested {
    command: Command,
    patience: Duration,
}

/// What a command did.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Everything written to standard output.
    pub stdout: String,
    /// Everything written to standard error.
    pub stderr: String,
}

impl Tested {
    /// The program at `program`, without arguments, with an environment in which no variable changes what it prints.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "COLUMNS", "RUST_LOG"] {
            command.env_remove(variable);
        }
        Self { command, patience: PATIENCE }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// `analyze MODEL --device URL …`.
    #[must_use]
    pub fn analyze(self, model: &Path, devices: &[&str]) -> Self {
        let devices = devices.iter().flat_map(|url| ["--device", url]);
        self.args(["analyze".as_ref(), model.as_os_str()]).args(devices)
    }

    /// Gives a device that falls silent half a second instead of ten.
    #[must_use]
    pub fn impatient(self) -> Self {
        self.args(["--timeout", "0.5", "--give-up", "2"])
    }

    /// Runs the command through another: `program arguments… sh -c 'first command'`, where `first` is shell text that
    /// prepares something for it, such as mounts. The environment stays the command's.
    #[must_use]
    pub fn inside(self, program: &str, arguments: &[&str], first: &str) -> Self {
        let mut outer = Command::new(program);
        outer.args(arguments).args(["sh", "-c", &format!("{first}exec \"$@\""), "sh"]);
        outer.arg(self.command.get_program()).args(self.command.get_args());
        for (variable, value) in self.command.get_envs() {
            match value {
                Some(value) => outer.env(variable, value),
                None => outer.env_remove(variable),
            };
        }
        Self { command: outer, patience: self.patience }
    }

    /// Whatever else there is to say about the process.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Command)) -> Self {
        change(&mut self.command);
        self
    }

    /// Fails the test after this time instead of the usual two minutes.
    #[must_use]
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts the command without waiting for it. It is ended when the result is dropped.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut self) -> Started {
        self.command.stdin(Stdio::null());
        let child = self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        Started { child, deadline: Instant::now() + self.patience }
    }

    /// Runs the command to its end.
    ///
    /// # Panics
    /// When it cannot be started, does not end in time, or leaves a process behind that holds its output open.
    pub fn run(mut self) -> Outcome {
        self.command.stdout(Stdio::piped());
        self.collected()
    }

    /// Runs the command to its end with a standard output that nobody reads: the other end of its pipe is closed.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_unread(mut self) -> Outcome {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        self.command.stdout(writer);
        self.collected()
    }

    fn collected(mut self) -> Outcome {
        self.command.stderr(Stdio::piped());
        let shown = format!("{:?}", self.command);
        let mut started = self.start();
        let stdout = collect(started.child.stdout.take());
        let stderr = collect(started.child.stderr.take());
        let status = started.wait();
        // The command is gone; what keeps the pipes open now is a process that it should have ended.
        let text = |output: Receiver<String>| {
            output.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{shown}: a child of it outlives it"))
        };
        Outcome { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Runs the command with `--format json` and reads the run that it prints.
    ///
    /// # Panics
    /// As [`run`](Self::run), and when the command fails or prints no run.
    pub fn measured(self) -> (Run, Outcome) {
        let outcome = self.args(["--format", "json"]).run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let run = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("no run: {error}"));
        (run, outcome)
    }
}

/// A command that is running.
#[derive(Debug)]
pub struct Started {
    /// The process.
    pub child: Child,
    deadline: Instant,
}

impl Started {
    /// Waits for the end.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn wait(&mut self) -> ExitStatus {
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status,
                Ok(None) if Instant::now() < self.deadline => thread::sleep(Duration::from_millis(2)),
                outcome => panic!("process {}: no end in time: {outcome:?}", self.child.id()),
            }
        }
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The first line of standard output, which must have been piped. The rest stays unread, and the pipe is closed.
    ///
    /// # Panics
    /// When there is no line in time.
    pub fn first_line(&mut self) -> String {
        let stdout = self.child.stdout.take().expect("standard output is piped");
        let (give, line) = channel();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::with_capacity(1, stdout).read_line(&mut line);
            let _ = give.send(line);
        });
        line.recv_timeout(PATIENCE).expect("a line in time")
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// Checks that the command failed as commands should: exit code 1, nothing on standard output, and one message on
    /// standard error, beside those about links that were lost and opened again, that has all of `words`.
    ///
    /// # Panics
    /// When it did anything else.
    pub fn assert_failed(&self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(self.stdout, "", "nothing but results belongs on standard output");
        let is_failure = |line: &&str| line.starts_with("kurtoscope: ") && !line.contains(": the link was lost; it is");
        assert_eq!(self.stderr.lines().filter(is_failure).count(), 1, "one message:\n{}", self.stderr);
        self.assert_said(words);
    }

    /// Everything that it printed.
    pub fn said(&self) -> String {
        format!("{}{}", self.stderr, self.stdout)
    }

    /// Checks that standard error has all of `words` and no panic.
    ///
    /// # Panics
    /// When it lacks one.
    pub fn assert_said(&self, words: &[&str]) {
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in: {}", self.stderr);
        }
    }
}

/// Reads a pipe to its end on a thread of its own.
fn collect<R: Read + Send + 'static>(pipe: Option<R>) -> Receiver<String> {
    let (give, text) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = give.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    text
}

/// The names in a folder, sorted; none where it does not exist.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The folder of fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}
