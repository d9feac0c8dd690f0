//! A board in memory: the firmware's session on a thread of its own, behind a link with faults.

use std::{
    io::{self, Read, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use embedded_io_adapters::std::FromStd;
use kurtoscope_firmware::{Board as Identity, Framing, Session, engine::CpuEngine, serve};
use kurtoscope_host::link::{Connector, Link, LinkError};

use super::{
    Faults,
    injector::{self, Blow},
    pipe::Pipe,
};

/// What becomes of a board whose link has closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It is there again after this many attempts in vain.
    Back {
        /// Attempts that find nothing.
        after: u32,
    },
    /// It never comes back.
    Dead,
}

/// A board and its cable. Opening the connector plugs it in.
#[derive(Debug)]
pub struct Board {
    /// What identifies it among the others.
    pub identity: String,
    /// How frames are delimited on its link.
    pub framing: Framing,
    /// The largest payload that it takes, bytes.
    pub max_payload: u32,
    /// What becomes of it when the link closes.
    pub life: Life,
    /// What happens on the way to it.
    pub to_device: Arc<Mutex<Faults>>,
    /// What happens on the way back.
    pub to_host: Arc<Mutex<Faults>>,
    /// Whether it was plugged in before.
    pub plugged: bool,
}

impl Connector for Board {
    fn open(&mut self, attempt: u32) -> Result<Link, LinkError> {
        let absent = match self.life {
            Life::Back { after } => self.plugged && attempt < after,
            Life::Dead => self.plugged,
        };
        if absent {
            return Err(LinkError::Absent(io::ErrorKind::NotFound.into()));
        }
        self.plugged = true;
        let cable = Cable { to_device: Pipe::default(), to_host: Pipe::default(), restart: Arc::default() };
        let board = Identity { name: "in memory".into(), identity: self.identity.clone() };
        let (framing, max_payload) = (self.framing, self.max_payload);
        let (faults, ends) = (self.to_host.clone(), cable.clone());
        thread::spawn(move || run(framing, max_payload, &board, &faults, &ends));
        Ok(Link {
            reader: Box::new(cable.to_host.clone()),
            writer: Box::new(HostWriter(Faulty {
                faults: self.to_device.clone(),
                cable: cable.clone(),
                into: cable.to_device,
            })),
            framing,
            process: None,
        })
    }
}

/// The board's life while its cable is plugged in: a session after the other, until the link closes.
fn run(framing: Framing, max_payload: u32, board: &Identity, faults: &Arc<Mutex<Faults>>, cable: &Cable) {
    loop {
        let mut session = Session::new(CpuEngine::with_max_payload(max_payload), board.clone());
        let reader = DeviceReader(cable.clone());
        let writer = Faulty { faults: faults.clone(), cable: cable.clone(), into: cable.to_host.clone() };
        let ended = serve(&mut session, framing, FromStd::new(reader), FromStd::new(writer));
        if ended.is_ok() || !cable.restart.swap(false, Ordering::Relaxed) {
            cable.close();
            return;
        }
    }
}

/// Both directions of a link.
#[derive(Debug, Clone)]
struct Cable {
    to_device: Pipe,
    to_host: Pipe,
    /// The board is to restart.
    restart: Arc<AtomicBool>,
}

impl Cable {
    fn close(&self) {
        self.to_device.close();
        self.to_host.close();
    }
}

/// The board's reading end, which fails when the board is to restart in the middle of whatever it reads.
struct DeviceReader(Cable);

impl Read for DeviceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.to_device.read(buffer)?;
        if self.0.restart.load(Ordering::Relaxed) {
            self.0.to_device.forget();
            return Err(io::Error::other("restarted"));
        }
        Ok(read)
    }
}

/// A writing end with faults.
struct Faulty {
    faults: Arc<Mutex<Faults>>,
    cable: Cable,
    into: Pipe,
}

impl Write for Faulty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        match injector::write(&mut faults, bytes, &mut self.into)? {
            None => Ok(bytes.len()),
            Some(Blow::Restart) => {
                self.cable.restart.store(true, Ordering::Relaxed);
                // Something to read, or the board would notice only with the next frame.
                self.cable.to_device.write_all(&[0])?;
                Ok(bytes.len())
            }
            Some(Blow::Close) => {
                self.cable.close();
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The host's writing end; letting go of it unplugs the board.
struct HostWriter(Faulty);

impl Write for HostWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for HostWriter {
    fn drop(&mut self) {
        self.0.cable.close();
    }
}
