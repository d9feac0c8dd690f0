//! How a board with a USB port presents itself: what a host looks for, what the descriptors hold. Bytes on the
//! endpoints are frames of [`length_prefixed`](crate::frame::length_prefixed).
//!
//! # One interface
//!
//! A vendor-specific interface with one bulk endpoint each way. A host recognises it by [`CLASS`], [`SUBCLASS`] and
//! [`PROTOCOL`] of the *interface*, never by the device's numbers, so a board may have any vendor and product id.
//!
//! # The end of a message
//!
//! USB cuts a stream into packets, and a receiver's transfer is complete when its buffer is full or a packet is shorter
//! than the endpoint's packet size. So a sender with no more to send ends with a short packet; where the bytes fill
//! their last packet, with a packet of zero bytes. Packets of zero bytes mean nothing else, least of all the end of the
//! link.
//!
//! # A new conversation
//!
//! A host that opens the interface selects its alternate setting 0 first. That drops what an earlier host left in the
//! endpoints of either side.

/// The interface's class: specific to the vendor.
pub const CLASS: u8 = 0xff;
/// The interface's subclass, `K`.
pub const SUBCLASS: u8 = 0x4b;
/// The interface's protocol: the first way to use it.
pub const PROTOCOL: u8 = 0x01;
/// The interface's name.
pub const INTERFACE: &str = "Kurtoscope";

/// The vendor id that gadgets use: pid.codes, which gives product ids to open projects.
pub const VENDOR: u16 = 0x1209;
/// The product id of gadgets with the bulk interface. One of those that pid.codes keeps for private tests and gives to
/// nobody: a product that is sold needs one of its own.
pub const PRODUCT_BULK: u16 = 0x0001;
/// The product id of gadgets with a serial port instead; as [`PRODUCT_BULK`].
pub const PRODUCT_SERIAL: u16 = 0x0002;

/// Bytes of one transfer, at either end: a multiple of every packet size, large enough that transfers cost little, small
/// enough that a kernel finds the memory in one piece.
pub const TRANSFER_BYTES: usize = 1 << 14;
/// Transfers in flight in each direction, at either end.
pub const TRANSFERS: usize = 16;
