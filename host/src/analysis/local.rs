//! The engine in this process: the same requests and reports as behind a link, without frames.

use std::thread;

use kurtoscope_firmware::{
    engine::{ChunkSpec, CpuEngine, Engine},
    self_test,
};
use kurtoscope_shared::{
    Measurement,
    protocol::{CompressionSet, PROTOCOL_VERSION, Welcome},
};

use super::{
    failure::{DeviceFailure, DeviceFailureKind, InvalidReport},
    plan::{ChunkNumber, MeasurementPlan, PlannedTensor},
    queue::Queue,
};
use crate::link::DeviceUrl;
use kurtoscope_checkpoint::Checkpoint;

/// The engine's introduction, as a device would give it.
pub(super) fn introduce() -> Welcome {
    let mut engine = CpuEngine::default();
    let self_test = self_test::run(&mut engine);
    Welcome {
        protocol: PROTOCOL_VERSION,
        session: 0,
        firmware: env!("CARGO_PKG_VERSION").into(),
        board: "this machine".into(),
        identity: String::new(),
        engine: engine.kind(),
        adapter: engine.adapter(),
        limits: engine.limits(),
        statistics: engine.statistics().iter().map(|statistic| statistic.key).collect(),
        compressions: CompressionSet::PLAIN,
        self_test,
        capabilities: Vec::new(),
    }
}

/// Measures on every core until the queue has nothing left.
///
/// # Errors
/// When an engine refuses a chunk, reports something invalid, or panics. Its chunk goes back to the queue.
pub(super) fn work(checkpoint: &Checkpoint, plan: &MeasurementPlan, queue: &Queue) -> Result<(), DeviceFailure> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let panicked = || DeviceFailure::new(DeviceUrl::Local, DeviceFailureKind::Crashed { times: 1 });
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(|| measure(checkpoint, plan, queue))).collect();
        // All are waited for, and the first failure counts.
        let outcomes = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err(panicked())));
        outcomes.fold(Ok(()), Result::and)
    })
}

/// A chunk that is being measured. Dropped, it goes back to the queue: when its worker fails, and when it panics, so that
/// another device measures it.
struct Taken<'a> {
    queue: &'a Queue<'a>,
    chunk: ChunkNumber,
    is_complete: bool,
}

impl Taken<'_> {
    fn complete(mut self, measurement: Measurement) {
        self.is_complete = true;
        self.queue.complete(self.chunk, measurement);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.is_complete {
            self.queue.requeue([self.chunk]);
        }
    }
}

fn measure(checkpoint: &Checkpoint, plan: &MeasurementPlan, queue: &Queue) -> Result<(), DeviceFailure> {
    let mut engine = CpuEngine::default();
    while let Some(chunk) = queue.next() {
        let taken = Taken { queue, chunk, is_complete: false };
        let planned = &plan.chunks[chunk];
        let payload = match plan.payload(checkpoint, planned) {
            Ok(payload) => payload,
            Err(error) => {
                queue.cancel(error);
                return Ok(());
            }
        };
        let PlannedTensor { element, row, requests, .. } = plan.targets[planned.target];
        let spec = ChunkSpec { element, offset: planned.offset, row, requests };
        let kind = match engine.measure(spec, &payload) {
            Ok(measurement) => match plan.check(planned, &measurement, engine.tolerance()) {
                Ok(()) => {
                    taken.complete(measurement);
                    continue;
                }
                Err(reason) => DeviceFailureKind::InvalidReport { reason: InvalidReport::Implausible(reason) },
            },
            Err(fault) => DeviceFailureKind::Refused { fault },
        };
        return Err(DeviceFailure::new(DeviceUrl::Local, kind).at(Some(plan.location(checkpoint, chunk))));
    }
    Ok(())
}
