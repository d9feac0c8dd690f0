//! Why a USB board cannot be opened, and what to do about it.

/// The line for udev that lets users open boards; boards/70-kurtoscope.rules holds the same.
pub const UDEV_RULE: &str = r#"SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ENV{ID_USB_INTERFACES}=="*:ff4b01:*", MODE="0660", GROUP="plugdev", TAG+="uaccess""#;

/// Why a USB board cannot be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UsbError {
    /// The system cannot list USB devices.
    #[error("USB devices cannot be listed: {0}")]
    List(#[source] nusb::Error),
    /// The device that was asked for is not there.
    #[error("{}", absent(.others))]
    Absent {
        /// The boards that are.
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
        "the device has no interface of Kurtoscope's (ff/4b/01), only {}; start `kurtoscope-device --usb-gadget` on it, and \
         use `serial:` for a board that shows a serial port",
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
    /// The user may not open the device.
    #[error(
        "not allowed to open the board ({0}); on Linux, let yourself in once and plug the board in again:\n\
         echo '{UDEV_RULE}' | sudo tee /etc/udev/rules.d/70-kurtoscope.rules\n\
         sudo udevadm control --reload\n\
         (and be a member of the group plugdev where you are not logged in at the machine itself)"
    )]
    Denied(#[source] nusb::Error),
    /// Another program or a driver has the interface.
    #[error("the board is in use by another program or a driver ({0}); end other runs first")]
    Busy(#[source] nusb::Error),
    /// It was unplugged while it was being opened.
    #[error("the board went away while it was being opened ({0})")]
    Gone(#[source] nusb::Error),
    /// Anything else.
    #[error("the board cannot be opened: {0}")]
    Other(#[source] nusb::Error),
}

impl UsbError {
    /// Sorts a system's error by what the user can do about it.
    pub(super) fn from_open(error: nusb::Error) -> Self {
        match error.kind() {
            nusb::ErrorKind::PermissionDenied => Self::Denied(error),
            nusb::ErrorKind::Busy => Self::Busy(error),
            nusb::ErrorKind::Disconnected | nusb::ErrorKind::NotFound => Self::Gone(error),
            _ => Self::Other(error),
        }
    }
}

fn absent(others: &[String]) -> String {
    if others.is_empty() {
        "no board is attached; does the cable carry data, is it in the board's device port, and does \
         `kurtoscope-device --usb-gadget` run there?"
            .into()
    } else {
        format!("this board is not attached; there is {}", others.join(", "))
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
