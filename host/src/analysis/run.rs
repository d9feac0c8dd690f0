//! The run: devices at work on a common plan, what they measure merged and journalled, and the record of it all.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use kurtoscope_shared::{Measurement, Requests, statistics::name_of};

use super::{
    assemble,
    collect::Collector,
    device::Device,
    error::{AnalysisError, KeptInJournal},
    failure::DeviceFailure,
    journal::{Journal, JournalEntry},
    options::RunOptions,
    plan::{ChunkNumber, MeasurementPlan},
    progress::Progress,
    queue::{DeviceEvent, LinkStatistics, Pool, Queue},
    resume::{self, PreparedRun},
};
use crate::record::{self, Run};
use kurtoscope_checkpoint::{Checkpoint, StoredTensor, model::Family};

/// How long the run waits for an event before it looks whether it is to stop, and whether the journal is to be written.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Measures a checkpoint on all of `devices` at once, without a journal.
///
/// # Errors
/// Those of [`analyze_with`].
pub fn analyze(
    checkpoint: &Checkpoint,
    devices: &mut [Device],
    progress: &mut dyn Progress,
) -> Result<Run, AnalysisError> {
    analyze_with(checkpoint, devices, &mut RunOptions::default(), progress)
}

/// Measures a checkpoint on all of `devices` at once.
///
/// The result depends to the last bit on the checkpoint, the chunk size and the devices' engines, not on the number of
/// devices, on who answers first, or on how often the run was cut off and continued with its journal. The chunk size, where
/// it is not given, comes from the devices' limits and a short measurement of their links, or from the journal. Memory:
/// the windows of the devices, of which up to 256 MiB each are used, and a few kilobytes a tensor.
///
/// The journal stays on disk; [`Journal::remove`] it when the result is safe.
///
/// # Errors
/// When there is no device, one does not know an element type, all are lost, or the options do not fit. A device that is
/// lost while others are left is reported to `progress`, and its chunks are measured by the others.
pub fn analyze_with(
    checkpoint: &Checkpoint,
    devices: &mut [Device],
    options: &mut RunOptions<'_>,
    progress: &mut dyn Progress,
) -> Result<Run, AnalysisError> {
    let Some(device) = devices.first().map(Device::record) else { return Err(AnalysisError::NoDevice) };
    let began = Instant::now();
    let started = jiff::Timestamp::now();
    let names = checkpoint.tensors.iter().map(StoredTensor::path);
    let family = Family::recognise(names, checkpoint.config.as_ref());
    let prepared = resume::start(checkpoint, family, devices, options, progress)?;
    let missing_statistics = missing_statistics(options.statistics, devices, progress);
    let PreparedRun { plan, collector, pending, bytes: resumed_bytes, earlier } = prepared;
    check_elements(checkpoint, &plan, devices)?;
    progress.begin(plan.bytes);
    if resumed_bytes > 0 {
        progress.resumed(resumed_bytes);
    }

    let pool = Pool::new(plan.chunks.len(), pending);
    let mut supervisor = Supervisor {
        checkpoint,
        plan: &plan,
        pool: &pool,
        stop: options.stop,
        collector,
        journal: options.journal.as_deref_mut(),
        progress,
        shares: devices.iter().map(share).collect(),
        earlier_devices: earlier.len(),
        measured: resumed_bytes,
        working: devices.len(),
        last_failure: None,
        since: Instant::now(),
    };
    supervisor.run(devices);
    let is_stopped = supervisor.is_stopped();
    let Supervisor { collector, journal, mut shares, measured, last_failure, .. } = supervisor;
    let is_finished = pool.is_finished();
    if let Some(error) = pool.take_failure() {
        return Err(error.into());
    }
    if !is_finished {
        let journal = journal.map(|journal| KeptInJournal {
            path: journal.path().display().to_string(),
            bytes: resumed_bytes + journal.written(),
        });
        return Err(unfinished(is_stopped, last_failure, measured, plan.bytes, journal));
    }
    let tolerances = devices.iter().map(Device::tolerance).chain(earlier.iter().map(|earlier| earlier.tolerance));
    let tolerance = tolerances.fold(0.0, f64::max);
    resume::add_earlier(&mut shares, earlier);
    let tensors = assemble::tensors(checkpoint, family, &plan, &collector.finish(), tolerance);
    let remarks = checkpoint.remarks.iter().cloned().chain(assemble::rounded_integers(&tensors)).collect();
    Ok(Run {
        schema: record::SCHEMA,
        tool: record::Tool { name: "kurtoscope".into(), version: env!("CARGO_PKG_VERSION").into() },
        model: assemble::model(checkpoint, family, &tensors),
        device,
        devices: shares,
        started: format!("{started:.0}"),
        seconds: began.elapsed().as_secs_f64(),
        bytes: plan.bytes,
        resumed_bytes,
        tensors,
        unmeasured: checkpoint.unmeasured.clone(),
        remarks,
        missing_statistics,
    })
}

/// What is asked for and not measured by each device, which is reported to `progress`.
fn missing_statistics(
    asked: Requests,
    devices: &[Device],
    progress: &mut dyn Progress,
) -> Vec<record::MissingStatistics> {
    let of = |device: &Device| record::MissingStatistics {
        device: device.url().to_string(),
        statistics: asked
            .keys()
            .iter()
            .filter(|key| !device.statistics().contains(key))
            .filter_map(|key| name_of(key.tag).map(str::to_owned))
            .collect(),
    };
    let missing: Vec<_> = devices.iter().map(of).filter(|missing| !missing.statistics.is_empty()).collect();
    for record::MissingStatistics { device, statistics } in &missing {
        progress.notice(&format!("{device}: not measured by this device: {}", statistics.join(", ")));
    }
    missing
}

/// Why a run ended without having measured everything.
fn unfinished(
    is_stopped: bool,
    last_failure: Option<DeviceFailure>,
    measured: u64,
    total: u64,
    journal: Option<KeptInJournal>,
) -> AnalysisError {
    match last_failure {
        _ if is_stopped => AnalysisError::Stopped { measured, total, journal },
        Some(failure) => AnalysisError::Lost { failure: failure.into(), measured, total, journal },
        None => AnalysisError::Incomplete { measured, total },
    }
}

/// Receives what the devices of a run report, on the thread that called it.
struct Supervisor<'a> {
    checkpoint: &'a Checkpoint,
    plan: &'a MeasurementPlan,
    pool: &'a Pool,
    stop: Option<&'a AtomicBool>,
    collector: Collector,
    journal: Option<&'a mut Journal>,
    progress: &'a mut dyn Progress,
    shares: Vec<record::DeviceShare>,
    /// Devices of earlier runs in the journal, before those of this one.
    earlier_devices: usize,
    /// Bytes that are measured, those by earlier runs included.
    measured: u64,
    /// Devices that have not stopped.
    working: usize,
    /// How the device was lost that was the last to work.
    last_failure: Option<DeviceFailure>,
    /// When the devices began to work.
    since: Instant,
}

impl Supervisor<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Acquire))
    }

    /// Has the devices work, each on a thread of its own, until none does any more.
    fn run(&mut self, devices: &mut [Device]) {
        if let Some(journal) = &mut self.journal {
            for device in devices.iter() {
                journal.append(&JournalEntry::Device { device: device.record(), tolerance: device.tolerance() }, 0);
            }
        }
        let (checkpoint, plan, pool) = (self.checkpoint, self.plan, self.pool);
        thread::scope(|scope| {
            let (sender, events) = channel();
            for (number, device) in devices.iter_mut().enumerate() {
                let queue = Queue::new(pool, number, sender.clone());
                scope.spawn(move || {
                    let (link, outcome) = device.work(checkpoint, plan, &queue);
                    queue.report_stopped(link, outcome);
                });
            }
            drop(sender);
            self.receive(&events);
        });
        if let Some(journal) = &mut self.journal {
            journal.flush();
        }
        self.progress.finish();
    }

    /// Takes events until every device has stopped.
    fn receive(&mut self, events: &Receiver<DeviceEvent>) {
        loop {
            if self.is_stopped() {
                self.pool.stop();
            }
            match events.recv_timeout(POLL_INTERVAL) {
                Ok(DeviceEvent::Measured { device, chunk, measurement }) => self.measured(device, chunk, measurement),
                Ok(DeviceEvent::LinkLost { device }) => {
                    let url = &self.shares[device].device.url;
                    self.progress.notice(&format!("{url}: the link was lost; it is being opened again"));
                }
                Ok(DeviceEvent::Stopped { device, link, outcome }) => self.stopped(device, link, outcome),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(journal) = &mut self.journal {
                        journal.flush_if_due();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn measured(&mut self, device: usize, chunk: ChunkNumber, measurement: Measurement) {
        let planned = &self.plan.chunks[chunk];
        let bytes = self.plan.payload_len(planned) as u64;
        self.collector.take(self.plan, planned, &measurement);
        if let Some(journal) = &mut self.journal {
            let device = (self.earlier_devices + device) as u32;
            journal.append(&JournalEntry::Measured { chunk: chunk as u64, device, measurement }, bytes);
            if let Some(error) = journal.take_fault() {
                self.progress.notice(&format!(
                    "the journal {} cannot be written ({error}); the run goes on, and what it measures from here on is not \
                     kept",
                    journal.path().display()
                ));
            }
        }
        let share = &mut self.shares[device];
        (share.chunks, share.bytes) = (share.chunks + 1, share.bytes + bytes);
        share.seconds = self.since.elapsed().as_secs_f64();
        self.measured += bytes;
        self.progress.measured(bytes, &self.checkpoint.tensors[self.plan.targets[planned.target].tensor].name);
    }

    fn stopped(&mut self, device: usize, link: LinkStatistics, outcome: Result<(), DeviceFailure>) {
        self.working -= 1;
        let share = &mut self.shares[device];
        (share.resent, share.damaged) = (link.resent, link.damaged);
        (share.dropped, share.reconnects) = (link.dropped, link.reconnects);
        share.sent_bytes = link.sent_bytes;
        match outcome {
            Ok(()) => {}
            // The loss of the last one ends the run, and is reported as its end.
            Err(failure) if self.working == 0 && !self.pool.is_finished() => self.last_failure = Some(failure),
            Err(failure) => self.progress.lost(&failure),
        }
    }
}

fn check_elements(checkpoint: &Checkpoint, plan: &MeasurementPlan, devices: &[Device]) -> Result<(), AnalysisError> {
    for target in &plan.targets {
        if let Some(device) = devices.iter().find(|device| !device.elements().contains(target.element)) {
            let tensor = &checkpoint.tensors[target.tensor];
            return Err(AnalysisError::Element {
                path: checkpoint.path_of(tensor).display().to_string(),
                tensor: tensor.name.clone(),
                url: device.url().to_string(),
                element: target.element.name(),
            });
        }
    }
    Ok(())
}

fn share(device: &Device) -> record::DeviceShare {
    record::DeviceShare {
        device: device.record(),
        chunks: 0,
        bytes: 0,
        resent: 0,
        damaged: 0,
        dropped: 0,
        reconnects: 0,
        sent_bytes: 0,
        resumed_bytes: 0,
        seconds: 0.0,
    }
}
