//! A byte stream in memory, with two ends on two threads.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// Bytes that the pipe holds before writing blocks: a driver's buffer.
const CAPACITY: usize = 1 << 14;

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    closed: bool,
}

/// One direction of a link. Clones are the same pipe.
#[derive(Debug, Clone, Default)]
pub struct Pipe(Arc<(Mutex<State>, Condvar)>);

impl Pipe {
    /// Ends the pipe: what is in it is lost, reading gives its end, writing fails.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.bytes.clear();
        self.0.1.notify_all();
    }

    /// Forgets what was written and not read, as a board does that restarts.
    pub fn forget(&self) {
        self.state().bytes.clear();
        self.0.1.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        while state.bytes.is_empty() && !state.closed {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let read = state.bytes.read(buffer)?;
        self.0.1.notify_all();
        Ok(read)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        while state.bytes.len() >= CAPACITY && !state.closed {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(CAPACITY - state.bytes.len());
        state.bytes.extend(&bytes[..taken]);
        self.0.1.notify_all();
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
