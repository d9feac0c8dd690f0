//! Measuring on a graphics adapter, in one pass over its memory.
//!
//! | file | what it holds |
//! |---|---|
//! | `adapter` | which adapters there are, which to take |
//! | `layout` | which unit takes which elements |
//! | `kernel` | what every unit does |
//! | `exchange` | what goes to the kernel and comes back |
//! | `launch` | the burn backend extension: buffers, launch, read-back |
//! | `sums` | partial results to moments, and whether they are accurate |
//! | `extremes` | the largest and smallest elements with their positions |
//! | `failure` | what can go wrong |
//!
//! A chunk is submitted and collected apart, so that the next one is uploaded while this one is measured.

mod adapter;
pub(super) mod exchange;
mod extremes;
pub(super) mod failure;
mod kernel;
mod launch;
mod layout;
mod sums;

use std::{
    collections::VecDeque,
    eprintln,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    vec::Vec,
};

use burn::tensor::{AllocationProperty, Bytes as BurnBytes, DType, Device, Int, Tensor, TensorData};
use bytes::Bytes;
use kurtoscope_shared::{
    Element, MagnitudeHistogram, Measurement, Moments, Requests,
    protocol::{Adapter, EngineKind, FaultKind, Limits},
    statistics::SupportedStatistic,
};

pub use adapter::{AdapterDescription, Choice, OpenError, adapters};
pub use exchange::{Launch, Partials};
pub use failure::Failure;

use super::{
    ChunkSpec, Completion, CpuEngine, Engine, MeasureBackend, Measured, Payload, Submission,
    centre::Centre,
    check, cpu,
    extension::{self, Task},
};
use adapter::Opened;
use burn::backend::Dispatch;
use burn_wgpu::wgpu;
use layout::{Format, Layout};
use sums::Sums;

/// The largest payload unless another bound is set: 2^24 elements of a binary32, the most that the self-test proves.
pub const PROVEN_PAYLOAD: u32 = 1 << 26;

/// Chunks on the adapter at once: one measured, one uploaded.
const IN_FLIGHT: usize = 2;
/// Passes over a chunk at most: the guess, a better scale, a better pivot.
const MAX_PASSES: usize = 3;
/// Failures in a row after which the adapter is given up.
const MAX_FAILURES: u32 = 3;

/// Measures on a graphics adapter.
///
/// `f32`, `f16`, `bf16` and `i8` run on the adapter. Other types need more than 32-bit arithmetic or are rare; the
/// device's processor measures them.
#[derive(Debug)]
pub struct GpuEngine {
    choice: Choice,
    adapter: Opened,
    limits: Limits,
    processor: CpuEngine,
    running: VecDeque<Running>,
    submitted: u32,
    failures: u32,
}

/// A chunk that stays on the adapter.
#[derive(Debug)]
pub struct Resident {
    element: Element,
    content: Tensor<1, Int>,
    launch: Launch,
}

impl Resident {
    /// One pass over the chunk: launch, and the partial results read back and added up.
    ///
    /// # Errors
    /// What went wrong on the adapter.
    pub fn pass(&mut self, requests: Requests) -> Result<Moments, Failure> {
        self.launch.nonce = nonce(self.launch.nonce, 1);
        let spec = ChunkSpec::of(self.element, requests);
        let task = Task { launch: Some(self.launch), ..Task::on_processor(spec, cpu::measure::<cpu::Everything>) };
        let (partials, histogram) = submit(self.content.clone(), task)?;
        let read = <Dispatch as MeasureBackend>::read_back(partials.into_dispatch(), histogram.into_dispatch())?;
        Ok(Sums::add_up(&read.rows, &self.launch.layout, self.launch.nonce)?.moments(&self.launch.centre))
    }
}

/// A chunk on the adapter, on its way.
#[derive(Debug)]
struct Running {
    ticket: u32,
    payload: Arc<Payload>,
    spec: ChunkSpec,
    content: Tensor<1, Int>,
    launch: Launch,
    partials: Tensor<1, Int>,
    histogram: Tensor<1, Int>,
}

impl GpuEngine {
    /// Opens an adapter for payloads of up to [`PROVEN_PAYLOAD`] bytes, or less where it takes less.
    ///
    /// # Errors
    /// When no adapter fits, or its driver refuses.
    pub fn open(choice: Choice) -> Result<Self, OpenError> {
        Self::open_with_payload(choice, PROVEN_PAYLOAD)
    }

    /// Opens an adapter for payloads of up to `max_payload` bytes, or less where it takes less.
    ///
    /// # Errors
    /// When no adapter fits, or its driver refuses.
    pub fn open_with_payload(choice: Choice, max_payload: u32) -> Result<Self, OpenError> {
        let adapter = adapter::open(&choice)?;
        let max_payload = adapter.description.max_chunk_bytes.min(u64::from(max_payload)) as u32 & !7;
        let window_bytes = max_payload.saturating_mul(IN_FLIGHT as u32 + 1);
        let processor = CpuEngine::with_max_payload(max_payload);
        let limits = Limits { window_bytes, ..processor.limits() };
        let running = VecDeque::new();
        Ok(Self { choice, adapter, limits, processor, running, submitted: 0, failures: 0 })
    }

    /// What is known of the adapter.
    pub fn description(&self) -> &AdapterDescription {
        &self.adapter.description
    }

    /// The burn device, for measurements beside the engine's own.
    pub fn device(&self) -> &Device {
        &self.adapter.device
    }

    /// The wgpu device and queue behind the burn device. Destroying the device is what a driver's reset looks like.
    pub fn handles(&self) -> &(wgpu::Device, wgpu::Queue) {
        &self.adapter.handles
    }

    /// Puts a chunk on the adapter to stay there, for benchmarks of the kernel alone.
    ///
    /// # Errors
    /// [`Failure::Other`] for an empty chunk and for types that the processor measures.
    pub fn keep(&self, element: Element, payload: Payload) -> Result<Resident, Failure> {
        let elements = (payload.len() / element.size()) as u32;
        let format = Format::of(element).filter(|_| elements > 0);
        let format =
            format.ok_or_else(|| Failure::Other(std::format!("the kernel has no use for {elements} {element}")))?;
        let (layout, centre) = (Layout::new(format, elements), Centre::sampled(&payload, element));
        let content = words(&Arc::new(payload), &self.adapter.device);
        Ok(Resident { element, content, launch: Launch { layout, centre, nonce: 0 } })
    }

    fn start(&mut self, format: Format, spec: ChunkSpec, payload: Arc<Payload>) -> Result<u32, Failure> {
        let elements = (payload.len() / spec.element.size()) as u32;
        let layout = Layout::new(format, elements);
        if layout.cubes > self.adapter.description.max_workgroups {
            let expected = u64::from(layout.cubes);
            return Err(Failure::Incomplete { found: u64::from(self.adapter.description.max_workgroups), expected });
        }
        let ticket = self.submitted;
        self.submitted = ticket.wrapping_add(1);
        let launch = Launch { layout, centre: Centre::sampled(&payload, spec.element), nonce: nonce(ticket, 0) };
        let content = words(&payload, &self.adapter.device);
        let task = Task { launch: Some(launch), ..Task::on_processor(spec, cpu::measure::<cpu::Everything>) };
        let (partials, histogram) = submit(content.clone(), task)?;
        self.running.push_back(Running { ticket, payload, spec, content, launch, partials, histogram });
        Ok(ticket)
    }

    /// Notes a failure, opens the adapter anew where it was lost, and returns what to report to the host.
    fn fail(&mut self, failure: &Failure) -> FaultKind {
        eprintln!("{}: {failure}", self.adapter.description.name);
        self.failures += 1;
        if self.failures >= MAX_FAILURES {
            eprintln!("{}: given up after {MAX_FAILURES} failures in a row", self.adapter.description.name);
            return FaultKind::Unfit;
        }
        if failure.loses_device() {
            self.running.clear();
            match adapter::open(&self.choice) {
                Ok(adapter) => self.adapter = adapter,
                Err(error) => {
                    eprintln!("{}: {error}", self.adapter.description.name);
                    return FaultKind::Unfit;
                }
            }
        }
        failure.kind()
    }
}

impl Engine for GpuEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Gpu
    }

    fn adapter(&self) -> Option<Adapter> {
        Some(self.adapter.description.introduction())
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn statistics(&self) -> &'static [SupportedStatistic] {
        self.processor.statistics()
    }

    fn tolerance(&self) -> f64 {
        1e-6
    }

    fn in_flight(&self) -> usize {
        IN_FLIGHT
    }

    /// Copies the payload, which the upload needs for longer than it is borrowed; [`submit`](Self::submit) does not.
    fn measure(&mut self, spec: ChunkSpec, payload: &[u8]) -> Result<Measurement, FaultKind> {
        check(spec, payload, self.limits)?;
        let submission = self.submit(spec, payload.to_vec().into());
        self.wait(submission).outcome
    }

    fn submit(&mut self, spec: ChunkSpec, payload: Payload) -> Submission {
        if let Err(kind) = check(spec, &payload, self.limits) {
            return Submission::finished(Err(kind), payload);
        }
        let Some(format) = Format::of(spec.element).filter(|_| !payload.is_empty()) else {
            return Submission::finished(self.processor.measure(spec, &payload), payload);
        };
        let payload = Arc::new(payload);
        let started = catch_unwind(AssertUnwindSafe(|| self.start(format, spec, Arc::clone(&payload))));
        match started.unwrap_or_else(|thrown| Err(Failure::from_panic(&*thrown))) {
            Ok(ticket) => Submission::Running(ticket),
            Err(failure) => Submission::finished(Err(self.fail(&failure)), Arc::into_inner(payload)),
        }
    }

    fn collect(&mut self, ticket: u32) -> Completion {
        let place = self.running.iter().position(|running| running.ticket == ticket);
        let Some(running) = place.and_then(|place| self.running.remove(place)) else {
            // What ran when the adapter was lost is gone with it; the host sends it again.
            return Completion { outcome: Err(FaultKind::DeviceLost), payload: None };
        };
        let payload = Arc::clone(&running.payload);
        let finished = catch_unwind(AssertUnwindSafe(|| finish(running)));
        let outcome = match finished.unwrap_or_else(|thrown| Err(Failure::from_panic(&*thrown))) {
            Ok(measurement) => {
                self.failures = 0;
                Ok(measurement)
            }
            Err(failure) => Err(self.fail(&failure)),
        };
        Completion { outcome, payload: Arc::into_inner(payload) }
    }
}

/// Waits for a chunk, and measures it again where its sums are not accurate.
fn finish(mut running: Running) -> Result<Measurement, Failure> {
    let spec = running.spec;
    let mut pass = 1;
    loop {
        let Launch { layout, centre, nonce: sent } = running.launch;
        let Partials { rows, bins } = <Dispatch as MeasureBackend>::read_back(
            running.partials.into_dispatch(),
            running.histogram.into_dispatch(),
        )?;
        let sums = Sums::add_up(&rows, &layout, sent)?;
        let better = sums.better(&centre).filter(|_| pass < MAX_PASSES);
        let Some(centre) = better else {
            let moments = sums.moments(&centre);
            let mut found = Measurement { moments, ..Measurement::default() };
            if spec.requests.histogram.is_some() {
                found.histogram = Some(counted(&bins, &moments)?);
            }
            found.extremes = spec
                .requests
                .extremes
                .map(|kept| extremes::search(&running.payload, spec.element, &rows, &layout, kept.get()));
            cpu::measure_by_row(&running.payload, spec, &mut found);
            return Ok(found);
        };
        running.launch = Launch { layout, centre, nonce: nonce(running.ticket, pass) };
        let task = Task { launch: Some(running.launch), ..Task::on_processor(spec, cpu::measure::<cpu::Everything>) };
        (running.partials, running.histogram) = submit(running.content.clone(), task)?;
        pass += 1;
    }
}

/// The histogram, if it holds every element that the sums hold.
fn counted(bins: &[u32], moments: &Moments) -> Result<MagnitudeHistogram, Failure> {
    let histogram = MagnitudeHistogram::from_dense(bins);
    let (found, expected) = (histogram.total() + moments.zeros, moments.count);
    if found == expected { Ok(histogram) } else { Err(Failure::Incomplete { found, expected }) }
}

fn submit(content: Tensor<1, Int>, task: Task) -> Result<(Tensor<1, Int>, Tensor<1, Int>), Failure> {
    match extension::dispatch(content.into_dispatch(), task) {
        Measured::Partial(partials, histogram) => {
            Ok((Tensor::from_dispatch(partials), Tensor::from_dispatch(histogram)))
        }
        Measured::Finished(_) => Err(Failure::Other("the tensor is not on the adapter".into())),
    }
}

/// A payload that the upload shares with the engine.
struct Shared(Arc<Payload>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A payload as words on the adapter, the last one filled up with zeros. Lent, not copied, where it ends at a word.
fn words(payload: &Arc<Payload>, device: &Device) -> Tensor<1, Int> {
    let words = payload.len().div_ceil(size_of::<u32>());
    let bytes = if payload.len().is_multiple_of(size_of::<u32>()) {
        BurnBytes::from_shared(Bytes::from_owner(Shared(Arc::clone(payload))), AllocationProperty::Other)
    } else {
        let mut filled = Vec::with_capacity(words * size_of::<u32>());
        filled.extend_from_slice(payload);
        filled.resize(words * size_of::<u32>(), 0);
        BurnBytes::from_bytes_vec(filled)
    };
    Tensor::from_data(TensorData::from_bytes(bytes, [words], DType::U32), (device, DType::U32))
}

/// A number of one pass alone, so that results of another are not taken for its own.
fn nonce(ticket: u32, pass: usize) -> u32 {
    (ticket.wrapping_mul(MAX_PASSES as u32).wrapping_add(pass as u32)).wrapping_mul(0x9e37_79b1)
}
