//! From a checkpoint and devices to a [`Run`]: planning, handing out chunks, merging reports.
//!
//! | module | holds |
//! |---|---|
//! | [`plan`] | what is measured, cut into chunks |
//! | [`device`] | a device, greeted and ready |
//! | `work` | a device behind a link at work, lost and found again |
//! | `here` | the engine in this process at work |
//! | `greeting` | greeting a device and judging it |
//! | `conversation` | what is in flight, what was lost: the host's side of the protocol, without I/O |
//! | `wire` | the two ends of a link, each on its own thread |
//! | `queue` | the chunks that are still to be measured |
//! | `collect` | merging reports in a fixed order |
//! | `assemble` | from merged measurements to records |

mod assemble;
mod collect;
mod conversation;
pub mod device;
mod greeting;
mod here;
pub mod plan;
mod queue;
mod wire;
mod work;

use std::{sync::mpsc::channel, thread, time::Instant};

pub use conversation::Trouble;
pub use device::{Device, DeviceError, DeviceOptions, Loss};
pub use greeting::Refusal;

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    model::Family,
    record::{self, Run},
};
use collect::Collector;
use plan::Plan;
use queue::{News, Pool, Queue};

/// The largest chunk, bytes, whatever a device could take: small enough to share out evenly and to show progress.
const MAX_CHUNK_BYTES: usize = 1 << 20;

/// Told how a run goes on. Called on the thread that called [`analyze`].
pub trait Progress {
    /// The run begins; `bytes` will be measured.
    fn begin(&mut self, bytes: u64);
    /// `bytes` more are measured, for the tensor of this name.
    fn measured(&mut self, bytes: u64, tensor: &str);
    /// A device was lost; the others go on with its chunks.
    fn lost(&mut self, error: &DeviceError);
    /// Everything is measured.
    fn finish(&mut self);
}

/// No progress shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&mut self, _bytes: u64) {}
    fn measured(&mut self, _bytes: u64, _tensor: &str) {}
    fn lost(&mut self, _error: &DeviceError) {}
    fn finish(&mut self) {}
}

/// Why a model could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// There is no device to measure with.
    #[error("no device to measure with; `--device local` uses this machine's processor")]
    NoDevice,
    /// A device cannot measure one of the tensors.
    #[error("{path}: tensor \"{tensor}\": {url} does not measure elements of type {element}; use another device")]
    Element {
        /// The checkpoint's file.
        path: String,
        /// The tensor.
        tensor: String,
        /// The device.
        url: String,
        /// The type.
        element: &'static str,
    },
    /// The checkpoint could not be read.
    #[error("{0}; nothing was written")]
    Checkpoint(#[from] CheckpointError),
    /// Every device was lost before the end. The last one's error.
    #[error("{error}; {measured} of {total} bytes were measured, and nothing was written")]
    Lost {
        /// How the last device was lost.
        error: DeviceError,
        /// Bytes measured until then.
        measured: u64,
        /// Bytes to measure.
        total: u64,
    },
    /// The work ended without an error and without a result.
    #[error("{measured} of {total} bytes were measured; this is a defect of Kurtoscope, please report it")]
    Incomplete {
        /// Bytes measured.
        measured: u64,
        /// Bytes to measure.
        total: u64,
    },
}

/// Measures a checkpoint on all of `devices` at once.
///
/// The chunks, and so the result to the last bit, depend on the checkpoint and on the smallest payload limit among the
/// devices, not on their number or on who answers first. Memory: the windows of the devices, and a few kilobytes a tensor.
///
/// # Errors
/// When there is no device, one does not know an element type, or all are lost. A device that is lost while others are
/// left is reported to `progress`, and its chunks are measured by the others.
pub fn analyze(
    checkpoint: &Checkpoint,
    devices: &mut [Device],
    progress: &mut dyn Progress,
) -> Result<Run, AnalysisError> {
    let began = Instant::now();
    let started = jiff::Timestamp::now();
    let names = checkpoint.tensors.iter().map(|tensor| tensor.name.as_str());
    let family = Family::recognise(names, checkpoint.config.as_ref());
    let plan = Plan::new(checkpoint, family, chunk_bytes(devices)?);
    check_elements(checkpoint, &plan, devices)?;
    progress.begin(plan.bytes);

    let mut shares: Vec<record::DeviceShare> = devices.iter().map(share).collect();
    let mut collector = Collector::new(&plan);
    let pool = Pool::new(plan.chunks.len());
    let mut measured = 0;
    let mut working = devices.len();
    let mut last_loss = None;
    thread::scope(|scope| {
        let (sender, news) = channel();
        for (number, device) in devices.iter_mut().enumerate() {
            let queue = Queue::new(&pool, number, sender.clone());
            let plan = &plan;
            scope.spawn(move || queue.stop(device.work(checkpoint, plan, &queue)));
        }
        drop(sender);
        for news in news {
            match news {
                News::Measured { device, chunk, measurement } => {
                    let planned = &plan.chunks[chunk];
                    let bytes = plan.payload_len(planned) as u64;
                    collector.take(planned, &measurement);
                    shares[device].chunks += 1;
                    shares[device].bytes += bytes;
                    measured += bytes;
                    progress.measured(bytes, &checkpoint.tensors[plan.targets[planned.target].tensor].name);
                }
                News::Stopped { device, outcome } => {
                    working -= 1;
                    match outcome {
                        Ok(health) => {
                            let share = &mut shares[device];
                            (share.resent, share.damaged) = (health.resent, health.damaged);
                            (share.dropped, share.reconnects) = (health.dropped, health.reconnects);
                        }
                        // The loss of the last one ends the run, and is told as its end.
                        Err(error) if working == 0 && !pool.is_finished() => last_loss = Some(error),
                        Err(error) => progress.lost(&error),
                    }
                }
            }
        }
    });
    progress.finish();
    let is_finished = pool.is_finished();
    if let Some(error) = pool.into_failure() {
        return Err(error.into());
    }
    let total = plan.bytes;
    match last_loss {
        Some(error) => return Err(AnalysisError::Lost { error, measured, total }),
        None if !is_finished => return Err(AnalysisError::Incomplete { measured, total }),
        None => {}
    }
    let tolerance = devices.iter().map(Device::tolerance).fold(0.0, f64::max);
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
        tensors,
        unmeasured: checkpoint.unmeasured.clone(),
    })
}

/// The chunk size for a set of devices: what the smallest of them takes, in whole elements of the largest type.
fn chunk_bytes(devices: &[Device]) -> Result<usize, AnalysisError> {
    let smallest = devices.iter().map(|device| device.limits().max_payload as usize).min();
    let smallest = smallest.ok_or(AnalysisError::NoDevice)?;
    Ok(smallest.min(MAX_CHUNK_BYTES) / 8 * 8)
}

fn check_elements(checkpoint: &Checkpoint, plan: &Plan, devices: &[Device]) -> Result<(), AnalysisError> {
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
    }
}
