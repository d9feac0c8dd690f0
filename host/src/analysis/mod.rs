//! From a checkpoint and devices to a [`Run`]: planning, handing out chunks, merging reports.
//!
//! | module | holds |
//! |---|---|
//! | [`plan`] | what is measured, cut into chunks |
//! | `cutting` | how one tensor is cut, and what is measured of it |
//! | [`device`] | a device, greeted and ready |
//! | `work` | a device behind a link at work, lost and found again |
//! | `here` | the engine in this process at work |
//! | `greeting` | greeting a device and judging it |
//! | [`conversation`] | what is in flight, what was lost: the host's side of the protocol, without I/O |
//! | `packing` | whether a chunk travels packed |
//! | `wire` | the two ends of a link, each on its own thread |
//! | `queue` | the chunks that are still to be measured |
//! | `collect` | merging reports in a fixed order |
//! | `concentration` | where the fourth powers lie |
//! | [`journal`] | what was measured so far, on disk |
//! | `resume` | how a run begins: from nothing, or with what a journal holds |
//! | [`link_counter`] | what a device counts on its link, while somebody listens |
//! | [`pace`] | how large chunks should be |
//! | `probe` | measuring a link's rate |
//! | `assemble` | from merged measurements to records |

mod assemble;
mod collect;
mod concentration;
pub mod conversation;
mod cutting;
pub mod device;
mod greeting;
mod here;
pub mod journal;
pub mod link_counter;
pub mod pace;
mod packing;
pub mod plan;
mod probe;
mod queue;
mod resume;
mod wire;
mod work;

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

pub use conversation::Trouble;
pub use device::{Device, DeviceError, DeviceOptions, Loss};
pub use greeting::Refusal;
pub use journal::{Journal, JournalError, Resume};
pub use packing::PackingMode;

use kurtoscope_shared::protocol::Statistics;

use crate::record::{self, Run};
use journal::Entry;
use kurtoscope_checkpoint::{Checkpoint, CheckpointError, model::Family};
use plan::Plan;
use queue::{News, Pool, Queue};
use resume::Start;

/// How long the run waits for news before it looks whether it is to stop and hands the journal on.
const PULSE: Duration = Duration::from_millis(100);

/// What a run may be told besides what to measure and where.
#[derive(Debug)]
pub struct RunOptions<'a> {
    /// What is measured besides the moments, as far as every device measures it.
    pub statistics: Statistics,
    /// Bytes of a chunk; chosen from the devices and their links where it is `None`.
    pub chunk_bytes: Option<usize>,
    /// Where measurements are kept for the next run, should this one not come to its end.
    pub journal: Option<&'a mut Journal>,
    /// Set by someone else when the run is to stop.
    pub stop: Option<&'a AtomicBool>,
}

impl Default for RunOptions<'_> {
    fn default() -> Self {
        Self { statistics: Statistics::FULL, chunk_bytes: None, journal: None, stop: None }
    }
}

/// Told how a run goes on. Called on the thread that called [`analyze`].
pub trait Progress {
    /// The run begins; `bytes` will be measured.
    fn begin(&mut self, bytes: u64);
    /// `bytes` more are measured, for the tensor of this name.
    fn measured(&mut self, bytes: u64, tensor: &str);
    /// `bytes` of those were measured by earlier runs and are not measured again.
    fn resumed(&mut self, _bytes: u64) {}
    /// Something that the user should know while the run goes on.
    fn notice(&mut self, _text: &str) {}
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
    #[error("{error}; {measured} of {total} bytes were measured, and nothing was written{}", kept(*measured, journal))]
    Lost {
        /// How the last device was lost.
        error: Box<DeviceError>,
        /// Bytes measured until then.
        measured: u64,
        /// Bytes to measure.
        total: u64,
        /// The journal, where there is one, and what it keeps of them.
        journal: Option<Kept>,
    },
    /// It was told to stop.
    #[error("stopped; {measured} of {total} bytes were measured, and nothing was written{}", kept(*measured, journal))]
    Stopped {
        /// Bytes measured until then.
        measured: u64,
        /// Bytes to measure.
        total: u64,
        /// The journal, where there is one, and what it keeps of them.
        journal: Option<Kept>,
    },
    /// There is nothing that could be continued, and that was asked for.
    #[error("cannot continue with {path}: {reason}; without `--resume` the run starts over")]
    CannotResume {
        /// The journal.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A chunk size that a device does not take.
    #[error("chunks of {asked} bytes are asked for, and {url} takes 8 to {most}")]
    ChunkBytes {
        /// As asked for.
        asked: usize,
        /// The device.
        url: String,
        /// The most that it takes.
        most: usize,
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

/// What the journal holds of a run that did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The journal.
    pub path: String,
    /// Bytes of the checkpoint whose measurements are in it: fewer than were measured where it could not take them all.
    pub bytes: u64,
}

/// What becomes of the `measured` bytes when a run ends before its end.
fn kept(measured: u64, journal: &Option<Kept>) -> String {
    match journal {
        None => "; `--out DIR` would have kept them for the next run".into(),
        Some(_) if measured == 0 => String::new(),
        Some(Kept { path, bytes: 0 }) => format!("; {path} could not keep them"),
        Some(Kept { path, bytes }) if *bytes < measured => {
            format!(" but {path}, which keeps {bytes} bytes of them: the same command continues from there")
        }
        Some(Kept { path, .. }) => format!(" but {path}, which keeps them: the same command continues"),
    }
}

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
    let Start { plan, mut collector, pending, bytes: resumed_bytes, earlier } = start;
    check_elements(checkpoint, &plan, devices)?;
    progress.begin(plan.bytes);
    if resumed_bytes > 0 {
        progress.resumed(resumed_bytes);
    }

    let mut shares: Vec<record::DeviceShare> = devices.iter().map(share).collect();
    let mut journal = options.journal.as_deref_mut();
    if let Some(journal) = &mut journal {
        for device in devices.iter() {
            journal.append(&Entry::Device { device: device.record(), tolerance: device.tolerance() }, 0);
        }
    }
    let pool = Pool::new(plan.chunks.len(), pending);
    let mut measured = resumed_bytes;
    let mut working = devices.len();
    let mut last_loss = None;
    let is_stopped = || options.stop.is_some_and(|stop| stop.load(Ordering::Acquire));
    thread::scope(|scope| {
        let (sender, news) = channel();
        for (number, device) in devices.iter_mut().enumerate() {
            let queue = Queue::new(&pool, number, sender.clone());
            let plan = &plan;
            scope.spawn(move || queue.stop(device.work(checkpoint, plan, &queue)));
        }
        drop(sender);
        let working_since = Instant::now();
        loop {
            if is_stopped() {
                pool.stop();
            }
            let news = match news.recv_timeout(PULSE) {
                Ok(news) => news,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(journal) = &mut journal {
                        journal.flush_if_due();
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            match news {
                News::Measured { device, chunk, measurement } => {
                    let planned = &plan.chunks[chunk];
                    let bytes = plan.payload_len(planned) as u64;
                    collector.take(planned, &measurement);
                    if let Some(journal) = &mut journal {
                        let device = (earlier.len() + device) as u32;
                        journal.append(&Entry::Measured { chunk: chunk as u64, device, measurement }, bytes);
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
                News::LinkLost { device } => {
                    let url = &shares[device].device.url;
                    progress.notice(&format!("{url}: the link was lost; it is being opened again"));
                }
                News::Stopped { device, health, outcome } => {
                    working -= 1;
                    let share = &mut shares[device];
                    (share.resent, share.damaged) = (health.resent, health.damaged);
                    (share.dropped, share.reconnects) = (health.dropped, health.reconnects);
                    share.sent_bytes = health.sent_bytes;
                    match outcome {
                        Ok(()) => {}
                        // The loss of the last one ends the run, and is told as its end.
                        Err(error) if working == 0 && !pool.is_finished() => last_loss = Some(error),
                        Err(error) => progress.lost(&error),
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
        Some(Kept { path: journal.path().display().to_string(), bytes: resumed_bytes + journal.written() })
    };
    match last_loss {
        _ if is_finished => {}
        _ if is_stopped() => return Err(AnalysisError::Stopped { measured, total, journal: kept() }),
        Some(error) => return Err(AnalysisError::Lost { error: error.into(), measured, total, journal: kept() }),
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
        sent_bytes: 0,
        resumed_bytes: 0,
        seconds: 0.0,
    }
}
