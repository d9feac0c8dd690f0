//! Links: byte streams to devices, opened by URL.
//!
//! Each kind of link has a file, or a folder, of its own with the address that its URLs hold: how it is written, how a link is
//! opened to it, and what is attached, where that can be listed. The list at the end of this file makes of them [`DeviceUrl`] and
//! [`KINDS`], from which help, listings and error messages follow.
//!
//! | module | kind of link |
//! |---|---|
//! | `exec` | `exec:COMMAND`, a program on its standard input and output |
//! | `gpu` | `gpu[:NAME]`, the device program with its engine for graphics adapters |
//! | `pty` | `pty:`, the device program behind a pseudo-terminal |
//! | `qemu` | `qemu:MACHINE`, a board that QEMU emulates |
//! | `serial` | `serial:PATH[?baud=N]`, a serial port |
//! | `unix` | `unix:PATH`, a running device behind a Unix-domain socket |
//! | `usb` | `usb:[VENDOR:PRODUCT[:SERIAL]]`, Kurtoscope's own USB interface |
//! | `address` | what a kind of link consists of |
//! | `url` | the kind that a URL names |
//! | `options` | what the kinds need besides a URL |
//! | `stream` | the byte stream, and the process behind it |
//! | `connector` | reopening the link to one device |

#[macro_use]
mod url;
mod address;
mod connector;
mod error;
mod exec;
mod gpu;
mod options;
mod pty;
mod qemu;
mod serial;
mod stream;
mod unix;
mod usb;

use address::Address;
pub use address::{LinkKind, ListError, ListedDevice};
pub use connector::{Connector, UrlConnector};
pub use error::LinkError;
pub use gpu::AdaptersError;
pub use options::{DEVICE_VARIABLE, DeviceProgram, LinkOptions, QemuMachine};
pub use serial::ports;
pub use stream::{Link, Process};
pub use unix::UnixError;
pub use url::UrlError;
pub use usb::{UDEV_RULE, UsbError};

links! {
    Gpu(gpu::GpuAddress),
    Pty(pty::PtyAddress),
    Serial(serial::SerialAddress),
    Usb(usb::UsbAddress),
    Qemu(qemu::QemuAddress),
    Unix(unix::UnixAddress),
    Exec(exec::ExecAddress),
}
