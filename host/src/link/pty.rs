//! `pty:`: a virtual board. This program starts itself once more as `kurtoscope device --pty`, in a process of its own
//! behind a pseudo-terminal, and talks to it as to a serial port.

use super::{DeviceUrl, Link, LinkError};

#[cfg(unix)]
pub(super) fn open(url: &DeviceUrl) -> Result<Link, LinkError> {
    use std::{
        fs::OpenOptions,
        io::{BufRead, BufReader},
        os::unix::fs::OpenOptionsExt,
        process::{Command, Stdio},
    };

    use kurtoscope_shared::frame::Framing;
    use rustix::{fs::OFlags, termios};

    use super::Process;

    let other = |source| LinkError::Other { url: url.to_string(), source };
    let program = std::env::current_exe().map_err(other)?;
    let mut child = Command::new(&program)
        .args(["device", "--pty", "--once"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| LinkError::Start { url: url.to_string(), program: program.display().to_string(), source })?;
    let stdout = child.stdout.take();
    // From here on the board ends with the link, whatever happens.
    let process = Process(child);
    let mut line = String::new();
    if let Some(stdout) = stdout {
        BufReader::new(stdout).read_line(&mut line).map_err(other)?;
    }
    let path = line.trim();
    if !path.starts_with('/') {
        return Err(LinkError::NoTerminal { url: url.to_string(), found: path.into() });
    }
    let no_terminal_of_ours = OFlags::NOCTTY.bits() as i32;
    let terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(no_terminal_of_ours)
        .open(path)
        .map_err(|source| LinkError::from_open(url, source))?;
    let raw = termios::tcgetattr(&terminal).and_then(|mut attributes| {
        attributes.make_raw();
        termios::tcsetattr(&terminal, termios::OptionalActions::Now, &attributes)
    });
    raw.map_err(|errno| other(errno.into()))?;
    let reader = terminal.try_clone().map_err(other)?;
    Ok(Link { reader: Box::new(reader), writer: Box::new(terminal), framing: Framing::Cobs, process: Some(process) })
}

#[cfg(not(unix))]
pub(super) fn open(url: &DeviceUrl) -> Result<Link, LinkError> {
    let source = std::io::Error::new(std::io::ErrorKind::Unsupported, "this system has no pseudo-terminals; use local");
    Err(LinkError::Other { url: url.to_string(), source })
}
