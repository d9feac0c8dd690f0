//! `gpu[:NAME]`: a graphics adapter of this machine. The device command with its GPU engine runs in a process of its own
//! and speaks the protocol over pipes, because a graphics driver that crashes takes its process with it.

use std::{fmt, io, process::Stdio};

use kurtoscope_shared::frame::Framing;
use serde::Deserialize;

use super::{
    DeviceProgram, Link, LinkError, LinkOptions, ListError, ListedDevice, Process, UrlError,
    address::{Address, List},
    stream::pipes,
};

/// `gpu[:NAME]`: a graphics adapter of this machine, behind a process of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuAddress {
    /// A part of the adapter's name; without it the best adapter that is not software.
    pub adapter: Option<String>,
}

impl fmt::Display for GpuAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gpu")?;
        self.adapter.as_ref().map_or(Ok(()), |name| write!(f, ":{name}"))
    }
}

impl Address for GpuAddress {
    const SCHEME: &'static str = "gpu";
    const SYNTAX: &'static str = "gpu[:NAME]";
    const SUMMARY: &'static str =
        "a graphics adapter of this machine, through `kurtoscope-device` with its feature `gpu`";
    const FRAMING: Framing = Framing::LengthPrefixed;
    /// It compiles its kernels and measures known data on large chunks first.
    const STARTS_SLOWLY: bool = true;
    const LIST: Option<List> = Some(list);

    fn parse(rest: &str) -> Result<Self, UrlError> {
        let name = rest.trim();
        Ok(Self { adapter: (!name.is_empty()).then(|| name.into()) })
    }

    fn open(&self, options: &LinkOptions) -> Result<Link, LinkError> {
        open(self.adapter.as_deref(), options)
    }
}

/// A graphics adapter as the device command lists it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct ListedAdapter {
    /// The driver's name for it.
    name: String,
    /// `vulkan`, `metal`, …
    backend: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    kind: String,
    /// The driver and its version.
    #[serde(default)]
    driver: String,
    /// Largest chunk that a kernel can read, bytes; 0 where the device command does not say.
    #[serde(default)]
    max_chunk_bytes: u64,
    /// Units of a workgroup; 0 where the device command does not say.
    #[serde(default)]
    max_workgroup_units: u32,
    /// Shared memory of a workgroup, bytes; 0 where the device command does not say.
    #[serde(default)]
    max_shared_bytes: u32,
}

impl ListedAdapter {
    fn describe(&self) -> String {
        let software = if self.kind == "software" { "; used only when named" } else { "" };
        let driver = if self.driver.is_empty() { String::new() } else { format!(", {}", self.driver) };
        format!(
            "graphics adapter: {}, {}{driver}; chunks up to {} MiB, {} units and {} KiB a workgroup{software}",
            self.backend,
            self.kind,
            self.max_chunk_bytes >> 20,
            self.max_workgroup_units,
            self.max_shared_bytes >> 10
        )
    }
}

/// Why the graphics adapters cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum AdaptersError {
    /// The device program is missing, or is not a program.
    #[error("{program} cannot be started")]
    Start {
        /// What was tried.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It was started and failed.
    #[error("{program} --adapters failed ({status}){}", after_colon(.output))]
    Failed {
        /// What was started.
        program: String,
        /// How it ended.
        status: String,
        /// What it wrote to standard error.
        output: String,
    },
    /// It printed something that is not a list of adapters: it may be of another version than this program.
    #[error("{program} --adapters gave no list of adapters; it may be of another version than this program")]
    Unreadable {
        /// What was started.
        program: String,
        /// Why it cannot be read.
        source: serde_json::Error,
    },
}

fn after_colon(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!(": {output}") }
}

/// The adapters, or what the device program wrote where there are none.
fn list(options: &LinkOptions) -> Result<Vec<ListedDevice>, ListError> {
    let (adapters, written) = adapters(options)?;
    if adapters.is_empty() && !written.is_empty() {
        return Err(written.into());
    }
    let row = |adapter: ListedAdapter| ListedDevice {
        description: adapter.describe(),
        url: GpuAddress { adapter: Some(adapter.name) }.to_string(),
    };
    Ok(adapters.into_iter().map(row).collect())
}

/// The graphics adapters of this machine that the device program sees, with what it wrote to standard error besides.
fn adapters(options: &LinkOptions) -> Result<(Vec<ListedAdapter>, String), AdaptersError> {
    let device = program(options);
    let program = device.path.display().to_string();
    let output = device.command(&["--adapters", "--format", "json"]).stderr(Stdio::piped()).output();
    let output = output.map_err(|source| AdaptersError::Start { program: program.clone(), source })?;
    let written = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if !output.status.success() {
        return Err(AdaptersError::Failed { program, status: output.status.to_string(), output: written });
    }
    let listed = serde_json::from_slice(&output.stdout);
    Ok((listed.map_err(|source| AdaptersError::Unreadable { program, source })?, written))
}

/// Starts the device program on the adapter whose name holds `adapter`, or on the one that it chooses.
fn open(adapter: Option<&str>, options: &LinkOptions) -> Result<Link, LinkError> {
    let device = program(options);
    let engine = adapter.map_or_else(|| "gpu".to_owned(), |name| format!("gpu={name}"));
    let started = device.command(&["--stdio", "--engine", &engine]).stdin(Stdio::piped()).spawn();
    let program = || device.path.display().to_string();
    let mut child = started.map_err(|source| LinkError::Start { program: program(), source })?;
    let (writer, reader) = pipes(&mut child).map_err(LinkError::Other)?;
    Ok(Link {
        reader: Box::new(reader),
        writer: Box::new(writer),
        framing: GpuAddress::FRAMING,
        process: Some(Process::from(child)),
    })
}

fn program(options: &LinkOptions) -> DeviceProgram {
    options.gpu_program.clone().unwrap_or_else(DeviceProgram::find)
}
