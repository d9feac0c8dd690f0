//! `qemu:MACHINE[?console=FILE]`: a board that QEMU emulates, with the firmware that a real one would run; which firmware
//! that is, and building it, is the caller's. Its UART is a unix socket in a folder that only this user can open.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use kurtoscope_shared::frame::Framing;

use super::{Link, LinkError, LinkOptions, UrlError, address::Address};
#[cfg(unix)]
use unix::open;

/// `qemu:MACHINE[?console=FILE]`: a board that QEMU emulates, with its own firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuAddress {
    /// The machine, or the board's name: `mps2-an386`.
    pub machine: String,
    /// Where to write what the board writes to its console.
    pub console: Option<PathBuf>,
}

impl fmt::Display for QemuAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "qemu:{}", self.machine)?;
        self.console.as_ref().map_or(Ok(()), |file| write!(f, "?console={}", file.display()))
    }
}

impl Address for QemuAddress {
    const SCHEME: &'static str = "qemu";
    const SYNTAX: &'static str = "qemu:MACHINE[?console=FILE]";
    const SUMMARY: &'static str = "a microcontroller that QEMU emulates, with its own firmware, built on first use";
    const FRAMING: Framing = Framing::Cobs;
    const STARTS_SLOWLY: bool = true;

    fn parse(rest: &str) -> Result<Self, UrlError> {
        let (machine, option) = rest.split_once('?').unwrap_or((rest, ""));
        if machine.is_empty() {
            let (url, missing, example) = (format!("qemu:{rest}"), "the machine", "qemu:mps2-an386");
            return Err(UrlError::Missing { url, missing, example });
        }
        let console = match option.strip_prefix("console=").filter(|file| !file.is_empty()) {
            None if !option.is_empty() => {
                let problem = "is not an option of boards in QEMU; there is `console=FILE`";
                return Err(UrlError::Option { text: option.into(), problem });
            }
            file => file.map(PathBuf::from),
        };
        Ok(Self { machine: machine.into(), console })
    }

    fn open(&self, options: &LinkOptions) -> Result<Link, LinkError> {
        open(&self.machine, self.console.as_deref(), options)
    }
}

#[cfg(not(unix))]
fn open(_: &str, _: Option<&Path>, _: &LinkOptions) -> Result<Link, LinkError> {
    let kind = std::io::ErrorKind::Unsupported;
    Err(LinkError::Other(std::io::Error::new(kind, "this system has no unix sockets; use local")))
}

#[cfg(unix)]
mod unix {
    use std::{
        ffi::OsString,
        fs::{self, File},
        io,
        os::unix::net::{UnixListener, UnixStream},
        process::{Child, Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    use super::{Address, Link, LinkError, LinkOptions, Path, QemuAddress};
    use crate::link::{Process, QemuMachine};

    /// How long QEMU may take to start.
    const START: Duration = Duration::from_secs(20);
    /// Between two looks whether it has connected, or has ended.
    const POLL_INTERVAL: Duration = Duration::from_millis(2);

    /// Starts QEMU and, when the input of this shell ends, ends it: however this program ends, its input does.
    const KEEPER: &str = r#"exec 3<&0; "$@" 3<&- & qemu=$!; { read -r _; kill $qemu; } <&3 2>/dev/null & end=$!
exec 3<&-; wait $qemu; status=$?; kill $end 2>/dev/null; exit $status"#;

    /// Starts QEMU on the machine that the URL calls `name` and connects. What the board writes to its console goes to the
    /// file `console`.
    pub(super) fn open(name: &str, console: Option<&Path>, options: &LinkOptions) -> Result<Link, LinkError> {
        let machine = options.qemu_machines.iter().find(|machine| machine.name == name);
        let machine = machine.ok_or_else(|| LinkError::UnknownMachine { machine: name.into() })?;
        let program = || machine.program.clone();
        let folder = tempfile::Builder::new().prefix("kurtoscope-qemu").tempdir().map_err(LinkError::Other)?;
        let (socket, errors) = (folder.path().join("link"), folder.path().join("errors"));
        let listener = UnixListener::bind(&socket).map_err(LinkError::Other)?;
        let mut child = Command::new("sh")
            .args(["-c", KEEPER, "sh", &machine.program])
            .args(arguments(machine, &socket, console))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(&errors).map_err(LinkError::Other)?)
            .spawn()
            .map_err(|source| LinkError::Start { program: program(), source })?;
        let accepted = accept(&listener, &mut child);
        // From here on QEMU ends with the link, whatever happens.
        let process = Process::from(child);
        let Some(stream) = accepted.map_err(LinkError::Other)? else {
            let output = String::from_utf8_lossy(&fs::read(&errors).unwrap_or_default()).trim().to_owned();
            return Err(LinkError::Qemu { program: program(), output });
        };
        let reader = stream.try_clone().map_err(LinkError::Other)?;
        let framing = QemuAddress::FRAMING;
        Ok(Link { reader: Box::new(reader), writer: Box::new(stream), framing, process: Some(process) })
    }

    fn arguments(machine: &QemuMachine, socket: &Path, console: Option<&Path>) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            ["-M", &machine.machine, "-display", "none", "-monitor", "none"].map(Into::into).into();
        arguments.extend(machine.arguments.iter().map(Into::into));
        arguments.extend(["-chardev".into(), value("socket,id=link,path=", socket)]);
        arguments.extend(["-serial", "chardev:link"].map(Into::into));
        match console {
            Some(file) => {
                arguments.extend(["-chardev".into(), value("file,id=console,path=", file)]);
                arguments.extend(["-serial", "chardev:console"].map(Into::into));
            }
            None => arguments.extend(["-serial", "null"].map(Into::into)),
        }
        arguments.extend(["-kernel".into(), machine.firmware.clone().into()]);
        arguments
    }

    /// `key` and a path behind it, in which QEMU requires commas doubled.
    fn value(key: &str, path: &Path) -> OsString {
        let mut value = OsString::from(key);
        match path.to_str() {
            Some(path) => value.push(path.replace(',', ",,")),
            None => value.push(path),
        }
        value
    }

    /// Waits for QEMU to connect; `None` when it ends instead, or does not within [`START`].
    fn accept(listener: &UnixListener, child: &mut Child) -> io::Result<Option<UnixStream>> {
        listener.set_nonblocking(true)?;
        let start = Instant::now();
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    return Ok(Some(stream));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if start.elapsed() > START || child.try_wait()?.is_some() {
                return Ok(None);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn commas_in_paths_are_doubled() {
            assert_eq!(value("path=", Path::new("/a,b/c")), "path=/a,,b/c");
        }

        #[test]
        fn a_machine_that_was_not_described_is_named() {
            let error = open("toaster", None, &LinkOptions::default()).expect_err("not described");
            assert!(matches!(&error, LinkError::UnknownMachine { machine } if machine == "toaster"), "{error}");
        }

        /// The shell around QEMU, with a program in QEMU's place that would run for a minute.
        #[test]
        fn what_was_started_ends_with_the_link() {
            let mut command = Command::new("sh");
            command.args(["-c", KEEPER, "sh", "sh", "-c", "echo $$; exec sleep 60"]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
            let mut line = String::new();
            let mut output = io::BufReader::new(child.stdout.take().expect("piped"));
            io::BufRead::read_line(&mut output, &mut line).expect("a number");
            let started: i32 = line.trim().parse().expect("a number");
            let is_running = || {
                let process = rustix::process::Pid::from_raw(started).expect("not zero");
                rustix::process::test_kill_process(process).is_ok()
            };
            assert!(is_running());
            drop(Process::from(child));
            let until = Instant::now() + Duration::from_secs(10);
            while is_running() && Instant::now() < until {
                thread::sleep(Duration::from_millis(5));
            }
            assert!(!is_running(), "process {started} was left behind");
        }
    }
}
