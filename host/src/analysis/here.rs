//! The engine in this process: the same requests and reports as behind a link, without frames.

use std::{thread, time::Duration};

use kurtoscope_firmware::{
    engine::{BurnEngine, Engine, Piece},
    self_test,
};
use kurtoscope_shared::protocol::{PROTOCOL_VERSION, PackingSet, SCHEMA_HASH, Welcome};

use super::{
    conversation::Trouble,
    device::{Device, Loss},
    plan::{Plan, Target},
    queue::Queue,
};
use crate::checkpoint::Checkpoint;

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
            workers.into_iter().find_map(|worker| worker.join().ok().and_then(Result::err))
        });
        match failures {
            None => Ok(()),
            Some(trouble) => Err(trouble.into()),
        }
    }
}

fn measure(checkpoint: &Checkpoint, plan: &Plan, queue: &Queue) -> Result<(), Trouble> {
    let mut engine = BurnEngine::cpu();
    loop {
        let Some(chunk) = queue.next() else {
            if queue.is_finished() || queue.is_given_up() {
                return Ok(());
            }
            thread::sleep(PULSE);
            continue;
        };
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
        match engine.measure(piece, payload) {
            Ok(measurement) if Plan::accepts(planned, &measurement) => queue.hand_in(chunk, measurement),
            Ok(_) => {
                queue.give_back([chunk]);
                return Err(Trouble::Nonsense { bytes });
            }
            Err(kind) => {
                queue.give_back([chunk]);
                return Err(Trouble::Refused { bytes, kind });
            }
        }
    }
}
