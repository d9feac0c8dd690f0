//! A board process behind a Unix-domain socket, with faults on the way between it and the socket that the host connects to.

use std::{
    io::{self, Read},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use kurtoscope_host::link::{DeviceUrl, UnixAddress};
use tempfile::TempDir;

use super::{
    Faults,
    injector::{self, Blow},
};

/// Between two looks whether the board listens.
const PULSE: Duration = Duration::from_millis(2);

/// A board that runs until it is dropped, and a relay in front of it. A host is connected to both, and loses both together.
#[derive(Debug)]
pub struct UnixBoard {
    relay: PathBuf,
    process: Arc<Mutex<SocketProcess>>,
    dropped: Arc<AtomicBool>,
    _folder: TempDir,
}

/// `kurtoscope-device --unix`, which can be restarted.
#[derive(Debug)]
pub struct SocketProcess {
    program: PathBuf,
    socket: PathBuf,
    child: Child,
}

impl SocketProcess {
    /// Starts the device command of `program` on a socket of this path, and returns once it listens.
    ///
    /// # Errors
    /// When it cannot be started, or ends instead of listening.
    pub fn start(program: &Path, socket: &Path) -> io::Result<Self> {
        let (program, socket) = (program.to_owned(), socket.to_owned());
        let child = start(&program, &socket)?;
        Ok(Self { program, socket, child })
    }

    /// Ends the process as a crash would: the socket's file stays, and nothing listens on it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Starts it again after [`kill`](Self::kill).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_again(&mut self) -> io::Result<()> {
        self.child = start(&self.program, &self.socket)?;
        Ok(())
    }
}

fn start(program: &Path, socket: &Path) -> io::Result<Child> {
    let mut child = Command::new(program)
        .args(["device", "--board", "behind a socket", "--unix"])
        .arg(socket)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    while UnixStream::connect(socket).is_err() {
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("the board ended instead of listening: {status}")));
        }
        thread::sleep(PULSE);
    }
    Ok(child)
}

impl Drop for SocketProcess {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

impl UnixBoard {
    /// Starts the board and its relay.
    ///
    /// # Errors
    /// When the board cannot be started.
    pub fn start(program: &Path, to_device: Arc<Mutex<Faults>>, to_host: Arc<Mutex<Faults>>) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (relay, socket) = (folder.path().join("relay"), folder.path().join("board"));
        let process = Arc::new(Mutex::new(SocketProcess::start(program, &socket)?));
        let listener = UnixListener::bind(&relay)?;
        let dropped = Arc::new(AtomicBool::new(false));
        let (board, ended) = (process.clone(), dropped.clone());
        thread::spawn(move || {
            for host in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(device) = UnixStream::connect(&socket) else { continue };
                let both = host.try_clone().and_then(|host| Ok((host, device.try_clone()?)));
                let Ok((from_host, into_device)) = both else { continue };
                relay_bytes(from_host, into_device, to_device.clone(), board.clone());
                relay_bytes(device, host, to_host.clone(), board.clone());
            }
        });
        Ok(Self { relay, process, dropped, _folder: folder })
    }

    /// Where a host reaches the board.
    pub fn url(&self) -> DeviceUrl {
        DeviceUrl::Unix(UnixAddress { path: self.relay.clone() })
    }
}

impl Drop for UnixBoard {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
        // Wakes the relay, which then ends; where nothing listens it has ended already.
        let _ = UnixStream::connect(&self.relay);
        let _ = self.process.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }
}

/// Copies one direction on a thread of its own, with faults, until either end is gone; then closes both ends.
fn relay_bytes(
    mut from: UnixStream,
    mut into: UnixStream,
    faults: Arc<Mutex<Faults>>,
    board: Arc<Mutex<SocketProcess>>,
) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
            match injector::write(&mut faults, &buffer[..read], &mut into) {
                Ok(None) => {}
                Ok(Some(Blow::Restart)) => {
                    let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
                    let _ = board.kill().and_then(|()| board.start_again());
                    break;
                }
                Ok(Some(Blow::Close)) | Err(_) => break,
            }
        }
        for end in [from, into] {
            let _ = end.shutdown(Shutdown::Both);
        }
    });
}
