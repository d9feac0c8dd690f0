//! From a URL to its kind of link.

use super::{DeviceUrl, Link, LinkError, LinkOptions, exec, gpu, pty, qemu, serial, usb};

/// Opens the link to the device of this URL.
///
/// Blocks for as long as opening takes: for a program until it is started, for a pseudo-terminal until the program has
/// named it, for QEMU until it has connected, for a port until the system has opened it. Nothing is sent.
///
/// # Errors
/// When the port is absent, busy or forbidden, a program cannot be started, or the URL is `local`, which needs no link.
/// Nothing is left open or running.
pub fn open(url: &DeviceUrl, options: &LinkOptions) -> Result<Link, LinkError> {
    match url {
        DeviceUrl::Local => Err(LinkError::NoLink),
        DeviceUrl::Gpu { adapter } => gpu::open(adapter.as_deref(), options),
        DeviceUrl::Pty => pty::open(options),
        DeviceUrl::Serial { path, baud } => serial::open(path, *baud),
        DeviceUrl::Qemu { machine, console } => qemu::open(machine, console.as_deref(), options),
        DeviceUrl::Usb(name) => usb::open(name),
        DeviceUrl::Exec { command } => exec::open(command),
    }
}
