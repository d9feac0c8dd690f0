//! A Linux board behind the user's own `ssh`, with its keys and its configuration. Everything is done by short shell
//! scripts that need `sh` and coreutils or busybox on the board; file contents travel on standard input.

use std::{
    io::{self, Write},
    process::{Command, Output, Stdio},
    thread,
};

use super::{
    error::FlashError,
    linux::Questions,
    plan::{Action, Put},
    script::{self, quote},
    site::Site,
    survey::{Privilege, Survey},
};

/// Exit code of ssh itself, as opposed to those of the commands that it runs.
const SSH_FAILED: i32 = 255;
/// A host that does not answer, or answers no more, is given up, whatever the user's own settings say.
const OPTIONS: [&str; 6] = ["-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=4"];

/// A board at the other end of ssh.
#[derive(Debug)]
pub struct Ssh {
    to: String,
    privilege: Privilege,
}

impl Ssh {
    /// The board at `to`: `USER@HOST`, `ssh://USER@HOST:PORT` or a name from the user's configuration.
    ///
    /// # Errors
    /// When that could be taken for an option.
    pub fn new(to: &str) -> Result<Self, FlashError> {
        if to.is_empty() || to.starts_with('-') || to.contains(char::is_whitespace) {
            return Err(FlashError::Host(to.into()));
        }
        Ok(Self { to: to.into(), privilege: Privilege::None })
    }

    /// The device URL under which a program on the board is reached through the same ssh.
    pub fn url(&self, command: &[&str]) -> String {
        // Quoted once for the shell there, and with that once for the shell here.
        let there = command.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
        let here = if there.contains('\'') { quote(&there) } else { there };
        format!("exec:ssh {} {here}", quote(&self.to))
    }

    /// Runs a script there, as root if the survey found out how.
    fn run(&self, script: &str, input: &[u8]) -> Result<Output, FlashError> {
        let script = match self.privilege {
            Privilege::Sudo => format!("exec sudo -n sh -c {}", quote(script)),
            Privilege::Root | Privilege::None => script.to_owned(),
        };
        // The login shell there may be another; what it has to understand is this: quoting, over several lines.
        let line = format!("exec sh -c {}", quote(&script));
        let mut child = Command::new("ssh")
            .args(OPTIONS)
            .args(["--", &self.to, &line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(FlashError::NoSsh)?;
        let stdin = child.stdin.take();
        let output = thread::scope(|scope| {
            scope.spawn(move || {
                // A script that ends before it has read everything has reported why on its standard error.
                let _ = stdin.map(|mut stdin| stdin.write_all(input));
            });
            child.wait_with_output()
        })
        .map_err(FlashError::NoSsh)?;
        if output.status.code() == Some(SSH_FAILED) || output.status.code().is_none() {
            return Err(FlashError::Refused { place: self.to.clone(), message: message(&output) });
        }
        Ok(output)
    }
}

impl Site for Ssh {
    fn place(&self) -> String {
        self.to.clone()
    }

    fn survey(&mut self, questions: &Questions) -> Result<Survey, FlashError> {
        let output = self.run(&script::survey(questions), &[])?;
        let survey = script::read_survey(&String::from_utf8_lossy(&output.stdout), questions)
            .ok_or_else(|| FlashError::NoShell { place: self.to.clone(), message: message(&output) })?;
        self.privilege = survey.privilege;
        Ok(survey)
    }

    fn carry_out(&mut self, what: &str, action: &Action) -> Result<(), FlashError> {
        let input = match action {
            Action::Put(put) => put.content.bytes(),
            _ => &[],
        };
        let output = self.run(&script::action(action), input)?;
        if output.status.success() {
            return Ok(());
        }
        Err(self.failure(what, action, &output))
    }

    fn shown(&self, action: &Action) -> String {
        script::action(action)
    }
}

impl Ssh {
    /// Classifies a script's message by what the user can do about it.
    fn failure(&self, what: &str, action: &Action, output: &Output) -> FlashError {
        let place = self.to.clone();
        let message = message(output);
        let path = match action {
            Action::Put(Put { path, .. }) | Action::Delete { path } => path.clone(),
            Action::Enable | Action::Start | Action::Disable | Action::Forget => super::linux::UNIT.into(),
        };
        if message.contains("No space left on device") || message.contains("Disk quota exceeded") {
            let needed = if let Action::Put(put) = action { put.content.bytes().len() as u64 } else { 0 };
            return FlashError::Full { place, path, needed, free: None };
        }
        if message.contains("Read-only file system") {
            return FlashError::ReadOnly { place, path };
        }
        match (output.status.code(), action) {
            (Some(script::DAMAGED), _) => FlashError::Damaged { place, path },
            (Some(script::DOES_NOT_STAY), Action::Start) => FlashError::Service { place, message },
            (Some(script::DOES_NOT_RUN), _) => FlashError::DoesNotRun { place, message },
            (Some(script::OTHER_VERSION), Action::Put(Put { version: Some(version), .. })) => {
                FlashError::OtherVersion { place, found: message, expected: expected(version) }
            }
            _ => FlashError::Step { place, what: what.into(), message },
        }
    }
}

/// The version in what a program prints for `--version`.
fn expected(printed: &str) -> String {
    printed.rsplit(' ').next().unwrap_or(printed).into()
}

/// The output of a command, in one line.
fn message(output: &Output) -> String {
    let text = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    let text = text.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    if text.is_empty() {
        return io::Error::other(format!("nothing, and ended with {}", output.status)).to_string();
    }
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
