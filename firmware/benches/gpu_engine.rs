//! The GPU engine beside the adapter's own copy, chained burn operations and the CPU engine, all in one run.
//!
//! `cargo bench -p kurtoscope-firmware --features gpu --bench gpu_engine [-- NAME]`; `NAME` picks the adapter, and is
//! needed for one that is software.

use std::time::{Duration, Instant};

use burn::tensor::{Tensor, TensorData};
use burn_wgpu::wgpu;
use bytes::Bytes;
use kurtoscope_firmware::engine::{
    BurnEngine, Engine, Piece, Submission,
    gpu::{Choice, GpuEngine},
    reference,
};
use kurtoscope_shared::{Element, protocol::Statistics};

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
    let payload: Bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>().into();

    let (device, queue) = engine.handles().clone();
    let copied = copy(&device, &queue);
    let copied_rate = gigabytes(2 * BYTES, copied);
    println!("copy on the adapter       {copied:>10.1?}  {copied_rate:6.2} GB/s read and written");

    let mut resident = engine.keep(Element::F32, &payload).expect("fits");
    let kernel = median(|| resident.pass(Statistics::MOMENTS).expect("measured"));
    let full = median(|| resident.pass(Statistics::FULL).expect("measured"));
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

    let through = median(|| {
        let mut running = std::collections::VecDeque::new();
        for _ in 0..CHUNKS {
            match engine.submit(Piece::of(Element::F32, Statistics::FULL), payload.clone()).expect("taken") {
                Submission::Running(number) => running.push_back(number),
                Submission::Finished(_) => panic!("the adapter measures these"),
            }
            if running.len() >= engine.in_flight() {
                engine.collect(running.pop_front().expect("two")).expect("measured");
            }
        }
        running.drain(..).for_each(|number| drop(engine.collect(number).expect("measured")));
    });
    report("end to end, full", through / CHUNKS as u32);

    let mut processor = BurnEngine::cpu();
    let alone = median(|| {
        for start in (0..BYTES).step_by(1 << 20) {
            processor
                .measure(Piece::of(Element::F32, Statistics::FULL), payload.slice(start..start + (1 << 20)))
                .expect("measured");
        }
    });
    report("CPU engine, one thread", alone);
}
