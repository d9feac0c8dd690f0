//! The two ends of a link, each on a thread of its own: messages come out, frames go in, and neither side waits for the
//! other. What the messages mean is left to `conversation`.

use std::{
    cell::Cell,
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use kurtoscope_shared::{
    frame::{Decoder, FrameError, FrameEvent, Framing},
    protocol::{ToHost, peek_version},
};

use super::{cutting::max_measurement_len, link_counter::LinkCounter};
use crate::link::{Link, Process};

/// Events that wait until they are received. A device that sends more has to wait itself: its messages would
/// otherwise fill this program's memory.
const MAX_WAITING: usize = 64;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 14;
/// Bytes written at once, so that progress on a slow link shows while a large frame is on its way.
const WRITE_BYTES: usize = 1 << 16;
/// How long answers may still arrive after the device has stopped taking anything.
const LAST_ANSWERS: Duration = Duration::from_millis(20);

/// What happened on a link.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly everything that comes is a message, and is moved once")]
pub enum WireEvent {
    /// A message came.
    Message(ToHost),
    /// A handshake in another version of the protocol came, or one that cannot be decoded.
    OtherVersion {
        /// The device's protocol version.
        protocol: u16,
    },
    /// A damaged frame came, or a valid one that is no message.
    Damaged,
    /// A frame in this framing, which is not the link's.
    OtherFraming(Framing),
    /// A frame has been written.
    Written,
    /// A [`Waker`] was used.
    Woken,
    /// The link ended, with the system's reason if it failed.
    Ended(Option<String>),
    /// Nothing happened in the time given.
    TimedOut,
}

/// What the threads of a wire report to its owner.
#[expect(clippy::large_enum_variant, reason = "nearly everything that is reported is an event, and is moved once")]
enum Report {
    Event(WireEvent),
    /// Nothing more can be written. What the device had answered until then may still arrive.
    Unwritable(String),
}

/// A link in use.
#[derive(Debug)]
pub struct Wire {
    framing: Framing,
    outgoing: Sender<Vec<u8>>,
    spent: Receiver<Vec<u8>>,
    incoming: Receiver<Report>,
    waker: Waker,
    written: Arc<Written>,
    queued: Cell<u64>,
    damaged: u64,
    /// Why nothing more can be written.
    unwritable: Option<String>,
    /// How the link ended, once it has.
    ended: Option<Option<String>>,
    /// Ends the reading thread, which otherwise would end only at the next message or the end of the link.
    dropped: Arc<AtomicBool>,
    /// Ends with the wire, and with it both threads.
    process: Option<Process>,
}

/// Wakes the thread that waits for an event of a wire, from any other.
#[derive(Debug, Clone)]
pub struct Waker(SyncSender<Report>);

impl Waker {
    /// Causes [`WireEvent::Woken`].
    pub fn wake(&self) {
        // Where the channel is full, events are waiting already; where the wire is gone, so is the thread.
        let _ = self.0.try_send(Report::Event(WireEvent::Woken));
    }
}

/// What the link has taken so far, and when.
#[derive(Debug)]
struct Written {
    start: Instant,
    bytes: AtomicU64,
    /// Nanoseconds from `start` to the last bytes.
    last: AtomicU64,
}

impl Written {
    fn add(&self, bytes: u64) {
        self.last.store(self.start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        // A reader of the new count also reads its time.
        self.bytes.fetch_add(bytes, Ordering::Release);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}

impl Wire {
    /// Takes a link into use.
    pub fn new(link: Link) -> Self {
        let Link { reader, writer, framing, process } = link;
        let (outgoing, to_write) = channel();
        let (return_spent, spent) = channel();
        let (reports, incoming) = sync_channel(MAX_WAITING);
        let written = Arc::new(Written { start: Instant::now(), bytes: AtomicU64::new(0), last: AtomicU64::new(0) });
        let waker = Waker(reports.clone());
        let writing = reports.clone();
        let count = written.clone();
        let dropped = Arc::new(AtomicBool::new(false));
        let stop = dropped.clone();
        thread::spawn(move || {
            if let Err(error) = write_frames(writer, &to_write, &return_spent, &writing, &count) {
                let _ = writing.send(Report::Unwritable(error.to_string()));
            }
        });
        thread::spawn(move || {
            let decoder = Decoder::new(framing, max_measurement_len());
            let end = read_frames(reader, decoder, &reports, &stop).err().map(|error| error.to_string());
            let _ = reports.send(Report::Event(WireEvent::Ended(end)));
        });
        let queued = Cell::new(0);
        let (damaged, unwritable, ended) = (0, None, None);
        Self {
            framing,
            outgoing,
            spent,
            incoming,
            waker,
            written,
            queued,
            damaged,
            unwritable,
            ended,
            dropped,
            process,
        }
    }

    /// How frames are delimited in both directions.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Queues bytes for writing. A link that has failed shows in [`next_event`](Self::next_event).
    pub fn send(&self, bytes: Vec<u8>) {
        self.queued.set(self.queued.get() + bytes.len() as u64);
        let _ = self.outgoing.send(bytes);
    }

    /// A buffer to fill and [`send`](Self::send), used before if possible.
    pub fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.spent.try_recv().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// Wakes the thread that waits in [`next_event`](Self::next_event).
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Waits for the next event until `deadline`, or for as long as it takes where there is none. A link that has ended
    /// stays ended.
    pub fn next_event(&mut self, deadline: Option<Instant>) -> WireEvent {
        if let Some(reason) = &self.ended {
            return WireEvent::Ended(reason.clone());
        }
        let event = match self.receive(deadline) {
            Ok(Report::Event(event)) => event,
            Ok(Report::Unwritable(reason)) => {
                self.unwritable = Some(reason);
                return self.next_event(deadline);
            }
            // A device that takes nothing and has nothing more to say is gone.
            Err(RecvTimeoutError::Timeout) if self.unwritable.is_some() => WireEvent::Ended(None),
            Err(RecvTimeoutError::Timeout) => WireEvent::TimedOut,
            Err(RecvTimeoutError::Disconnected) => WireEvent::Ended(None),
        };
        match event {
            WireEvent::Damaged => self.damaged += 1,
            WireEvent::Ended(reason) => {
                let reason = reason.or_else(|| self.unwritable.clone());
                self.ended = Some(reason.clone());
                return WireEvent::Ended(reason);
            }
            _ => {}
        }
        event
    }

    fn receive(&self, deadline: Option<Instant>) -> Result<Report, RecvTimeoutError> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = if self.unwritable.is_some() { Some(LAST_ANSWERS) } else { left };
        match left {
            Some(left) => self.incoming.recv_timeout(left),
            None => self.incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Whether the device is a program that this one started.
    pub fn is_program(&self) -> bool {
        self.process.is_some()
    }

    /// What counts the faults of a device behind this link: one that was started with it begins at zero.
    pub fn new_counter(&self) -> LinkCounter {
        if self.is_program() { LinkCounter::of_a_new_device() } else { LinkCounter::default() }
    }

    /// Whether the link has taken everything that was to be sent.
    pub fn is_written(&self) -> bool {
        self.written() == self.queued.get()
    }

    /// Bytes that the link has taken so far.
    pub fn written(&self) -> u64 {
        self.written.bytes.load(Ordering::Acquire)
    }

    /// When it took the last of them, or more.
    pub fn last_written(&self) -> Instant {
        self.written.start + Duration::from_nanos(self.written.last.load(Ordering::Relaxed))
    }

    /// Damaged frames that came so far.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }
}

fn write_frames(
    mut writer: Box<dyn Write + Send>,
    frames: &Receiver<Vec<u8>>,
    spent: &Sender<Vec<u8>>,
    reports: &SyncSender<Report>,
    written: &Written,
) -> io::Result<()> {
    while let Ok(frame) = frames.recv() {
        for part in frame.chunks(WRITE_BYTES) {
            writer.write_all(part)?;
            written.add(part.len() as u64);
        }
        writer.flush()?;
        let _ = spent.send(frame);
        // Where the channel is full, events are waiting already.
        let _ = reports.try_send(Report::Event(WireEvent::Written));
    }
    Ok(())
}

fn read_frames(
    mut reader: Box<dyn Read + Send>,
    mut decoder: Decoder,
    reports: &SyncSender<Report>,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::TimedOut) => {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut rest = &buffer[..read];
        loop {
            let (taken, event) = decoder.push(rest);
            rest = &rest[taken..];
            let event = match event {
                FrameEvent::Starved => break,
                FrameEvent::Frame => decode(decoder.content()),
                FrameEvent::Damaged(FrameError::OtherFraming { found }) => WireEvent::OtherFraming(found),
                FrameEvent::Damaged(_) => WireEvent::Damaged,
            };
            if reports.send(Report::Event(event)).is_err() {
                return Ok(());
            }
        }
    }
}

fn decode(content: &[u8]) -> WireEvent {
    match postcard::from_bytes(content) {
        Ok(message) => WireEvent::Message(message),
        Err(_) => match peek_version(content) {
            Some(protocol) => WireEvent::OtherVersion { protocol },
            None => WireEvent::Damaged,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than anything takes here on a busy machine.
    const LONG: Duration = Duration::from_secs(60);

    fn wire() -> (Wire, io::PipeWriter, io::PipeReader) {
        let ((host_reads, device_writes), (device_reads, host_writes)) =
            (io::pipe().expect("a pipe"), io::pipe().expect("a pipe"));
        let link =
            Link { reader: Box::new(host_reads), writer: Box::new(host_writes), framing: Framing::Cobs, process: None };
        (Wire::new(link), device_writes, device_reads)
    }

    #[test]
    fn a_waiting_thread_is_woken_from_another() {
        let (mut wire, _device_writes, _device_reads) = wire();
        let waker = wire.waker();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| wire.next_event(None));
            waker.wake();
            assert!(matches!(waiting.join().expect("no panic"), WireEvent::Woken));
        });
        assert!(matches!(wire.next_event(Some(Instant::now())), WireEvent::TimedOut));
    }

    #[test]
    fn a_link_that_has_ended_stays_ended() {
        let (mut wire, device_writes, _device_reads) = wire();
        drop(device_writes);
        for _ in 0..2 {
            assert!(matches!(wire.next_event(Some(Instant::now() + LONG)), WireEvent::Ended(None)));
        }
    }

    #[test]
    fn what_is_written_shows_with_its_time_and_a_device_that_takes_nothing_is_gone() {
        let (mut wire, _device_writes, device_reads) = wire();
        let before = Instant::now();
        wire.send(vec![7; 100]);
        assert!(matches!(wire.next_event(Some(before + LONG)), WireEvent::Written));
        assert!(wire.is_written() && wire.written() == 100 && wire.last_written() >= before);
        drop(device_reads);
        wire.send(vec![7; 100]);
        assert!(matches!(wire.next_event(Some(Instant::now() + LONG)), WireEvent::Ended(Some(_))));
        assert!(!wire.is_written());
    }
}
