//! Why a USB board cannot be opened.

/// The line for udev that lets users open boards; boards/70-kurtoscope.rules holds the same.
pub const UDEV_RULE: &str = r#"SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ENV{ID_USB_INTERFACES}=="*:ff4b01:*", MODE="0660", GROUP="plugdev", TAG+="uaccess""#;

/// Why a USB board cannot be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UsbError {
    /// The system cannot list USB devices.
    #[error("USB devices cannot be listed")]
    List(#[source] nusb::Error),
    /// No board is attached, or not the one that was named.
    #[error("{}", absent(.others))]
    Absent {
        /// The boards that are attached.
        others: Vec<String>,
    },
    /// More than one device fits.
    #[error("{} boards are attached; name one of them: {}", .found.len(), .found.join(", "))]
    Several {
        /// Their URLs.
        found: Vec<String>,
    },
    /// The device is there, but not Kurtoscope's interface.
    #[error(
        "the device has no interface of Kurtoscope's (ff/4b/01), only {}",
        if .found.is_empty() { "none that the system lists".into() } else { .found.join(", ") }
    )]
    Interface {
        /// Class, subclass and protocol of its interfaces.
        found: Vec<String>,
    },
    /// The interface lacks a bulk endpoint.
    #[error(
        "the board's interface has no pair of bulk endpoints; its firmware is of another version than this program"
    )]
    Endpoints,
    /// The user may not open the device. On Linux, [`UDEV_RULE`] permits it.
    #[error("not allowed to open the board")]
    Denied(#[source] nusb::Error),
    /// Another program or a driver has the interface.
    #[error("the board is in use by another program or a driver")]
    Busy(#[source] nusb::Error),
    /// It was unplugged while it was being opened.
    #[error("the board was unplugged while it was being opened")]
    Disconnected(#[source] nusb::Error),
    /// Anything else, for the system's reason.
    #[error("the board cannot be opened")]
    Other(#[source] nusb::Error),
}

impl UsbError {
    /// Sorts a system's error by what the user can do about it.
    pub(super) fn from_open(error: nusb::Error) -> Self {
        match error.kind() {
            nusb::ErrorKind::PermissionDenied => Self::Denied(error),
            nusb::ErrorKind::Busy => Self::Busy(error),
            nusb::ErrorKind::Disconnected | nusb::ErrorKind::NotFound => Self::Disconnected(error),
            _ => Self::Other(error),
        }
    }
}

fn absent(others: &[String]) -> String {
    match others {
        [] => "no board is attached".into(),
        others => format!("this board is not attached; there is {}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_in_the_message_is_the_one_in_the_file() {
        let file = include_str!("../../../../boards/70-kurtoscope.rules");
        let rules: Vec<&str> = file.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert_eq!(rules, [UDEV_RULE]);
    }

    #[test]
    fn the_rule_names_our_interface() {
        use kurtoscope_shared::usb::{CLASS, PROTOCOL, SUBCLASS};
        assert!(UDEV_RULE.contains(&format!(":{CLASS:02x}{SUBCLASS:02x}{PROTOCOL:02x}:")));
    }
}
