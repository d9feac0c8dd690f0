//! `gpu[:NAME]`: a graphics adapter of this machine. The device command with its GPU engine runs in a process of its own
//! and speaks the protocol over pipes, because a graphics driver that crashes takes its process with it.

use std::{
    env, io,
    path::PathBuf,
    process::{Command, Stdio},
};

use kurtoscope_shared::frame::Framing;
use serde::Deserialize;

use super::{DeviceUrl, Link, LinkError, Process};

/// The device command, as `cargo install --path firmware/linux --features gpu` names it.
const PROGRAM: &str = "kurtoscope-device";
/// Names the device command where it lies elsewhere.
pub const PROGRAM_VARIABLE: &str = "KURTOSCOPE_DEVICE";

/// A graphics adapter as the device command lists it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ListedAdapter {
    /// The driver's name for it.
    pub name: String,
    /// `vulkan`, `metal`, …
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: String,
    /// The driver and its version.
    #[serde(default)]
    pub driver: String,
    /// Largest chunk that a kernel can read, bytes; 0 where the device command does not say.
    #[serde(default)]
    pub max_chunk_bytes: u64,
    /// Units of a workgroup; 0 where the device command does not say.
    #[serde(default)]
    pub max_workgroup_units: u32,
    /// Shared memory of a workgroup, bytes; 0 where the device command does not say.
    #[serde(default)]
    pub max_shared_bytes: u32,
}

/// Why the graphics adapters cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum AdaptersError {
    /// The device command is missing, or is not a program.
    #[error(
        "{program} cannot be started ({source}); `cargo install --path firmware/linux --features gpu` installs it, and \
         {PROGRAM_VARIABLE} names it where it lies elsewhere"
    )]
    Start {
        /// What was tried.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It was started and failed.
    #[error("{program} --adapters failed ({status}){said}")]
    Failed {
        /// What was started.
        program: String,
        /// How it ended.
        status: String,
        /// What it wrote to standard error, after a colon.
        said: String,
    },
    /// It said something that is not a list of adapters.
    #[error("{program} --adapters gave no list of adapters ({source}); it may be of another version than this program")]
    Unreadable {
        /// What was started.
        program: String,
        /// Why it cannot be read.
        source: serde_json::Error,
    },
}

/// The graphics adapters of this machine that the device command sees, with what it has to say to the user besides.
///
/// # Errors
/// When there is no device command, or it gives no list.
pub fn adapters() -> Result<(Vec<ListedAdapter>, String), AdaptersError> {
    let path = program();
    let program = path.display().to_string();
    let output = Command::new(&path).args(["--adapters", "--format", "json"]).stdin(Stdio::null()).output();
    let output = output.map_err(|source| AdaptersError::Start { program: program.clone(), source })?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if !output.status.success() {
        let said = if said.is_empty() { said } else { format!(": {said}") };
        return Err(AdaptersError::Failed { program, status: output.status.to_string(), said });
    }
    let listed = serde_json::from_slice(&output.stdout);
    Ok((listed.map_err(|source| AdaptersError::Unreadable { program, source })?, said))
}

/// Starts the device command on the adapter whose name holds `adapter`, or on the one that it chooses.
pub(super) fn open(url: &DeviceUrl, adapter: Option<&str>) -> Result<Link, LinkError> {
    let path = program();
    let engine = adapter.map_or_else(|| "gpu".to_owned(), |name| format!("gpu={name}"));
    let failed = |source| LinkError::NoDeviceCommand {
        url: url.to_string(),
        program: path.display().to_string(),
        variable: PROGRAM_VARIABLE,
        source,
    };
    let mut child = Command::new(&path)
        .args(["--stdio", "--engine", &engine])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (Some(writer), Some(reader)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed(io::Error::other("the child has no pipes")));
    };
    Ok(Link {
        reader: Box::new(reader),
        writer: Box::new(writer),
        framing: Framing::LengthPrefixed,
        process: Some(Process(child)),
    })
}

/// The device command: as the user says, beside this program, or wherever the system finds it.
fn program() -> PathBuf {
    if let Some(path) = env::var_os(PROGRAM_VARIABLE).filter(|path| !path.is_empty()) {
        return path.into();
    }
    let name = format!("{PROGRAM}{}", env::consts::EXE_SUFFIX);
    let beside = env::current_exe().ok().and_then(|path| Some(path.parent()?.join(&name)));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| name.into())
}
