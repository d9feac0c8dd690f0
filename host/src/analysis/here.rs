//! The engine in this process: the same requests and reports as behind a link, without frames.

use std::{thread, time::Duration};

use kurtoscope_firmware::{
    engine::{BurnEngine, Engine, Piece},
    self_test,
};
use kurtoscope_shared::protocol::{Measurement, PROTOCOL_VERSION, PackingSet, SCHEMA_HASH, Welcome};

use super::{
    conversation::{ChunkNumber, Trouble},
    device::{Device, Loss, Place},
    plan::{Plan, Target},
    queue::Queue,
};
use kurtoscope_checkpoint::Checkpoint;

/// How long to wait for chunks that another device may hand back.
const PULSE: Duration = Duration::from_millis(2);

/// The engine's introduction, as a device would give it.
pub(super) fn introduce() -> Welcome {
    let mut engine = BurnEngine::cpu();
    let self_test = self_test::run(&mut engine);
    Welcome {
        protocol: PROTOCOL_VERSION,
        schema: SCHEMA_HASH,
        session: 0,
        firmware: env!("CARGO_PKG_VERSION").into(),
        board: "this machine".into(),
        identity: String::new(),
        engine: engine.kind(),
        adapter: engine.adapter(),
        limits: engine.limits(),
        packings: PackingSet::PLAIN,
        self_test,
    }
}

impl Device {
    /// Works on every core.
    pub(super) fn work_here(&self, checkpoint: &Checkpoint, plan: &Plan, queue: &Queue) -> Result<(), Loss> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let failures = thread::scope(|scope| {
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(|| measure(checkpoint, plan, queue))).collect();
            workers.into_iter().find_map(|worker| worker.join().unwrap_or(Err(Loss::Panicked)).err())
        });
        failures.map_or(Ok(()), Err)
    }
}

/// A chunk at work here. Dropped, it goes back to the queue: when its worker fails, and when it panics, so that nobody
/// waits for it.
struct Taken<'a> {
    queue: &'a Queue<'a>,
    chunk: ChunkNumber,
    is_done: bool,
}

impl Taken<'_> {
    fn hand_in(mut self, measurement: Measurement) {
        self.is_done = true;
        self.queue.hand_in(self.chunk, measurement);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.queue.give_back([self.chunk]);
        }
    }
}

fn measure(checkpoint: &Checkpoint, plan: &Plan, queue: &Queue) -> Result<(), Loss> {
    let mut engine = BurnEngine::cpu();
    loop {
        let Some(chunk) = queue.next() else {
            if queue.is_finished() || queue.is_given_up() {
                return Ok(());
            }
            thread::sleep(PULSE);
            continue;
        };
        let taken = Taken { queue, chunk, is_done: false };
        let planned = &plan.chunks[chunk];
        let payload = match plan.payload(checkpoint, planned) {
            Ok(payload) => payload,
            Err(error) => {
                queue.give_up(error);
                return Ok(());
            }
        };
        let bytes = payload.len();
        let Target { element, row, statistics, .. } = plan.targets[planned.target];
        let piece = Piece { element, offset: planned.offset, row, statistics };
        let trouble = match engine.measure(piece, payload) {
            Ok(measurement) if plan.accepts(planned, &measurement) => {
                taken.hand_in(measurement);
                continue;
            }
            Ok(_) => Trouble::Nonsense { bytes },
            Err(kind) => Trouble::Refused { bytes, kind },
        };
        return Err(Loss::Trouble { trouble, place: Some(Place::of(checkpoint, plan, chunk)) });
    }
}
