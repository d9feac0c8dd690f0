//! What was found on a Linux board before anything is changed.

use std::collections::BTreeMap;

/// How the steps become root on the board.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Privilege {
    /// They are already.
    Root,
    /// Through `sudo`, which asks for no password.
    Sudo,
    /// Not at all.
    #[default]
    None,
}

/// A file on the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The SHA-256 of its content, in small hexadecimal digits.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its text, where it was asked for and came over unharmed.
    pub text: Option<String>,
}

/// A board as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The processor's name as the board gives it; none in a root file system whose programs do not show it.
    pub machine: Option<String>,
    /// How steps become root.
    pub privilege: Privilege,
    /// Whether systemd runs the services.
    pub systemd: bool,
    /// Bytes free where the program goes.
    pub free_bytes: Option<u64>,
    /// For the files that were asked for and cannot be changed because their file system is read-only: the directory.
    pub read_only: BTreeMap<String, String>,
    /// What the program on the board prints for `--version`.
    pub version: Option<String>,
    /// The USB ports that can be the device's end (`/sys/class/udc`).
    pub device_ports: Vec<String>,
    /// The lights that programs can switch (`/sys/class/leds`); nothing is known of them where the board does not run.
    pub lights: Option<Vec<String>>,
    /// The files that were asked for and are there.
    pub files: BTreeMap<String, Found>,
    /// Whether the service is started at boot.
    pub enabled: bool,
    /// Whether the service runs now.
    pub active: bool,
}

impl Survey {
    /// Whether the file at `path` has this digest.
    pub fn holds(&self, path: &str, sha256: &str) -> bool {
        self.files.get(path).is_some_and(|found| found.sha256 == sha256)
    }

    /// Whether the board runs, as opposed to its files being mounted here.
    pub fn is_running(&self) -> bool {
        self.lights.is_some()
    }

    /// Whether the file at `path` is there.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }
}
