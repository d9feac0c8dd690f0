//! How this command opens devices: it is the device program behind `pty:`, and supplies the boards that QEMU emulates.

use std::env;

use kurtoscope_host::link::{DeviceProgram, DeviceUrl, LinkOptions};

use crate::board::{BoardError, qemu_machines};

/// What opening the links of these URLs needs. Builds the firmware of boards in QEMU among them.
///
/// # Errors
/// When there is no such board, or its firmware cannot be built.
pub fn link_options(urls: &[DeviceUrl]) -> Result<LinkOptions, BoardError> {
    let own = env::current_exe().ok().map(|path| DeviceProgram { path, arguments: vec!["device".into()] });
    Ok(LinkOptions { pty_program: own, gpu_program: None, qemu_machines: qemu_machines(urls)? })
}
