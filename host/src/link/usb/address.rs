//! `usb:[VENDOR:PRODUCT[:SERIAL]]`: the address of a board on USB; nothing behind the colon for the only board.

use std::fmt;

use kurtoscope_shared::frame::Framing;

use super::{boards, list, open};
use crate::link::{
    Link, LinkError, LinkOptions, UrlError,
    address::{Address, List},
};

/// `usb:[VENDOR:PRODUCT[:SERIAL]]`: a board with Kurtoscope's own USB interface. Whatever is missing fits anything that has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsbAddress {
    /// Vendor and product id.
    pub ids: Option<(u16, u16)>,
    /// The serial number, as the device reports it.
    pub serial: Option<String>,
}

impl Address for UsbAddress {
    const SCHEME: &'static str = "usb";
    const SYNTAX: &'static str = "usb:[VENDOR:PRODUCT[:SERIAL]]";
    const SUMMARY: &'static str = "a board with Kurtoscope's own USB interface; `usb:` alone where one is attached";
    const FRAMING: Framing = Framing::LengthPrefixed;
    const LIST: Option<List> = Some(list);

    /// The ids are numbers of up to four hexadecimal digits; a serial number may hold colons.
    fn parse(rest: &str) -> Result<Self, UrlError> {
        if rest.is_empty() {
            return Ok(Self::default());
        }
        let mut parts = rest.splitn(3, ':');
        let mut id = || {
            let digits = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
            u16::from_str_radix(digits, 16).ok()
        };
        let Some(ids) = id().zip(id()) else {
            let problem = "names no USB device; write usb: for the only board, or vendor, product and serial number: \
                           usb:1209:0001:10000000abcdef";
            return Err(UrlError::Address { url: format!("usb:{rest}"), problem });
        };
        Ok(Self { ids: Some(ids), serial: parts.next().filter(|serial| !serial.is_empty()).map(Into::into) })
    }

    fn open(&self, _: &LinkOptions) -> Result<Link, LinkError> {
        open(self).map_err(|error| LinkError::Kind(error.into()))
    }

    /// The boards that are there now, where the address fits any: none is known by a serial number.
    fn elsewhere(&self) -> Vec<Self> {
        let any = self.serial.is_none().then(boards).and_then(Result::ok).unwrap_or_default();
        any.into_iter().map(|(address, _)| address).collect()
    }
}

impl fmt::Display for UsbAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("usb:")?;
        let Some((vendor, product)) = self.ids else { return Ok(()) };
        write!(f, "{vendor:04x}:{product:04x}")?;
        self.serial.as_ref().map_or(Ok(()), |serial| write!(f, ":{serial}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_back() {
        for text in ["", "1209:0001", "1209:0001:10000000abcdef", "1209:0001:a:b"] {
            assert_eq!(UsbAddress::parse(text).expect(text).to_string(), format!("usb:{text}"));
        }
        assert_eq!(UsbAddress::parse("1209:1:").expect("valid"), UsbAddress { ids: Some((0x1209, 1)), serial: None });
        for text in [":", "1209", "1209:", "12 09:0001", "+209:0001", "12090:0001", "board:0001", "1209:0x01"] {
            assert!(matches!(UsbAddress::parse(text), Err(UrlError::Address { .. })), "{text}");
        }
    }
}
