//! A real board process behind real pseudo-terminals, with faults on the wire between its terminal and the host's.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use kurtoscope_firmware::Framing;
use kurtoscope_host::link::{Connector, DeviceUrl, Link, LinkError, LinkOptions, SerialAddress};
use rustix::{
    fs::OFlags,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

use super::{Faults, injector};

/// How long a relay waits where nothing moves.
const PULSE: Duration = Duration::from_millis(1);

/// A board that is plugged in by opening the connector: each time as a new process, under a new path.
#[derive(Debug)]
pub struct PtyBoard {
    /// The command that can be a device.
    pub program: PathBuf,
    /// How frames are delimited; where they are length-prefixed, the terminal is the program's standard streams.
    pub framing: Framing,
    /// What happens on the way to it.
    pub to_device: Arc<Mutex<Faults>>,
    /// What happens on the way back.
    pub to_host: Arc<Mutex<Faults>>,
    /// What is plugged in now.
    pub plugged: Option<Plugged>,
}

/// A board process and the relay to it. Dropping it pulls the cable and ends the process.
#[derive(Debug)]
pub struct Plugged {
    board: Child,
    pulled: Arc<AtomicBool>,
}

impl Drop for Plugged {
    fn drop(&mut self) {
        self.pulled.store(true, Ordering::Relaxed);
        let _ = self.board.kill();
        let _ = self.board.wait();
    }
}

impl Connector for PtyBoard {
    fn open(&mut self, _attempt: u32) -> Result<Link, LinkError> {
        // The old one first: a board is in one place at a time.
        self.plugged = None;
        let path = self.plug_in().map_err(LinkError::Other)?;
        let url = DeviceUrl::Serial(SerialAddress { path, baud: 115_200 });
        let link = url.open(&LinkOptions::default())?;
        Ok(Link { framing: self.framing, ..link })
    }
}

impl PtyBoard {
    /// Starts the board and its relay; the path of the host's end.
    fn plug_in(&mut self) -> io::Result<String> {
        let (board, device) = match self.framing {
            Framing::Cobs => self.start_with_terminal()?,
            Framing::LengthPrefixed => self.start_on_terminal()?,
        };
        let pulled = Arc::new(AtomicBool::new(false));
        self.plugged = Some(Plugged { board, pulled: pulled.clone() });
        let (host, path) = terminal()?;
        relay(host.try_clone()?, device.try_clone()?, self.to_device.clone(), pulled.clone());
        relay(device, host, self.to_host.clone(), pulled);
        Ok(path)
    }

    /// A board that makes a terminal of its own, and our end of it.
    fn start_with_terminal(&self) -> io::Result<(Child, File)> {
        let mut board = Command::new(&self.program)
            .args(["device", "--pty", "--board", "behind a relay"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = board.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let device = open(line.trim(), OFlags::NONBLOCK)?;
        raw(&device)?;
        Ok((board, device))
    }

    /// A board whose standard input and output are a terminal of ours, and our end of it.
    fn start_on_terminal(&self) -> io::Result<(Child, File)> {
        let (device, path) = terminal()?;
        let theirs = open(&path, OFlags::empty())?;
        let board = Command::new(&self.program)
            .args(["device", "--stdio", "--board", "behind a relay"])
            .stdin(theirs.try_clone()?)
            .stdout(theirs)
            .stderr(Stdio::null())
            .spawn()?;
        Ok((board, device))
    }
}

fn open(path: &str, flags: OFlags) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags((OFlags::NOCTTY | flags).bits() as i32).open(path)
}

/// A new terminal: our end, which does not block, and the path of the other.
fn terminal() -> io::Result<(File, String)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let path = ptsname(&master, Vec::new())?.into_string().map_err(io::Error::other)?;
    let file = File::from(master);
    raw(&file)?;
    rustix::io::ioctl_fionbio(&file, true)?;
    Ok((file, path))
}

fn raw(terminal: &File) -> io::Result<()> {
    let mut attributes = tcgetattr(terminal)?;
    attributes.make_raw();
    Ok(tcsetattr(terminal, OptionalActions::Now, &attributes)?)
}

/// Copies one direction on a thread of its own, with faults, until the cable is pulled or an end is gone.
fn relay(mut from: File, into: File, faults: Arc<Mutex<Faults>>, pulled: Arc<AtomicBool>) {
    thread::spawn(move || {
        let mut into = Patient { file: into, pulled: pulled.clone() };
        let mut buffer = [0; 4096];
        while !pulled.load(Ordering::Relaxed) {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::sleep(PULSE);
                    continue;
                }
                // A terminal whose other side nobody has opened yet.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                    thread::sleep(PULSE);
                    continue;
                }
                Err(_) => break,
            };
            let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
            if !matches!(injector::write(&mut faults, &buffer[..read], &mut into), Ok(None)) {
                break;
            }
        }
        pulled.store(true, Ordering::Relaxed);
    });
}

/// Writes to a terminal that does not block, until the cable is pulled.
struct Patient {
    file: File,
    pulled: Arc<AtomicBool>,
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while !self.pulled.load(Ordering::Relaxed) {
            match self.file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PULSE),
                outcome => return outcome,
            }
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
