//! `qemu:MACHINE[?console=FILE]`: a board that QEMU imitates, with the firmware that a real one would run. Built on first use;
//! its UART is a unix socket in a folder that only this user can open.

#[cfg(unix)]
pub(super) use unix::open;

#[cfg(not(unix))]
pub(super) fn open(
    url: &super::DeviceUrl,
    _: &str,
    _: Option<&std::path::Path>,
) -> Result<super::Link, super::LinkError> {
    let source = std::io::Error::new(std::io::ErrorKind::Unsupported, "this system has no unix sockets; use local");
    Err(super::LinkError::Other { url: url.to_string(), source })
}

#[cfg(unix)]
mod unix {
    use std::{
        env,
        ffi::OsString,
        fs::{self, File},
        io::{self, IsTerminal},
        os::unix::net::{UnixListener, UnixStream},
        path::Path,
        process::{Child, Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    use kurtoscope_shared::frame::Framing;

    use crate::{
        board::{self, BuildRequest, Catalogue, Qemu},
        link::{DeviceUrl, Link, LinkError, Process},
    };

    /// How long QEMU may take to start.
    const START: Duration = Duration::from_secs(20);

    /// Starts QEMU and, when the input of this shell ends, ends it: however this program ends, its input does.
    const KEEPER: &str = r#"exec 3<&0; "$@" 3<&- & qemu=$!; { read -r _; kill $qemu; } <&3 2>/dev/null & end=$!
exec 3<&-; wait $qemu; status=$?; kill $end 2>/dev/null; exit $status"#;

    /// Builds the firmware of the board that stands for `machine`, starts QEMU on it and connects. What the board says on
    /// its console goes to the file `console`.
    pub(in crate::link) fn open(url: &DeviceUrl, machine: &str, console: Option<&Path>) -> Result<Link, LinkError> {
        let other = |source| LinkError::Other { url: url.to_string(), source };
        let unusable = |source| LinkError::Board { url: url.to_string(), source: Box::new(source) };
        let board = Catalogue::load(None).and_then(|catalogue| catalogue.find_in_qemu(machine)).map_err(unusable)?;
        let Some(qemu) = board.description.qemu.as_ref() else {
            return Err(LinkError::NotInQemu { url: url.to_string(), board: board.description.name });
        };
        if !is_on_path(&qemu.program) {
            let (program, package) = (qemu.program.clone(), qemu.package.clone());
            return Err(LinkError::NoQemu { url: url.to_string(), program, package });
        }
        // The first build takes minutes: whoever waits on a terminal sees how far it is.
        let request = BuildRequest { board: &board, show: io::stderr().is_terminal() };
        let built = board::build(request).map_err(unusable)?;

        let folder = tempfile::Builder::new().prefix("kurtoscope-qemu").tempdir().map_err(other)?;
        let (socket, said) = (folder.path().join("link"), folder.path().join("said"));
        let listener = UnixListener::bind(&socket).map_err(other)?;
        let arguments = arguments(qemu, &built.program, &socket, console);
        let mut child = Command::new("sh")
            .args(["-c", KEEPER, "sh", &qemu.program])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(&said).map_err(other)?)
            .spawn()
            .map_err(|source| LinkError::Start { url: url.to_string(), program: qemu.program.clone(), source })?;
        let accepted = accept(&listener, &mut child);
        // From here on QEMU ends with the link, whatever happens.
        let process = Process::from(child);
        let Some(stream) = accepted.map_err(other)? else {
            let said = String::from_utf8_lossy(&fs::read(&said).unwrap_or_default()).trim().to_owned();
            return Err(LinkError::Qemu { url: url.to_string(), program: qemu.program.clone(), said });
        };
        let reader = stream.try_clone().map_err(other)?;
        Ok(Link { reader: Box::new(reader), writer: Box::new(stream), framing: Framing::Cobs, process: Some(process) })
    }

    fn arguments(qemu: &Qemu, program: &Path, socket: &Path, console: Option<&Path>) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            ["-M", &qemu.machine, "-display", "none", "-monitor", "none"].map(Into::into).into();
        arguments.extend(qemu.arguments.iter().map(Into::into));
        arguments.extend(["-chardev".into(), value("socket,id=link,path=", socket)]);
        arguments.extend(["-serial", "chardev:link"].map(Into::into));
        match console {
            Some(file) => {
                arguments.extend(["-chardev".into(), value("file,id=console,path=", file)]);
                arguments.extend(["-serial", "chardev:console"].map(Into::into));
            }
            None => arguments.extend(["-serial", "null"].map(Into::into)),
        }
        arguments.extend(["-kernel".into(), program.into()]);
        arguments
    }

    /// `key` and a path behind it, in which QEMU wants commas doubled.
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
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn is_on_path(program: &str) -> bool {
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(program).is_file())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn commas_in_paths_are_doubled() {
            assert_eq!(value("path=", Path::new("/a,b/c")), "path=/a,,b/c");
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
            let alive = || {
                let process = rustix::process::Pid::from_raw(started).expect("not zero");
                rustix::process::test_kill_process(process).is_ok()
            };
            assert!(alive());
            drop(Process::from(child));
            let until = Instant::now() + Duration::from_secs(10);
            while alive() && Instant::now() < until {
                thread::sleep(Duration::from_millis(5));
            }
            assert!(!alive(), "process {started} was left behind");
        }
    }
}
