//! What a kind of link consists of: its address (the part of a device URL behind the scheme, typed), and what is said of
//! the kind to people. The list of kinds is in `mod.rs`.

use std::{error::Error, fmt};

use kurtoscope_shared::frame::Framing;

use super::{Link, LinkError, LinkOptions, UrlError};

/// The address of a device on one kind of link. It prints as the whole URL, which [`parse`](Self::parse) reads back.
pub(super) trait Address: Sized + fmt::Display {
    /// What precedes the colon of its URLs.
    const SCHEME: &'static str;
    /// How its URLs are written.
    const SYNTAX: &'static str;
    /// What a device on such a link is, as a phrase.
    const SUMMARY: &'static str;
    /// How frames are delimited in both directions: with COBS where bytes can be lost or a conversation be joined in its
    /// middle, with a length in front on pipes and packets.
    const FRAMING: Framing;
    /// Whether the device may take [`Timeouts::give_up`](crate::analysis::Timeouts::give_up) instead of `resend` to
    /// introduce itself.
    const STARTS_SLOWLY: bool = false;
    /// Lists the devices that are there, where that can be found out.
    const LIST: Option<List> = None;

    /// Reads what follows the colon; nothing where there is no colon.
    fn parse(rest: &str) -> Result<Self, UrlError>;

    /// Opens the link; see [`DeviceUrl::open`](super::DeviceUrl::open).
    fn open(&self, options: &LinkOptions) -> Result<Link, LinkError>;

    /// Where a device that has vanished from here may have come back.
    fn elsewhere(&self) -> Vec<Self> {
        Vec::new()
    }
}

/// A function that lists the devices of one kind.
pub(super) type List = fn(&LinkOptions) -> Result<Vec<ListedDevice>, ListError>;

/// Why the devices of one kind cannot be listed.
pub type ListError = Box<dyn Error + Send + Sync>;

/// A device that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDevice {
    /// Its URL.
    pub url: String,
    /// What the system knows of it.
    pub description: String,
}

/// A kind of device URL.
#[derive(Debug, Clone, Copy)]
pub struct LinkKind {
    /// What precedes the colon of its URLs.
    pub scheme: &'static str,
    /// How its URLs are written.
    pub syntax: &'static str,
    /// What a device of this kind is, as a phrase.
    pub summary: &'static str,
    /// Whether a device may take [`Timeouts::give_up`](crate::analysis::Timeouts::give_up) to introduce itself.
    pub starts_slowly: bool,
    list: Option<List>,
}

impl LinkKind {
    /// `local`, which has no link.
    pub(super) const LOCAL: Self = Self {
        scheme: "local",
        syntax: "local",
        summary: "this machine's processor, in this process, on all cores",
        starts_slowly: false,
        list: None,
    };

    /// The kind of these addresses.
    pub(super) const fn of<A: Address>() -> Self {
        Self {
            scheme: A::SCHEME,
            syntax: A::SYNTAX,
            summary: A::SUMMARY,
            starts_slowly: A::STARTS_SLOWLY,
            list: A::LIST,
        }
    }

    /// The devices of this kind that are there; `None` where that cannot be found out, because any name may be one.
    ///
    /// # Errors
    /// When the system, or a program that knows them, does not list them.
    pub fn list(&self, options: &LinkOptions) -> Option<Result<Vec<ListedDevice>, ListError>> {
        self.list.map(|list| list(options))
    }
}
