//! `exec:COMMAND`: a program that speaks the protocol on its standard input and output, through ssh or here.

use std::{
    fmt,
    process::{Command, Stdio},
};

use kurtoscope_shared::frame::Framing;

use super::{Link, LinkError, LinkOptions, Process, UrlError, address::Address, stream::pipes};

/// `exec:COMMAND`: a program that speaks the protocol on its standard input and output, started by a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecAddress {
    /// The command line.
    pub command: String,
}

impl fmt::Display for ExecAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exec:{}", self.command)
    }
}

impl Address for ExecAddress {
    const SCHEME: &'static str = "exec";
    const SYNTAX: &'static str = "exec:COMMAND";
    const SUMMARY: &'static str = "a program that speaks the protocol on its standard input and output, such as \
                                   `ssh pi@board kurtoscope-device --stdio`";
    const FRAMING: Framing = Framing::LengthPrefixed;

    fn parse(rest: &str) -> Result<Self, UrlError> {
        if rest.trim().is_empty() {
            let example = "exec:ssh pi@board kurtoscope-device --stdio";
            return Err(UrlError::Missing { url: format!("exec:{rest}"), missing: "the command", example });
        }
        Ok(Self { command: rest.into() })
    }

    fn open(&self, _: &LinkOptions) -> Result<Link, LinkError> {
        open(&self.command)
    }
}

/// Starts the command in a shell. What it writes to standard error goes to ours.
///
/// It stays in our process group, so that ssh may ask for a password on the terminal.
fn open(command: &str) -> Result<Link, LinkError> {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    // `exec` replaces the shell, so that ending the child ends the device and not just a shell in front of it. A line
    // that needs the shell keeps it; then the end of its input ends the device.
    let line = if cfg!(unix) && is_simple(command) { format!("exec {command}") } else { command.to_owned() };
    let started = Command::new(shell).args([flag, &line]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|source| LinkError::Start { program: shell.into(), source })?;
    let (writer, reader) = pipes(&mut child).map_err(LinkError::Other)?;
    widen(&writer);
    Ok(Link {
        reader: Box::new(reader),
        writer: Box::new(writer),
        framing: ExecAddress::FRAMING,
        process: Some(Process::from(child)),
    })
}

/// Makes a pipe to a child hold a whole chunk, so that neither side waits for the other in small steps. Where the system
/// does not, the pipe is slower and otherwise the same.
#[cfg(target_os = "linux")]
fn widen(pipe: impl std::os::fd::AsFd) {
    const PIPE_BYTES: usize = 1 << 20;
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
}

#[cfg(not(target_os = "linux"))]
fn widen<T>(_pipe: T) {}

/// Whether a command line is one program with arguments: no lists, pipes, redirections or assignments, and a program
/// named by its path or known not to be built into the shell.
fn is_simple(command: &str) -> bool {
    let first = command.split_whitespace().next().unwrap_or_default();
    let is_program = first.trim_start_matches(['\'', '"']).starts_with('/') || first == "ssh";
    is_program && !command.contains(['&', ';', '|', '<', '>', '(', ')', '`', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_programs_replace_the_shell() {
        for line in ["ssh pi@board kurtoscope-device --stdio", "/opt/device --stdio", "'/opt/my device' --stdio"] {
            assert!(is_simple(line), "{line}");
        }
        for line in
            ["cd / && /opt/device", "RUST_LOG=debug /opt/device", "/opt/device; true", "cd /", ". ./env", "device"]
        {
            assert!(!is_simple(line), "{line}");
        }
    }
}
