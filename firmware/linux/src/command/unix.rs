//! Serving a session on a Unix-domain socket, one host after the other.

use std::{
    fs, io,
    os::unix::{
        fs::FileTypeExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
};

use embedded_hal::digital::OutputPin;

use super::{DeviceError, links};
use kurtoscope_firmware::{Framing, Session, engine::Engine};

/// Serves on a socket of this path until a signal ends the program. Who may write to the socket may connect, which is this
/// user alone under the usual mask.
pub(super) fn serve_unix<E: Engine, M: OutputPin, F: OutputPin>(
    session: &mut Session<E, M, F>,
    path: &Path,
) -> Result<(), DeviceError> {
    let failed = |source| DeviceError::Unix { path: path.into(), source };
    let listener = listen(path).map_err(failed)?;
    std::eprintln!("kurtoscope-device: serving on {}, for unix: links", path.display());
    loop {
        let (writer, _) = listener.accept().map_err(failed)?;
        let reader = writer.try_clone().map_err(failed)?;
        if let Err(error) = links::serve_streams(session, Framing::Cobs, reader, writer) {
            // A host that was cut off; the next one begins anew.
            std::eprintln!("kurtoscope-device: {error}");
        }
    }
}

/// Makes the socket, in the place of one that an earlier program has left behind.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        outcome => outcome,
    }
}

/// Whether the file is a socket on which nothing listens any more.
fn is_abandoned(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
