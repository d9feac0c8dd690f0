//! What opening a link needs besides its URL.

use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

/// The device program's usual name.
const PROGRAM: &str = "kurtoscope-device";
/// The environment variable that names the device program where it is elsewhere.
pub const DEVICE_VARIABLE: &str = "KURTOSCOPE_DEVICE";

/// What opening links needs besides their URLs.
#[derive(Debug, Clone, Default)]
pub struct LinkOptions {
    /// The device program behind `pty:`; [`DeviceProgram::find`] without one.
    pub pty_program: Option<DeviceProgram>,
    /// The device program behind `gpu:`, which needs its engine for graphics adapters; [`DeviceProgram::find`] without one.
    pub gpu_program: Option<DeviceProgram>,
    /// The machines that `qemu:` URLs may name, with what runs on them.
    pub qemu_machines: Vec<QemuMachine>,
}

/// A program with the options of `kurtoscope-device`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceProgram {
    /// The program.
    pub path: PathBuf,
    /// What precedes the options: a subcommand, for a program that does other things besides.
    pub arguments: Vec<OsString>,
}

/// A machine that QEMU emulates, with what runs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuMachine {
    /// What follows `qemu:` in its URL.
    pub name: String,
    /// The program: `qemu-system-arm`.
    pub program: String,
    /// What follows `-M`.
    pub machine: String,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// The firmware, an ELF file.
    pub firmware: PathBuf,
}

impl DeviceProgram {
    /// The device program of this machine: the one that [`DEVICE_VARIABLE`] names, else `kurtoscope-device` beside the
    /// running program, else wherever the system finds it.
    pub fn find() -> Self {
        let named = env::var_os(DEVICE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let name = format!("{PROGRAM}{}", env::consts::EXE_SUFFIX);
        let beside = || Some(env::current_exe().ok()?.parent()?.join(&name)).filter(|path| path.is_file());
        let path = named.or_else(beside).unwrap_or_else(|| name.clone().into());
        Self { path, arguments: Vec::new() }
    }

    /// Runs it with these options, its standard output piped.
    pub(super) fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).args(options).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }
}
