//! Chooses the attached USB device that a URL names, from lists and names alone. Opening it is left to the parent.

use kurtoscope_shared::usb::{CLASS, PROTOCOL, SUBCLASS};

use super::{UsbAddress, UsbError};

/// A USB device of this machine, as the system lists it.
#[derive(Debug, Clone, Default)]
pub(super) struct Listed {
    pub vendor: u16,
    pub product: u16,
    pub serial: Option<String>,
    pub interfaces: Vec<Interface>,
}

/// An interface of such a device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interface {
    pub number: u8,
    /// Class, subclass and protocol.
    pub kind: (u8, u8, u8),
}

/// Whether an interface is Kurtoscope's.
pub(super) fn is_ours(interface: &Interface) -> bool {
    interface.kind == (CLASS, SUBCLASS, PROTOCOL)
}

impl Listed {
    /// The address that fits this device.
    pub fn address(&self) -> UsbAddress {
        UsbAddress { ids: Some((self.vendor, self.product)), serial: self.serial.clone() }
    }

    fn fits(&self, wanted: &UsbAddress) -> bool {
        wanted.ids.is_none_or(|ids| ids == (self.vendor, self.product))
            && wanted.serial.as_ref().is_none_or(|serial| self.serial.as_ref() == Some(serial))
    }
}

/// The place in `devices` of the one that is meant, and the number of its interface.
///
/// # Errors
/// When none or more than one fits, or the one that was named has no interface of Kurtoscope's.
pub(super) fn choose(devices: &[Listed], wanted: &UsbAddress) -> Result<(usize, u8), UsbError> {
    let fitting = || devices.iter().enumerate().filter(|(_, device)| device.fits(wanted));
    let usable: Vec<(usize, u8)> = fitting()
        .filter_map(|(index, device)| Some((index, device.interfaces.iter().find(|one| is_ours(one))?.number)))
        .collect();
    let names = |indices: &mut dyn Iterator<Item = usize>| {
        let mut names: Vec<String> = indices.map(|index| devices[index].address().to_string()).collect();
        names.sort();
        names
    };
    match usable.as_slice() {
        [one] => Ok(*one),
        [] => match fitting().next().filter(|_| wanted.ids.is_some()) {
            Some((_, device)) => Err(UsbError::Interface {
                found: device.interfaces.iter().map(|interface| kind(interface.kind)).collect(),
            }),
            None => {
                let ours = |index: &usize| devices[*index].interfaces.iter().any(is_ours);
                Err(UsbError::Absent { others: names(&mut (0..devices.len()).filter(ours)) })
            }
        },
        several => Err(UsbError::Several { found: names(&mut several.iter().map(|(index, _)| *index)) }),
    }
}

fn kind((class, subclass, protocol): (u8, u8, u8)) -> String {
    format!("{class:02x}/{subclass:02x}/{protocol:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::address::Address;

    const OURS: Interface = Interface { number: 2, kind: (0xff, 0x4b, 0x01) };
    const SERIAL: Interface = Interface { number: 0, kind: (0x02, 0x02, 0x01) };

    fn device(vendor: u16, product: u16, serial: &str, interfaces: &[Interface]) -> Listed {
        let serial = (!serial.is_empty()).then(|| serial.into());
        Listed { vendor, product, serial, interfaces: interfaces.to_vec() }
    }

    fn name(text: &str) -> UsbAddress {
        UsbAddress::parse(text).expect(text)
    }

    #[test]
    fn the_only_board_is_found_among_other_devices() {
        let devices = [
            device(0x1d6b, 2, "", &[Interface { number: 0, kind: (9, 0, 0) }]),
            device(0x2e8a, 5, "", &[SERIAL]),
            device(0x1209, 1, "A", &[SERIAL, OURS]),
        ];
        for text in ["", "1209:0001", "1209:0001:A"] {
            assert_eq!(choose(&devices, &name(text)).expect(text), (2, 2), "{text}");
        }
    }

    #[test]
    fn of_two_boards_one_has_to_be_named() {
        let devices = [device(0x1209, 1, "A", &[OURS]), device(0x1209, 1, "B", &[OURS])];
        for text in ["", "1209:0001"] {
            let error = choose(&devices, &name(text)).expect_err(text).to_string();
            assert!(error.contains("2 boards") && error.contains("usb:1209:0001:A, usb:1209:0001:B"), "{error}");
        }
        assert_eq!(choose(&devices, &name("1209:0001:B")).expect("named"), (1, 2));
    }

    #[test]
    fn errors_name_what_is_missing() {
        let devices = [device(0x1209, 1, "A", &[OURS]), device(0x1209, 2, "C", &[SERIAL])];
        let error = choose(&devices, &name("1209:0001:Z")).expect_err("absent").to_string();
        assert!(error.contains("not attached") && error.contains("usb:1209:0001:A"), "{error}");
        let error = choose(&devices, &name("1209:0002")).expect_err("serial only").to_string();
        assert!(error.contains("02/02/01"), "{error}");
        let error = choose(&devices[1..], &name("")).expect_err("no board").to_string();
        assert!(error.contains("no board"), "{error}");
    }
}
