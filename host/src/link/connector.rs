//! Reopening the link to one device: after a cable was pulled, a board was restarted, a program crashed.

use std::fmt;

use super::{DeviceUrl, Link, LinkError, LinkOptions};

/// Opens links to one device.
///
/// `open` may be called whenever the link before has been dropped. It blocks for as long as opening takes, and leaves
/// nothing open or running when it fails. What answers on the link need not be the device that was there before: the
/// caller does the handshake and compares.
pub trait Connector: Send + fmt::Debug {
    /// Opens a link. `attempt` grows from 0, the first, and is 0 again after the device has answered. Even attempts are for
    /// the place where it was; odd ones may look in other places, one after the other, and are left out for a device
    /// without an identity, which could not be distinguished from another of its kind.
    ///
    /// # Errors
    /// When there is nothing to be opened now; a later attempt may succeed.
    fn open(&mut self, attempt: u32) -> Result<Link, LinkError>;
}

/// Opens what a URL names. A serial port that has vanished may come back under another name, and `usb:` may fit two boards
/// by now: every second attempt tries one of the other ports or boards of this machine in turn.
#[derive(Debug, Clone)]
pub struct UrlConnector {
    /// The device.
    pub url: DeviceUrl,
    /// What opening its link needs besides.
    pub options: LinkOptions,
}

impl Connector for UrlConnector {
    fn open(&mut self, attempt: u32) -> Result<Link, LinkError> {
        let others = if attempt % 2 == 1 { self.url.elsewhere() } else { Vec::new() };
        let turn = (attempt / 2) as usize % others.len().max(1);
        others.get(turn).unwrap_or(&self.url).open(&self.options)
    }
}
