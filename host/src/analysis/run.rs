//! The run: devices at work on a common plan, what they measure merged and journalled, and the record of it all.

use std::{
    sync::{
        atomic::Ordering,
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    assemble,
    device::Device,
    error::{AnalysisError, KeptInJournal},
    journal::JournalEntry,
    options::RunOptions,
    plan::MeasurementPlan,
    progress::Progress,
    queue::{DeviceEvent, Pool, Queue},
    resume::{self, PreparedRun},
};
use crate::record::{self, Run};
use kurtoscope_checkpoint::{checkpoint::Checkpoint, model::Family};

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
    if devices.is_empty() {
        return Err(AnalysisError::NoDevice);
    }
    let began = Instant::now();
    let started = jiff::Timestamp::now();
    let names = checkpoint.tensors.iter().map(|tensor| tensor.name.as_str());
    let family = Family::recognise(names, checkpoint.config.as_ref());
    let start = resume::start(checkpoint, family, devices, options, progress)?;
    let PreparedRun { plan, mut collector, pending, bytes: resumed_bytes, earlier } = start;
    check_elements(checkpoint, &plan, devices)?;
    progress.begin(plan.bytes);
    if resumed_bytes > 0 {
        progress.resumed(resumed_bytes);
    }

    let mut shares: Vec<record::DeviceShare> = devices.iter().map(share).collect();
    let mut journal = options.journal.as_deref_mut();
    if let Some(journal) = &mut journal {
        for device in devices.iter() {
            journal.append(&JournalEntry::Device { device: device.record(), tolerance: device.tolerance() }, 0);
        }
    }
    let pool = Pool::new(plan.chunks.len(), pending);
    let mut measured = resumed_bytes;
    let mut working = devices.len();
    let mut last_loss = None;
    let is_stopped = || options.stop.is_some_and(|stop| stop.load(Ordering::Acquire));
    thread::scope(|scope| {
        let (sender, events) = channel();
        for (number, device) in devices.iter_mut().enumerate() {
            let queue = Queue::new(&pool, number, sender.clone());
            let plan = &plan;
            scope.spawn(move || {
                let (link, outcome) = device.work(checkpoint, plan, &queue);
                queue.report_stopped(link, outcome);
            });
        }
        drop(sender);
        let working_since = Instant::now();
        loop {
            if is_stopped() {
                pool.stop();
            }
            let event = match events.recv_timeout(POLL_INTERVAL) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(journal) = &mut journal {
                        journal.flush_if_due();
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            match event {
                DeviceEvent::Measured { device, chunk, measurement } => {
                    let planned = &plan.chunks[chunk];
                    let bytes = plan.payload_len(planned) as u64;
                    collector.take(&plan, planned, &measurement);
                    if let Some(journal) = &mut journal {
                        let device = (earlier.len() + device) as u32;
                        journal.append(&JournalEntry::Measured { chunk: chunk as u64, device, measurement }, bytes);
                        if let Some(error) = journal.take_fault() {
                            progress.notice(&format!(
                                "the journal {} cannot be written ({error}); the run goes on, and what it measures from \
                                 here on is not kept",
                                journal.path().display()
                            ));
                        }
                    }
                    let share = &mut shares[device];
                    (share.chunks, share.bytes) = (share.chunks + 1, share.bytes + bytes);
                    share.seconds = working_since.elapsed().as_secs_f64();
                    measured += bytes;
                    progress.measured(bytes, &checkpoint.tensors[plan.targets[planned.target].tensor].name);
                }
                DeviceEvent::LinkLost { device } => {
                    let url = &shares[device].device.url;
                    progress.notice(&format!("{url}: the link was lost; it is being opened again"));
                }
                DeviceEvent::Stopped { device, link, outcome } => {
                    working -= 1;
                    let share = &mut shares[device];
                    (share.resent, share.damaged) = (link.resent, link.damaged);
                    (share.dropped, share.reconnects) = (link.dropped, link.reconnects);
                    share.sent_bytes = link.sent_bytes;
                    match outcome {
                        Ok(()) => {}
                        // The loss of the last one ends the run, and is reported as its end.
                        Err(failure) if working == 0 && !pool.is_finished() => last_loss = Some(failure),
                        Err(failure) => progress.lost(&failure),
                    }
                }
            }
        }
    });
    if let Some(journal) = &mut journal {
        journal.flush();
    }
    progress.finish();
    let is_finished = pool.is_finished();
    if let Some(error) = pool.into_failure() {
        return Err(error.into());
    }
    let total = plan.bytes;
    let kept = || {
        let journal = journal.as_ref()?;
        Some(KeptInJournal { path: journal.path().display().to_string(), bytes: resumed_bytes + journal.written() })
    };
    match last_loss {
        _ if is_finished => {}
        _ if is_stopped() => return Err(AnalysisError::Stopped { measured, total, journal: kept() }),
        Some(failure) => return Err(AnalysisError::Lost { failure: failure.into(), measured, total, journal: kept() }),
        None => return Err(AnalysisError::Incomplete { measured, total }),
    }
    let tolerances = devices.iter().map(Device::tolerance).chain(earlier.iter().map(|earlier| earlier.tolerance));
    let tolerance = tolerances.fold(0.0, f64::max);
    resume::add_earlier(&mut shares, earlier);
    let tensors = assemble::tensors(checkpoint, &plan, &collector.finish(), tolerance);
    let Some(device) = shares.first().map(|share| share.device.clone()) else { return Err(AnalysisError::NoDevice) };
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
    })
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
