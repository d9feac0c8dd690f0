//! Our own interface through FunctionFS: its two bulk endpoints as byte streams, several transfers in flight in each.
//! How an end is marked and what a new host does to the endpoints is specified in [`kurtoscope_shared::usb`].

use std::{
    io::{self, Read, Write},
    vec::Vec,
};

use bytes::{Bytes, BytesMut};
use kurtoscope_shared::usb::{CLASS, INTERFACE, PRODUCT_BULK, PROTOCOL, SUBCLASS, TRANSFER_BYTES, TRANSFERS};
use rustix::io::Errno;
use usb_gadget::{
    Class,
    function::custom::{Custom, Endpoint, EndpointDirection, EndpointReceiver, EndpointSender, Interface, OsExtCompat},
};

use super::{GadgetError, Registered, Setup, register};

/// Packets that a SuperSpeed endpoint moves in one go, less one: as many as there can be.
const MAX_BURST: u8 = 15;

/// The interface on the port. Dropping it takes it away; the streams then fail.
#[derive(Debug)]
pub struct BulkGadget {
    /// Taken away first.
    registered: Registered,
    _function: Custom,
}

/// From the host.
///
/// Never ends. [`io::ErrorKind::ConnectionReset`] once means that the host went away or a new one came: what is read
/// afterwards begins a new conversation.
#[derive(Debug)]
pub struct BulkReader {
    endpoint: EndpointReceiver,
    current: BytesMut,
    /// Bytes of `current` that were read.
    position: usize,
    spare: Vec<BytesMut>,
    /// Nothing arrived since the last reset: transfers that ended with it are not reported.
    quiet: bool,
}

/// To the host. Fails with [`io::ErrorKind::ConnectionReset`] as the reader does, and then needs a
/// [`reset`](Self::reset).
#[derive(Debug)]
pub struct BulkWriter {
    endpoint: EndpointSender,
    pending: BytesMut,
    /// The last transfer filled its packets, so the host cannot know that it was the last.
    unended: bool,
    /// The packet size at the speed of this connection, once it is known.
    packet: Option<usize>,
}

impl BulkGadget {
    /// Shows the interface on the port.
    ///
    /// # Errors
    /// When the gadget cannot be set up.
    pub fn open(setup: &Setup) -> Result<(Self, BulkReader, BulkWriter), GadgetError> {
        let queue = TRANSFERS as u32;
        let (receiver, from_host) = EndpointDirection::host_to_device();
        let (sender, to_host) = EndpointDirection::device_to_host();
        let mut interface = Interface::new(Class::new(CLASS, SUBCLASS, PROTOCOL), INTERFACE)
            // Windows loads its general driver for this, without being asked.
            .with_os_ext_compat(OsExtCompat::winusb());
        for direction in [from_host, to_host] {
            let mut endpoint = Endpoint::bulk(direction.with_queue_len(queue));
            endpoint.max_burst_ss = MAX_BURST;
            interface = interface.with_endpoint(endpoint);
        }
        let (function, handle) = Custom::builder().with_interface(interface).build();
        let registered = register(setup, PRODUCT_BULK, Class::INTERFACE_SPECIFIC, handle)?;
        let current = BytesMut::with_capacity(TRANSFER_BYTES);
        let reader = BulkReader { endpoint: receiver, current, position: 0, spare: Vec::new(), quiet: true };
        let pending = BytesMut::with_capacity(TRANSFER_BYTES);
        let writer = BulkWriter { endpoint: sender, pending, unended: false, packet: None };
        Ok((Self { registered, _function: function }, reader, writer))
    }

    /// The name of the USB device controller.
    pub fn controller(&self) -> &str {
        &self.registered.controller
    }
}

impl BulkReader {
    /// Waits for the next transfer, and keeps the queue full meanwhile. Blocks while no host is there.
    fn next(&mut self) -> io::Result<BytesMut> {
        while self.endpoint.is_ready() {
            let mut buffer = self.spare.pop().unwrap_or_else(|| BytesMut::with_capacity(TRANSFER_BYTES));
            buffer.clear();
            self.endpoint.try_recv(buffer)?;
        }
        self.endpoint.fetch()?.ok_or_else(|| io::Error::other("no transfer is under way"))
    }
}

impl Read for BulkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.current.len() {
            match self.next() {
                Ok(transfer) => {
                    self.quiet &= transfer.is_empty();
                    self.spare.push(core::mem::replace(&mut self.current, transfer));
                    self.position = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_reset(&error) && self.quiet => {}
                Err(error) if is_reset(&error) => {
                    self.quiet = true;
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                Err(error) => return Err(error),
            }
        }
        let rest = &self.current[self.position..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count;
        Ok(count)
    }
}

impl BulkWriter {
    /// Drops what an earlier host did not fetch, so that a new conversation can begin.
    pub fn reset(&mut self) {
        // Fails only where there is no endpoint any more, which the next write reports.
        let _ = self.endpoint.cancel();
        self.pending.clear();
        (self.unended, self.packet) = (false, None);
    }

    fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        loop {
            match self.endpoint.send(bytes.clone()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_reset(&error) => return Err(io::ErrorKind::ConnectionReset.into()),
                outcome => return outcome,
            }
        }
    }

    fn send_pending(&mut self) -> io::Result<()> {
        let packet = match self.packet {
            Some(packet) => packet,
            None => *self.packet.insert(self.endpoint.max_packet_size()?.max(1)),
        };
        self.unended = self.pending.len().is_multiple_of(packet);
        let bytes = self.pending.split().freeze();
        self.pending.reserve(TRANSFER_BYTES);
        self.send(bytes)
    }
}

impl Write for BulkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(TRANSFER_BYTES - self.pending.len());
        self.pending.extend_from_slice(&bytes[..count]);
        if self.pending.len() == TRANSFER_BYTES {
            self.send_pending()?;
        }
        Ok(count)
    }

    /// Sends what is left and ends it with a short packet, without waiting until the host has fetched it.
    fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.send_pending()?;
        }
        if core::mem::take(&mut self.unended) {
            self.send(Bytes::new())?;
        }
        Ok(())
    }
}

/// Whether a transfer ended because the host went away, or chose the interface anew.
fn is_reset(error: &io::Error) -> bool {
    [Errno::SHUTDOWN, Errno::CONNRESET].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
