//! The chunks that are still to be measured, shared by the devices of a run.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
    mpsc::Sender,
};

use kurtoscope_shared::protocol::Measurement;

use super::{
    conversation::ChunkNumber,
    device::{DeviceError, Health},
};
use kurtoscope_checkpoint::CheckpointError;

/// What a device tells the run, under its number in the run.
#[derive(Debug)]
pub enum News {
    /// A chunk is measured.
    Measured {
        /// By which device.
        device: usize,
        /// Which chunk.
        chunk: ChunkNumber,
        /// What was found.
        measurement: Measurement,
    },
    /// The device has stopped working: there is nothing left to do, or it was lost.
    Stopped {
        /// Which device.
        device: usize,
        /// How its link fared.
        health: Health,
        /// How it was lost.
        outcome: Result<(), DeviceError>,
    },
    /// The device's link was lost; it is being looked for.
    LinkLost {
        /// Which device.
        device: usize,
    },
}

/// Hands out chunks in order, takes back what a lost device leaves, and knows when everything is measured.
#[derive(Debug)]
pub struct Pool {
    total: usize,
    /// What nobody works on, the next one last.
    waiting: Mutex<Vec<ChunkNumber>>,
    done: AtomicUsize,
    failure: OnceLock<CheckpointError>,
    stopped: AtomicBool,
}

impl Pool {
    /// A pool of these chunks out of `0..total`, handed out in their order; the others are done.
    pub fn new(total: usize, mut pending: Vec<ChunkNumber>) -> Self {
        let done = total.saturating_sub(pending.len());
        // Taken from the end.
        pending.reverse();
        Self {
            total,
            waiting: Mutex::new(pending),
            done: AtomicUsize::new(done),
            failure: OnceLock::new(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Ends the run early: the devices stop where they are.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Whether every chunk has been handed in.
    pub fn is_finished(&self) -> bool {
        self.done.load(Ordering::Acquire) >= self.total
    }

    /// Why the run was given up, if the checkpoint could not be read.
    pub fn into_failure(self) -> Option<CheckpointError> {
        self.failure.into_inner()
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<ChunkNumber>> {
        // A thread that died while it held a list of numbers left a list of numbers.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One device's access to the pool.
#[derive(Debug)]
pub struct Queue<'a> {
    pool: &'a Pool,
    device: usize,
    news: Sender<News>,
}

impl<'a> Queue<'a> {
    /// Access for device number `device`, which reports to `news`.
    pub fn new(pool: &'a Pool, device: usize, news: Sender<News>) -> Self {
        Self { pool, device, news }
    }

    /// The next chunk to measure; `None` while there is none, which is final only when [`is_finished`](Self::is_finished).
    pub fn next(&self) -> Option<ChunkNumber> {
        if self.is_given_up() {
            return None;
        }
        self.pool.waiting().pop()
    }

    /// Hands in what was found in a chunk.
    pub fn hand_in(&self, chunk: ChunkNumber, measurement: Measurement) {
        // Nobody to receive it means that the run has been given up.
        let _ = self.news.send(News::Measured { device: self.device, chunk, measurement });
        self.pool.done.fetch_add(1, Ordering::Release);
    }

    /// Says that the device has stopped working.
    pub fn stop(&self, (health, outcome): (Health, Result<(), DeviceError>)) {
        let _ = self.news.send(News::Stopped { device: self.device, health, outcome });
    }

    /// Says that the device's link was lost and is being opened again.
    pub fn tell_lost(&self) {
        let _ = self.news.send(News::LinkLost { device: self.device });
    }

    /// Returns chunks that this device will not measure. They are the next to be handed out, the first of them first.
    pub fn give_back(&self, chunks: impl IntoIterator<Item = ChunkNumber>) {
        let mut chunks: Vec<ChunkNumber> = chunks.into_iter().collect();
        chunks.reverse();
        self.pool.waiting().extend(chunks);
    }

    /// Gives the run up: the checkpoint cannot be read, and no other device could do better. The first reason counts.
    pub fn give_up(&self, reason: CheckpointError) {
        let _ = self.pool.failure.set(reason);
    }

    /// Whether the run has been given up or stopped.
    pub fn is_given_up(&self) -> bool {
        self.pool.failure.get().is_some() || self.pool.stopped.load(Ordering::Acquire)
    }

    /// Whether every chunk of the run has been handed in.
    pub fn is_finished(&self) -> bool {
        self.pool.is_finished()
    }
}
