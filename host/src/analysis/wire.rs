//! The two ends of a link, each on a thread of its own: messages come out, frames go in, and neither side waits for the
//! other.

use std::{
    cell::Cell,
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use kurtoscope_shared::{
    frame::{Decoder, FrameError, FrameEvent, Framing},
    protocol::{ToHost, peek_version},
};

use super::{cutting::MOST_LINES, link_counter::LinkCounter};
use crate::link::{Link, Process};

/// The largest answer that is read: a histogram with every bin in use fits several times, and a number for every row and
/// column.
const MAX_ANSWER: usize = (1 << 16) + size_of::<f32>() * MOST_LINES;
/// Messages that wait until they are heard. A device that says more has to wait itself: what it says while nobody listens
/// would fill this program's memory.
const MOST_WAITING: usize = 64;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 14;
/// Bytes written at once, so that progress on a slow link shows while a large frame is on its way.
const WRITE_BYTES: usize = 1 << 16;

/// What came from a device.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly everything that comes is a message, and is moved once")]
pub enum Heard {
    /// A message.
    Message(ToHost),
    /// A greeting in another version of the protocol.
    Stranger {
        /// The device's protocol version.
        protocol: u16,
        /// The device's schema hash.
        schema: [u8; 8],
    },
    /// A damaged frame, or a sound one that is no message.
    Damaged,
    /// A frame in this framing, which is not the link's.
    OtherFraming(Framing),
    /// The link ended, with the system's reason if it failed.
    Ended(Option<String>),
    /// Nothing more can be written. What the device had answered until then may still arrive.
    Unwritable(String),
    /// Nothing in the time given.
    Nothing,
}

/// A link in use.
#[derive(Debug)]
pub struct Wire {
    framing: Framing,
    outgoing: Sender<Vec<u8>>,
    spent: Receiver<Vec<u8>>,
    incoming: Receiver<Heard>,
    written: Arc<AtomicU64>,
    queued: Cell<u64>,
    damaged: u64,
    /// Why nothing more can be written.
    unwritable: Option<String>,
    /// Tells the reading thread to end, which otherwise learns it only from the next message or the end of the link.
    dropped: Arc<AtomicBool>,
    /// Ends with the wire, and with it both threads.
    process: Option<Process>,
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
        let (give_back, spent) = channel();
        let (heard, incoming) = sync_channel(MOST_WAITING);
        let written = Arc::new(AtomicU64::new(0));
        let failed = heard.clone();
        let count = written.clone();
        let dropped = Arc::new(AtomicBool::new(false));
        let stop = dropped.clone();
        thread::spawn(move || {
            if let Err(error) = write_frames(writer, &to_write, &give_back, &count) {
                let _ = failed.send(Heard::Unwritable(error.to_string()));
            }
        });
        thread::spawn(move || {
            let end = read_frames(reader, Decoder::new(framing, MAX_ANSWER), &heard, &stop)
                .err()
                .map(|error| error.to_string());
            let _ = heard.send(Heard::Ended(end));
        });
        let queued = Cell::new(0);
        Self { framing, outgoing, spent, incoming, written, queued, damaged: 0, unwritable: None, dropped, process }
    }

    /// How frames are told apart in both directions.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Queues bytes for writing. A link that has failed is noticed by [`hear`](Self::hear).
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

    /// Waits up to `patience` for something from the device. Never gives [`Heard::Unwritable`]: that becomes an end once
    /// the device has nothing more to say.
    pub fn hear(&mut self, patience: Duration) -> Heard {
        let heard = match self.incoming.recv_timeout(patience) {
            Ok(heard) => heard,
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => Heard::Ended(None),
        };
        match heard {
            Heard::Damaged => {
                self.damaged += 1;
                Heard::Damaged
            }
            Heard::Unwritable(reason) => {
                self.unwritable = Some(reason);
                Heard::Nothing
            }
            // A device that takes nothing and has nothing more to say is gone.
            Heard::Nothing if self.unwritable.is_some() => Heard::Ended(self.unwritable.clone()),
            Heard::Ended(None) => Heard::Ended(self.unwritable.clone()),
            heard => heard,
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
        self.written.load(Ordering::Relaxed)
    }

    /// Damaged frames heard so far.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }
}

fn write_frames(
    mut writer: Box<dyn Write + Send>,
    frames: &Receiver<Vec<u8>>,
    spent: &Sender<Vec<u8>>,
    written: &AtomicU64,
) -> io::Result<()> {
    while let Ok(frame) = frames.recv() {
        for piece in frame.chunks(WRITE_BYTES) {
            writer.write_all(piece)?;
            written.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        writer.flush()?;
        let _ = spent.send(frame);
    }
    Ok(())
}

fn read_frames(
    mut reader: Box<dyn Read + Send>,
    mut decoder: Decoder,
    heard: &SyncSender<Heard>,
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
            let message = match event {
                FrameEvent::Starved => break,
                FrameEvent::Frame => understand(decoder.content()),
                FrameEvent::Damaged(FrameError::OtherFraming { found }) => Heard::OtherFraming(found),
                FrameEvent::Damaged(_) => Heard::Damaged,
            };
            if heard.send(message).is_err() {
                return Ok(());
            }
        }
    }
}

fn understand(content: &[u8]) -> Heard {
    match postcard::from_bytes(content) {
        Ok(message) => Heard::Message(message),
        Err(_) => match peek_version(content) {
            Some((protocol, schema)) => Heard::Stranger { protocol, schema },
            None => Heard::Damaged,
        },
    }
}
