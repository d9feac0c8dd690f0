//! Links: byte streams to devices, opened by URL.
//!
//! Each kind of link has a file, or a folder, of its own, whose `open` gives a [`Link`]; those that can be listed list what
//! is attached.
//!
//! | module | kind of link |
//! |---|---|
//! | `exec` | `exec:COMMAND`, a program on its standard input and output |
//! | `gpu` | `gpu[:NAME]`, the device program with its engine for graphics adapters |
//! | `pty` | `pty:`, the device program behind a pseudo-terminal |
//! | `qemu` | `qemu:MACHINE`, a board that QEMU emulates |
//! | `serial` | `serial:PATH[?baud=N]`, a serial port |
//! | `usb` | `usb:[VENDOR:PRODUCT[:SERIAL]]`, Kurtoscope's own USB interface |
//! | `url`, `usb_name` | these names, typed |
//! | `options` | what the kinds need besides a URL |
//! | `stream` | the byte stream, and the process behind it |
//! | `open` | the kind of link that a URL asks for |
//! | `connector` | reopening the link to one device |

mod connector;
mod error;
mod exec;
mod gpu;
mod open;
mod options;
mod pty;
mod qemu;
mod serial;
mod stream;
mod url;
mod usb;
mod usb_name;

pub use connector::{Connector, UrlConnector};
pub use error::LinkError;
pub use gpu::{AdaptersError, ListedAdapter, adapters};
pub use open::open;
pub use options::{DEVICE_VARIABLE, DeviceProgram, LinkOptions, QemuMachine};
pub use serial::{Port, ports};
pub use stream::{Link, Process};
pub use url::{DEFAULT_BAUD, DeviceUrl, UrlError};
pub use usb::{UDEV_RULE, UsbBoard, UsbError, boards};
pub use usb_name::UsbName;
