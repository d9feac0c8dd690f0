//! The two halves of a bulk link as byte streams, several transfers in flight in each.

use std::{
    io::{self, Read, Write},
    sync::{Arc, Weak},
    time::Duration,
};

use nusb::{
    Device, Endpoint,
    io::{EndpointRead, EndpointWrite},
    transfer::{Bulk, In, Out},
};

/// How long either half waits before it looks whether it is still wanted.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// From the board. A read during which nothing came gives [`io::ErrorKind::TimedOut`]; one behind an unplugged cable fails.
pub(super) struct BulkReader {
    endpoint: EndpointRead<Bulk>,
    /// Asked whether it is still there, where the system tells: transfers that the kernel ends while a device goes may never
    /// be reported.
    device: Option<Device>,
    /// Exists as long as this half.
    _exists: Arc<()>,
}

/// To the board. Blocks while the transfers in flight are not taken, and fails once the reading half has been dropped:
/// a board that takes nothing must not hold the interface for ever.
pub(super) struct BulkWriter {
    endpoint: EndpointWrite<Bulk>,
    reader: Weak<()>,
}

/// Both halves, with `count` transfers of `bytes` each in flight.
pub(super) fn pair(
    device: Device,
    input: Endpoint<Bulk, In>,
    output: Endpoint<Bulk, Out>,
    bytes: usize,
    count: usize,
) -> (BulkReader, BulkWriter) {
    let exists = Arc::new(());
    let reader = Arc::downgrade(&exists);
    let input = input.reader(bytes).with_num_transfers(count).with_read_timeout(POLL_INTERVAL);
    let output = output.writer(bytes).with_num_transfers(count).with_write_timeout(POLL_INTERVAL);
    let device = Some(device).filter(|device| device.speed().is_some());
    (BulkReader { endpoint: input, device, _exists: exists }, BulkWriter { endpoint: output, reader })
}

impl Read for BulkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.endpoint.read(buffer) {
            Err(error)
                if error.kind() == io::ErrorKind::TimedOut
                    && self.device.as_ref().is_some_and(|device| device.speed().is_none()) =>
            {
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the device went away"))
            }
            outcome => outcome,
        }
    }
}

impl Write for BulkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.endpoint.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    if self.reader.strong_count() == 0 {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// Sends what is left and ends it with a short packet, without waiting until the board has taken it.
    fn flush(&mut self) -> io::Result<()> {
        self.endpoint.submit_end();
        Ok(())
    }
}
