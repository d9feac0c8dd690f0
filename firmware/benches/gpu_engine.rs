//! The GPU engine beside the adapter's own copy, chained burn operations and the CPU engine, all in one run.
//!
//! `cargo bench -p kurtoscope-firmware --features gpu --bench gpu_engine [-- NAME]`; `NAME` picks the adapter, and is
//! needed for one that is software.

use std::time::{Duration, Instant};

use burn::tensor::{Tensor, TensorData};
use burn_wgpu::wgpu;
use kurtoscope_firmware::engine::{
    ChunkSpec, Completion, CpuEngine, Engine, Payload,
    gpu::{Choice, GpuEngine},
    reference,
};
use kurtoscope_shared::{Element, Requests};

/// Payload of a chunk.
const BYTES: usize = 1 << 26;
/// Times that each thing is done; the median counts.
const REPEATS: usize = 9;
/// Chunks sent through the engine for the end-to-end figure.
const CHUNKS: usize = 12;

fn median<T>(mut work: impl FnMut() -> T) -> Duration {
    work();
    let mut times: Vec<Duration> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[REPEATS / 2]
}

fn gigabytes(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64() / 1e9
}

/// Copies a buffer of the chunk's size on the adapter.
fn copy(device: &wgpu::Device, queue: &wgpu::Queue) -> Duration {
    let buffer = |usage| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: BYTES as u64,
            usage,
            mapped_at_creation: false,
        })
    };
    let from = buffer(wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST);
    let to = buffer(wgpu::BufferUsages::COPY_DST);
    median(|| {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&from, 0, &to, 0, BYTES as u64);
        queue.submit([encoder.finish()]);
        device.poll(wgpu::PollType::wait_indefinitely()).expect("the copy ends");
    })
}

fn main() {
    let name = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let mut engine = match GpuEngine::open(name.map_or(Choice::Hardware, Choice::Named)) {
        Ok(engine) => engine,
        Err(error) => return println!("SKIPPED: {error}"),
    };
    println!("adapter: {}", engine.description());
    let values: Vec<f32> = (0..BYTES / 4).map(|x| (x as f32 * 0.618).sin() * 0.02).collect();
    let payload: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();

    let (device, queue) = engine.handles().clone();
    let copied = copy(&device, &queue);
    let copied_rate = gigabytes(2 * BYTES, copied);
    println!("copy on the adapter       {copied:>10.1?}  {copied_rate:6.2} GB/s read and written");

    let mut resident = engine.keep(Element::F32, payload.clone().into()).expect("fits");
    let kernel = median(|| resident.pass(Requests::MOMENTS).expect("measured"));
    let full = median(|| resident.pass(Requests::FULL).expect("measured"));
    let report = |what: &str, time: Duration| {
        let rate = gigabytes(BYTES, time);
        println!("{what:25} {time:>10.1?}  {rate:6.2} GB/s = {:.2} of the copy", rate / copied_rate);
    };
    report("kernel, moments", kernel);
    report("kernel, with histogram", full);

    let tensor = Tensor::<1>::from_data(TensorData::new(values, [BYTES / 4]), engine.device());
    let chained = median(|| reference::moments(tensor.clone()).expect("readable"));
    report("chained operations", chained);
    println!(
        "  the kernel is {:.1} times as fast as the chained operations",
        chained.as_secs_f64() / kernel.as_secs_f64()
    );

    // As many buffers as are in flight, each used again as soon as it is given back.
    let mut free = vec![Payload::from(payload.clone()); engine.in_flight()];
    let through = median(|| {
        let mut running = std::collections::VecDeque::new();
        let collect = |engine: &mut GpuEngine, free: &mut Vec<Payload>, submission| {
            let Completion { outcome, payload: buffer } = engine.wait(submission);
            outcome.expect("measured");
            free.push(buffer.unwrap_or_else(|| payload.clone().into()));
        };
        for _ in 0..CHUNKS {
            let chunk = free.pop().expect("one is free");
            running.push_back(engine.submit(ChunkSpec::of(Element::F32, Requests::FULL), chunk));
            if running.len() >= engine.in_flight() {
                collect(&mut engine, &mut free, running.pop_front().expect("two"));
            }
        }
        running.drain(..).for_each(|submission| collect(&mut engine, &mut free, submission));
    });
    report("end to end, full", through / CHUNKS as u32);

    let mut processor = CpuEngine::default();
    let alone = median(|| {
        for start in (0..BYTES).step_by(1 << 20) {
            processor
                .measure(ChunkSpec::of(Element::F32, Requests::FULL), &payload[start..start + (1 << 20)])
                .expect("measured");
        }
    });
    report("CPU engine, one thread", alone);
}
