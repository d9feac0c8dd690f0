//! `pty:`: a virtual board. The device program runs in a process of its own behind a pseudo-terminal, which is used as a
//! serial port would be.

use std::fmt;

use kurtoscope_shared::frame::Framing;

use super::{Link, LinkError, LinkOptions, UrlError, address::Address};

/// `pty:`: a virtual board, the device program behind a pseudo-terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PtyAddress;

impl fmt::Display for PtyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pty:")
    }
}

impl Address for PtyAddress {
    const SCHEME: &'static str = "pty";
    const SYNTAX: &'static str = "pty:";
    const SUMMARY: &'static str = "a virtual board: the CPU engine in a process of its own, behind a pseudo-terminal";
    const FRAMING: Framing = Framing::Cobs;

    fn parse(rest: &str) -> Result<Self, UrlError> {
        if !rest.is_empty() {
            let problem = "names a terminal, which is made anew for each virtual board: write pty:, or serial:PATH for a \
                           terminal that is there";
            return Err(UrlError::Address { url: format!("pty:{rest}"), problem });
        }
        Ok(Self)
    }

    fn open(&self, options: &LinkOptions) -> Result<Link, LinkError> {
        open(options)
    }
}

#[cfg(unix)]
fn open(options: &LinkOptions) -> Result<Link, LinkError> {
    use std::{
        fs::OpenOptions,
        io::{BufRead, BufReader},
        os::unix::fs::OpenOptionsExt,
    };

    use rustix::{fs::OFlags, termios};

    use super::{DeviceProgram, Process};

    let program = options.pty_program.clone().unwrap_or_else(DeviceProgram::find);
    let name = || program.path.display().to_string();
    let started = program.command(&["--pty", "--once"]).spawn();
    let mut child = started.map_err(|source| LinkError::Start { program: name(), source })?;
    let stdout = child.stdout.take();
    // From here on the board ends with the link, whatever happens.
    let process = Process::from(child);
    let mut line = String::new();
    if let Some(stdout) = stdout {
        BufReader::new(stdout).read_line(&mut line).map_err(LinkError::Other)?;
    }
    let path = line.trim();
    if !path.starts_with('/') {
        return Err(LinkError::NoTerminal { program: name(), found: path.into() });
    }
    let no_controlling_terminal = OFlags::NOCTTY.bits() as i32;
    let terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(no_controlling_terminal)
        .open(path)
        .map_err(LinkError::from_open)?;
    let raw = termios::tcgetattr(&terminal).and_then(|mut attributes| {
        attributes.make_raw();
        termios::tcsetattr(&terminal, termios::OptionalActions::Now, &attributes)
    });
    raw.map_err(|errno| LinkError::Other(errno.into()))?;
    let reader = terminal.try_clone().map_err(LinkError::Other)?;
    Ok(Link {
        reader: Box::new(reader),
        writer: Box::new(terminal),
        framing: PtyAddress::FRAMING,
        process: Some(process),
    })
}

#[cfg(not(unix))]
fn open(_: &LinkOptions) -> Result<Link, LinkError> {
    let kind = std::io::ErrorKind::Unsupported;
    Err(LinkError::Other(std::io::Error::new(kind, "this system has no pseudo-terminals; use local")))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::link::DeviceProgram;

    fn open_with(program: &str) -> LinkError {
        let pty_program = Some(DeviceProgram { path: program.into(), arguments: vec!["device".into()] });
        open(&LinkOptions { pty_program, ..LinkOptions::default() }).expect_err("no device program")
    }

    #[test]
    fn the_program_that_was_given_is_started_with_its_arguments_first() {
        let error = open_with("echo");
        assert!(matches!(&error, LinkError::NoTerminal { found, .. } if found == "device --pty --once"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = open_with("/no/such/program");
        assert!(matches!(&error, LinkError::Start { program, .. } if program == "/no/such/program"), "{error}");
    }
}
