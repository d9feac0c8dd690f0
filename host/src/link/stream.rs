//! A byte stream to a device in both directions, and the process that may be behind it.

use std::{
    fmt,
    io::{self, Read, Write},
    process::{Child, ChildStdin, ChildStdout},
    thread,
    time::{Duration, Instant},
};

use kurtoscope_shared::frame::Framing;

/// A byte stream to a device, in both directions.
///
/// Each half is used by one thread. An error of either half means that the link is of no use any more, except for
/// [`io::ErrorKind::Interrupted`] and, when reading, [`io::ErrorKind::TimedOut`]. Dropping the link closes it, and ends a
/// device that it started.
pub struct Link {
    /// From the device. Blocks until there is at least one byte. Zero bytes mean that the link has ended;
    /// [`io::ErrorKind::TimedOut`] means that nothing came yet, and leaves everything as it was.
    pub reader: Box<dyn Read + Send>,
    /// To the device. Blocks while the link is full. After an error it is not known how much of the bytes was taken.
    pub writer: Box<dyn Write + Send>,
    /// How frames are delimited in both directions, which follows from the kind of link.
    pub framing: Framing,
    /// What the link started; ends with it.
    pub process: Option<Process>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("framing", &self.framing).field("process", &self.process).finish_non_exhaustive()
    }
}

/// A child process that ends when this is dropped: by itself, now that its input has ended, or else by force.
#[derive(Debug)]
pub struct Process(Child);

/// How long a child may take to notice that its input has ended.
const GRACE: Duration = Duration::from_millis(200);
/// Between two looks whether it has.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

impl From<Child> for Process {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL_INTERVAL);
        }
        // It may have ended by itself after all, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The pipes of a child that was started with both.
pub(super) fn pipes(child: &mut Child) -> io::Result<(ChildStdin, ChildStdout)> {
    match (child.stdin.take(), child.stdout.take()) {
        (Some(stdin), Some(stdout)) => Ok((stdin, stdout)),
        _ => Err(io::Error::other("the child has no pipes")),
    }
}
