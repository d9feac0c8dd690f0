//! `unix:PATH`: a device behind a Unix-domain socket, such as `kurtoscope-device --unix PATH` or a program that passes on what a
//! board's serial port sends.

use std::{fmt, io, path::PathBuf};

use kurtoscope_shared::frame::Framing;

use super::{Link, LinkError, LinkOptions, UrlError, address::Address};

/// `unix:PATH`: a running device behind a Unix-domain stream socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixAddress {
    /// The socket.
    pub path: PathBuf,
}

/// Why a socket cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub enum UnixError {
    /// There is no such file; it may appear later.
    #[error("there is no such socket")]
    Absent(#[source] io::Error),
    /// The file is something else.
    #[error("the file is no socket")]
    NoSocket,
    /// The socket was left behind by a program that has ended.
    #[error("no device listens on the socket")]
    NobodyListens(#[source] io::Error),
    /// The socket is there but this user may not write to it.
    #[error("not allowed to connect to the socket")]
    Denied(#[source] io::Error),
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix:{}", self.path.display())
    }
}

impl Address for UnixAddress {
    const SCHEME: &'static str = "unix";
    const SYNTAX: &'static str = "unix:PATH";
    const SUMMARY: &'static str = "a device behind a Unix-domain socket, such as `kurtoscope-device --unix PATH`";
    /// What listens may pass on the bytes of a serial port, in the middle of a conversation.
    const FRAMING: Framing = Framing::Cobs;

    fn parse(rest: &str) -> Result<Self, UrlError> {
        if rest.is_empty() {
            let (missing, example) = ("the socket", "unix:/run/kurtoscope.socket");
            return Err(UrlError::Missing { url: "unix:".into(), missing, example });
        }
        Ok(Self { path: rest.into() })
    }

    fn open(&self, _: &LinkOptions) -> Result<Link, LinkError> {
        open(&self.path)
    }
}

#[cfg(not(unix))]
fn open(_: &std::path::Path) -> Result<Link, LinkError> {
    let kind = io::ErrorKind::Unsupported;
    Err(LinkError::Other(io::Error::new(kind, "this system has no unix sockets; use serial: or exec:")))
}

#[cfg(unix)]
use socket::open;

#[cfg(unix)]
mod socket {
    use std::{
        fs,
        io::{self, Read, Write},
        net::Shutdown,
        os::unix::{fs::FileTypeExt, net::UnixStream},
        path::Path,
        time::Duration,
    };

    use super::{Address, Link, LinkError, UnixAddress, UnixError};

    /// How long a read waits before it reports that nothing came.
    const READ_TIMEOUT: Duration = Duration::from_millis(200);

    /// Connects to the socket.
    pub(super) fn open(path: &Path) -> Result<Link, LinkError> {
        let writer = UnixStream::connect(path).map_err(|source| failure(path, source))?;
        writer.set_read_timeout(Some(READ_TIMEOUT)).map_err(LinkError::Other)?;
        let reader = writer.try_clone().map_err(LinkError::Other)?;
        let (reader, writer) = (Box::new(Half(reader)), Box::new(Half(writer)));
        Ok(Link { reader, writer, framing: UnixAddress::FRAMING, process: None })
    }

    /// Sorts a system's error by what the user can do about it. Systems refuse a connection to any file, socket or not.
    fn failure(path: &Path, source: io::Error) -> LinkError {
        let is_other_file = || fs::metadata(path).is_ok_and(|file| !file.file_type().is_socket());
        let error = match source.kind() {
            io::ErrorKind::NotFound => UnixError::Absent(source),
            io::ErrorKind::PermissionDenied => UnixError::Denied(source),
            _ if is_other_file() => UnixError::NoSocket,
            io::ErrorKind::ConnectionRefused => UnixError::NobodyListens(source),
            _ => return LinkError::Other(source),
        };
        LinkError::Kind(error.into())
    }

    /// One direction of a connection. Dropping either ends both: the device is there for the next host, and a write that the
    /// device never takes does not wait for ever.
    struct Half(UnixStream);

    impl Read for Half {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer).map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
                _ => error,
            })
        }
    }

    impl Write for Half {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    impl Drop for Half {
        fn drop(&mut self) {
            // Where the connection has ended already there is nothing to do.
            let _ = self.0.shutdown(Shutdown::Both);
        }
    }

    #[cfg(test)]
    mod tests {
        use std::{os::unix::net::UnixListener, thread};

        use super::*;
        use crate::link::{DeviceUrl, UrlError};

        #[test]
        fn a_path_is_written_and_read_back() {
            let url = "unix:/run/user/1000/board 1:a?b";
            let read: DeviceUrl = url.parse().expect("valid");
            assert_eq!(read, DeviceUrl::Unix(UnixAddress { path: "/run/user/1000/board 1:a?b".into() }));
            assert_eq!(read.to_string(), url);
            assert!(matches!("unix:".parse::<DeviceUrl>(), Err(UrlError::Missing { missing: "the socket", .. })));
        }

        #[test]
        fn a_read_gives_up_and_dropping_one_half_ends_a_write_that_is_never_taken() {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let path = folder.path().join("socket");
            let listener = UnixListener::bind(&path).expect("a socket");
            let Link { mut reader, mut writer, .. } = open(&path).expect("it listens");
            let (_device, _) = listener.accept().expect("connected");
            assert_eq!(reader.read(&mut [0; 9]).expect_err("nothing came").kind(), io::ErrorKind::TimedOut);
            // More than any socket's buffer holds.
            let writing = thread::spawn(move || writer.write_all(&vec![0; 1 << 26]));
            thread::sleep(Duration::from_millis(20));
            assert!(!writing.is_finished());
            drop(reader);
            assert_eq!(writing.join().expect("no panic").expect_err("closed").kind(), io::ErrorKind::BrokenPipe);
        }
    }
}
