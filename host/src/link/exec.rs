//! `exec:COMMAND`: a program that speaks the protocol on its standard input and output, through ssh or here.

use std::process::{Command, Stdio};

use super::{DeviceUrl, Link, LinkError, Process};

/// Starts the command in a shell. What it writes to standard error goes to ours.
pub(super) fn open(url: &DeviceUrl, command: &str) -> Result<Link, LinkError> {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    // `exec` replaces the shell, so that ending the child ends the device and not just a shell in front of it.
    let line = if cfg!(windows) { command.to_owned() } else { format!("exec {command}") };
    let failed = |source| LinkError::Start { url: url.to_string(), program: shell.into(), source };
    let mut child =
        Command::new(shell).args([flag, &line]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let (Some(writer), Some(reader)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed(std::io::Error::other("the child has no pipes")));
    };
    Ok(Link { reader: Box::new(reader), writer: Box::new(writer), process: Some(Process(child)) })
}
