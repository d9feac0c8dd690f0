//! The names of USB devices in URLs: `VENDOR:PRODUCT[:SERIAL]`, or nothing for the only board.

use std::fmt;

/// What a `usb:` URL asks for. Whatever is missing fits anything that has Kurtoscope's interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsbName {
    /// Vendor and product id.
    pub ids: Option<(u16, u16)>,
    /// The serial number, as the device tells it.
    pub serial: Option<String>,
}

/// Text that is no name of a USB device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoUsbName;

impl UsbName {
    /// Reads what stands behind `usb:`; a serial number may hold colons.
    ///
    /// # Errors
    /// When the ids are not two numbers of up to four hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, NoUsbName> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut parts = text.splitn(3, ':');
        let mut id = || {
            let digits =
                parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit())).ok_or(NoUsbName)?;
            u16::from_str_radix(digits, 16).map_err(|_| NoUsbName)
        };
        let ids = Some((id()?, id()?));
        Ok(Self { ids, serial: parts.next().filter(|serial| !serial.is_empty()).map(Into::into) })
    }
}

impl fmt::Display for UsbName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            assert_eq!(UsbName::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(UsbName::parse("1209:1:").expect("valid"), UsbName { ids: Some((0x1209, 1)), serial: None });
        for text in [":", "1209", "1209:", "12 09:0001", "+209:0001", "12090:0001", "board:0001", "1209:0x01"] {
            assert_eq!(UsbName::parse(text), Err(NoUsbName), "{text}");
        }
    }
}
