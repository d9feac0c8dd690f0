//! `usb:[VENDOR:PRODUCT[:SERIAL]]`: a board whose USB port has Kurtoscope's own interface, reached through bulk transfers
//! without a driver. Which board is meant is decided in `choose`, transfers are in `stream`.

mod address;
mod choose;
mod error;
mod stream;

use kurtoscope_shared::usb::{TRANSFER_BYTES, TRANSFERS};
use nusb::{
    DeviceInfo, Interface, MaybeFuture,
    descriptors::TransferType,
    transfer::{Bulk, Direction, In, Out},
};

pub use address::UsbAddress;
pub use error::{UDEV_RULE, UsbError};

use super::{Link, LinkOptions, ListError, ListedDevice, address::Address};
use choose::{Listed, choose, is_ours};

fn list(_: &LinkOptions) -> Result<Vec<ListedDevice>, ListError> {
    let row = |(address, description): (UsbAddress, String)| ListedDevice { url: address.to_string(), description };
    Ok(boards()?.into_iter().map(row).collect())
}

/// The boards attached to this machine that have Kurtoscope's interface: an address that fits this board and, where it has
/// a serial number, no other; speed, maker and product.
fn boards() -> Result<Vec<(UsbAddress, String)>, UsbError> {
    let devices = nusb::list_devices().wait().map_err(UsbError::List)?;
    let ours = devices.filter(|device| listed(device).interfaces.iter().any(is_ours));
    Ok(ours.map(|device| (listed(&device).address(), describe(&device))).collect())
}

fn describe(device: &DeviceInfo) -> String {
    let speed = device.speed().map_or("USB", |speed| match speed {
        nusb::Speed::Low | nusb::Speed::Full => "USB full speed",
        nusb::Speed::High => "USB high speed",
        _ => "USB SuperSpeed",
    });
    let words = [Some(speed), device.manufacturer_string(), device.product_string()];
    format!("board, {}", words.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn listed(device: &DeviceInfo) -> Listed {
    Listed {
        vendor: device.vendor_id(),
        product: device.product_id(),
        serial: device.serial_number().filter(|serial| !serial.is_empty()).map(Into::into),
        interfaces: device
            .interfaces()
            .map(|interface| choose::Interface {
                number: interface.interface_number(),
                kind: (interface.class(), interface.subclass(), interface.protocol()),
            })
            .collect(),
    }
}

/// Opens the one board that `wanted` names, for this program alone.
fn open(wanted: &UsbAddress) -> Result<Link, UsbError> {
    let devices: Vec<DeviceInfo> = nusb::list_devices().wait().map_err(UsbError::List)?.collect();
    let all: Vec<Listed> = devices.iter().map(listed).collect();
    let (index, number) = choose(&all, wanted)?;
    let device = devices[index].open().wait().map_err(UsbError::from_open)?;
    let interface = device.claim_interface(number).wait().map_err(UsbError::from_open)?;
    // Drops what an earlier host left in the endpoints. A board without other settings may refuse it; then it has to
    // do without, as on a serial line.
    let _ = interface.set_alt_setting(0).wait();
    let endpoint = |direction| find(&interface, direction).ok_or(UsbError::Endpoints);
    let input = interface.endpoint::<Bulk, In>(endpoint(Direction::In)?).map_err(UsbError::from_open)?;
    let output = interface.endpoint::<Bulk, Out>(endpoint(Direction::Out)?).map_err(UsbError::from_open)?;
    let (reader, writer) = stream::pair(device, input, output, TRANSFER_BYTES, TRANSFERS);
    Ok(Link { reader: Box::new(reader), writer: Box::new(writer), framing: UsbAddress::FRAMING, process: None })
}

/// The address of the interface's bulk endpoint of this direction.
fn find(interface: &Interface, direction: Direction) -> Option<u8> {
    let descriptor = interface.descriptor()?;
    let bulk = descriptor
        .endpoints()
        .find(|endpoint| endpoint.transfer_type() == TransferType::Bulk && endpoint.direction() == direction);
    bulk.map(|endpoint| endpoint.address())
}
