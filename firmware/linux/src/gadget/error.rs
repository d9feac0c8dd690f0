//! Why a USB gadget cannot be set up, and what to do about it.

use std::{io, string::String, vec::Vec};

/// Why a board cannot show itself on USB.
#[derive(Debug, thiserror::Error)]
pub enum GadgetError {
    /// The kernel has no gadgets, or they are not to be seen.
    #[error(
        "the kernel offers no USB gadgets: {0}; `modprobe libcomposite` and `mount -t configfs none /sys/kernel/config` \
         make them available where the kernel has them"
    )]
    Unsupported(#[source] io::Error),
    /// Only root may.
    #[error("not allowed to set up a USB gadget ({0}); run it with sudo, or as a system service")]
    Denied(#[source] io::Error),
    /// No controller can be a device.
    #[error(
        "no USB port of this machine is in the role of a device (/sys/class/udc is empty); on a Raspberry Pi put \
         `dtoverlay=dwc2,dr_mode=peripheral` into config.txt and restart it, on other boards see boards/README.md"
    )]
    NoController,
    /// The controller that was named is not there.
    #[error("there is no USB device controller {name}; there are {}", .found.join(", "))]
    UnknownController {
        /// As asked for.
        name: String,
        /// Those that there are.
        found: Vec<String>,
    },
    /// More than one is free.
    #[error("several USB device controllers are there ({}); name one with --udc", .found.join(", "))]
    SeveralControllers {
        /// Those that there are.
        found: Vec<String>,
    },
    /// Another gadget has the port.
    #[error(
        "the USB device controller {controller} is taken by the gadget {gadget}; stop what set it up (modprobe -r g_ether, \
         or the service that made it) first"
    )]
    Taken {
        /// The controller.
        controller: String,
        /// What it is bound to.
        gadget: String,
    },
    /// Another process of ours is at it.
    #[error(
        "another kurtoscope-device serves on the USB device controller {controller}; stop it first (systemctl stop \
         kurtoscope-device, or kill it)"
    )]
    InUse {
        /// The controller.
        controller: String,
    },
    /// Setting up or removing failed.
    #[error("the USB gadget cannot be set up: {0}")]
    SetUp(#[source] io::Error),
    /// The program could not take the gadget away at its end.
    #[error("signals cannot be listened to: {0}")]
    Signals(#[source] io::Error),
}

impl GadgetError {
    /// Sorts a system's error by what the user can do about it.
    pub(super) fn from_set_up(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied(error),
            _ => Self::SetUp(error),
        }
    }
}
