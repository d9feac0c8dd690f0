//! The chunks that are still to be measured, shared by the devices of a run, and what the devices report to the run. Devices
//! that have nothing to do wait here, and are woken when chunks come back or the run ends.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc::Sender},
    time::Instant,
};

use kurtoscope_shared::Measurement;

use super::{failure::DeviceFailure, plan::ChunkNumber, wire::Waker};
use kurtoscope_checkpoint::CheckpointError;

/// What a device reports to the run, under its number in the run.
#[derive(Debug)]
pub enum DeviceEvent {
    /// A chunk is measured.
    Measured {
        /// By which device.
        device: usize,
        /// Which chunk.
        chunk: ChunkNumber,
        /// What was found.
        measurement: Measurement,
    },
    /// The device's link was lost; it is being opened again.
    LinkLost {
        /// Which device.
        device: usize,
    },
    /// The device has stopped working: there is nothing left to do, or it was lost.
    Stopped {
        /// Which device.
        device: usize,
        /// How its link fared.
        link: LinkStatistics,
        /// How it was lost.
        outcome: Result<(), DeviceFailure>,
    },
}

/// How the work of one device went on its link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStatistics {
    /// Chunks sent again.
    pub resent: u64,
    /// Frames that arrived damaged, at both ends.
    pub damaged: u64,
    /// Valid frames that the device could not use.
    pub dropped: u64,
    /// How often the link was lost and opened again.
    pub reconnects: u64,
    /// Bytes of payload sent, as they travelled, those sent again included.
    pub sent_bytes: u64,
}

/// Hands out chunks in order, takes back what a lost device leaves, and detects when everything is measured.
#[derive(Debug)]
pub struct Pool {
    total: usize,
    state: Mutex<State>,
    /// Chunks came back, or the run has ended.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The chunks that no device has taken, the next one last.
    waiting: Vec<ChunkNumber>,
    completed: usize,
    /// Why the checkpoint cannot be read.
    failure: Option<CheckpointError>,
    is_stopped: bool,
    /// By device, what wakes those that wait for their link instead.
    wakers: BTreeMap<usize, Waker>,
}

impl State {
    /// Whether the devices are to stop where they are.
    fn is_cancelled(&self) -> bool {
        self.is_stopped || self.failure.is_some()
    }
}

impl Pool {
    /// A pool of these chunks out of `0..total`, handed out in their order; the others are done.
    pub fn new(total: usize, mut pending: Vec<ChunkNumber>) -> Self {
        let completed = total.saturating_sub(pending.len());
        // Taken from the end.
        pending.reverse();
        let state = State { waiting: pending, completed, failure: None, is_stopped: false, wakers: BTreeMap::new() };
        Self { total, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Ends the run early: the devices stop where they are.
    pub fn stop(&self) {
        let mut state = self.state();
        if !state.is_stopped {
            state.is_stopped = true;
            self.wake(&state);
        }
    }

    /// Whether every chunk is measured.
    pub fn is_finished(&self) -> bool {
        self.state().completed >= self.total
    }

    /// Why the run was cancelled, if the checkpoint could not be read.
    pub fn take_failure(&self) -> Option<CheckpointError> {
        self.state().failure.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock leaves the state half changed when it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes all devices that wait for chunks or for the end.
    fn wake(&self, state: &State) {
        self.changed.notify_all();
        state.wakers.values().for_each(Waker::wake);
    }

    fn is_over(&self, state: &State) -> bool {
        state.is_cancelled() || state.completed >= self.total
    }
}

/// One device's access to the pool.
#[derive(Debug)]
pub struct Queue<'a> {
    pool: &'a Pool,
    device: usize,
    events: Sender<DeviceEvent>,
}

impl<'a> Queue<'a> {
    /// Access for device number `device`, which reports to `events`.
    pub fn new(pool: &'a Pool, device: usize, events: Sender<DeviceEvent>) -> Self {
        Self { pool, device, events }
    }

    /// Takes the next chunk to measure, if there is one and it `fits`. That there is none is final only when
    /// [`is_over`](Self::is_over).
    pub fn try_next(&self, fits: impl Fn(ChunkNumber) -> bool) -> Option<ChunkNumber> {
        let mut state = self.pool.state();
        if state.is_cancelled() { None } else { state.waiting.pop_if(|chunk| fits(*chunk)) }
    }

    /// Waits for the next chunk to measure; `None` when there will be none.
    pub fn next(&self) -> Option<ChunkNumber> {
        let mut state = self.pool.state();
        loop {
            if self.pool.is_over(&state) {
                return None;
            }
            if let Some(chunk) = state.waiting.pop() {
                return Some(chunk);
            }
            state = self.pool.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until `deadline`, or until there is nothing left to do, which is `true`.
    pub fn wait_until_over(&self, deadline: Instant) -> bool {
        let mut state = self.pool.state();
        loop {
            if self.pool.is_over(&state) {
                return true;
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return false;
            };
            state = self.pool.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Has `waker` woken whenever chunks come back or the run ends, instead of the device's waker before.
    pub fn wake_on_change(&self, waker: Waker) {
        self.pool.state().wakers.insert(self.device, waker);
    }

    /// Reports what was found in a chunk.
    pub fn complete(&self, chunk: ChunkNumber, measurement: Measurement) {
        // Without a receiver the run has ended.
        let _ = self.events.send(DeviceEvent::Measured { device: self.device, chunk, measurement });
        let mut state = self.pool.state();
        state.completed += 1;
        if state.completed >= self.pool.total {
            self.pool.wake(&state);
        }
    }

    /// Returns chunks that this device will not measure. They are the next to be handed out, the first of them first.
    pub fn requeue(&self, chunks: impl IntoIterator<Item = ChunkNumber>) {
        let mut chunks: Vec<ChunkNumber> = chunks.into_iter().collect();
        if chunks.is_empty() {
            return;
        }
        chunks.reverse();
        let mut state = self.pool.state();
        state.waiting.extend(chunks);
        self.pool.wake(&state);
    }

    /// Reports that the device's link was lost and is being opened again.
    pub fn report_link_lost(&self) {
        let _ = self.events.send(DeviceEvent::LinkLost { device: self.device });
    }

    /// Reports that the device has stopped working.
    pub fn report_stopped(&self, link: LinkStatistics, outcome: Result<(), DeviceFailure>) {
        let _ = self.events.send(DeviceEvent::Stopped { device: self.device, link, outcome });
    }

    /// Cancels the run: the checkpoint cannot be read, and no other device could do better. The first reason counts.
    pub fn cancel(&self, reason: CheckpointError) {
        let mut state = self.pool.state();
        state.failure.get_or_insert(reason);
        self.pool.wake(&state);
    }

    /// Whether the run was stopped or cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.pool.state().is_cancelled()
    }

    /// Whether nothing is left to do: every chunk is measured, or the run was stopped or cancelled.
    pub fn is_over(&self) -> bool {
        self.pool.is_over(&self.pool.state())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc::channel, thread, time::Duration};

    /// Longer than any wake-up takes on a busy machine.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_waiting_device_is_woken_by_a_requeued_chunk_and_by_the_last_completed_one() {
        let pool = Pool::new(1, vec![0]);
        let (events, _received) = channel();
        let (first, second) = (Queue::new(&pool, 0, events.clone()), Queue::new(&pool, 1, events));
        assert_eq!((first.try_next(|_| false), first.try_next(|_| true)), (None, Some(0)));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let chunk = second.next();
                chunk.inspect(|chunk| second.complete(*chunk, Measurement::default()))
            });
            let ending = scope.spawn(|| first.wait_until_over(Instant::now() + LONG));
            first.requeue([0]);
            assert_eq!(waiting.join().expect("no panic"), Some(0));
            assert!(ending.join().expect("no panic"));
        });
        assert!(pool.is_finished() && first.next().is_none());
    }

    #[test]
    fn a_waiting_device_is_woken_when_the_run_is_stopped() {
        let pool = Pool::new(2, vec![0, 1]);
        let queue = Queue::new(&pool, 0, channel().0);
        assert_eq!((queue.try_next(|_| true), queue.try_next(|_| true)), (Some(0), Some(1)));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.next());
            pool.stop();
            assert_eq!(waiting.join().expect("no panic"), None);
        });
        assert!(queue.is_over() && !pool.is_finished());
        assert!(!Queue::new(&Pool::new(1, vec![0]), 0, channel().0).wait_until_over(Instant::now()));
    }
}
