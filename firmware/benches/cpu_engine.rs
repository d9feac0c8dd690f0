//! The CPU engine, one thread, against a plain read-only f32 sum over the same memory.
//!
//! `cargo bench -p kurtoscope-firmware --bench cpu_engine [-- MEBIBYTES [STRIDE]]`, where one element of STRIDE is
//! quantized, 64 by default. Each round times the baseline and every
//! measurement in turn over the same buffer, and the table shows medians over the rounds, so that a machine whose speed
//! drifts changes all columns alike.

use std::{hint::black_box, time::Instant};

use kurtoscope_firmware::engine::{ChunkSpec, cpu};
use kurtoscope_shared::{Element, Random, Requests, statistics::SampleStride};
use multiversion::multiversion;

const ROUNDS: usize = 15;
/// What a device measures at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Elements in a row.
const ROW: u32 = 1024;

/// The baseline: reads every f32 once and adds it, as fast as the memory allows.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn plain_sum(bytes: &[u8]) -> f32 {
    let mut lanes = [0f32; 64];
    for group in bytes.as_chunks::<256>().0 {
        for (lane, bytes) in lanes.iter_mut().zip(group.as_chunks().0) {
            *lane += f32::from_le_bytes(*bytes);
        }
    }
    lanes.iter().sum()
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<usize>().ok());
    let mebibytes = numbers.next().unwrap_or(256);
    let stride = numbers.next().and_then(|stride| SampleStride::new(u8::try_from(stride).ok()?));
    let stride = stride.unwrap_or(SampleStride::LONGEST);
    let bytes = normal_f32_bytes(mebibytes << 20);
    let halves = |convert: fn(f32) -> u16| -> Vec<u8> {
        let values = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        values.take(bytes.len() / 8).flat_map(|value| convert(value).to_le_bytes()).collect()
    };
    let f16 = halves(|value| half::f16::from_f32(value).to_bits());
    let bf16 = halves(|value| half::bf16::from_f32(value).to_bits());
    let moments_and_histogram = Requests { histogram: Some(()), ..Requests::MOMENTS };
    let sampled = Requests { quantization_errors: Some(stride), ..Requests::TAILS };
    let everything = Requests { row_column_sums: Some(()), ..sampled };
    let cases: [(&str, Element, &[u8], Requests); 12] = [
        ("f32 moments", Element::F32, &bytes, Requests::MOMENTS),
        ("f32 moments, tail", Element::F32, &bytes, moments_and_histogram),
        ("f32 moments, tail, top 16", Element::F32, &bytes, Requests::TAILS),
        ("f32 … and quantization", Element::F32, &bytes, sampled),
        ("f32 … and rows and columns", Element::F32, &bytes, everything),
        ("f32 everything, every element", Element::F32, &bytes, Requests::FULL),
        ("f16 moments", Element::F16, &f16, Requests::MOMENTS),
        ("f16 moments, tail, top 16", Element::F16, &f16, Requests::TAILS),
        ("f16 … quantization, rows, columns", Element::F16, &f16, everything),
        ("bf16 moments", Element::Bf16, &bf16, Requests::MOMENTS),
        ("bf16 moments, tail, top 16", Element::Bf16, &bf16, Requests::TAILS),
        ("bf16 … quantization, rows, columns", Element::Bf16, &bf16, everything),
    ];
    let mut sums = Vec::new();
    let mut times = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        sums.push(seconds(|| {
            black_box(plain_sum(&bytes));
        }));
        for ((_, element, data, requests), times) in cases.iter().zip(&mut times) {
            times.push(seconds(|| {
                for chunk in data.chunks(CHUNK_BYTES) {
                    let spec = ChunkSpec { element: *element, offset: 0, row: ROW, requests: *requests };
                    black_box(cpu::measure::<cpu::Everything>(chunk, spec));
                }
            }));
        }
    }
    let rate = |bytes: usize, seconds: f64| bytes as f64 / seconds / 1e9;
    let baseline = rate(bytes.len(), median(&mut sums));
    println!("{mebibytes} MiB of normal values, one thread, chunks of 1 MiB, median of {ROUNDS} rounds");
    println!("one element of {} is quantized, where not all are", stride.get());
    println!("{:<36} {:>8} {:>12} {:>18}", "", "GB/s", "G elements/s", "ratio to plain sum");
    println!("{:<36} {baseline:>8.2} {:>12.2} {:>18.2}", "plain f32 sum (baseline)", baseline / 4.0, 1.0);
    let mut rates = Vec::new();
    for ((name, element, data, _), times) in cases.iter().zip(&mut times) {
        let rate = rate(data.len(), median(times));
        println!("{name:<36} {rate:>8.2} {:>12.2} {:>18.2}", rate / element.size() as f64, rate / baseline);
        rates.push(rate);
    }
    for element in [Element::F32, Element::F16, Element::Bf16] {
        let of = |requests| cases.iter().position(|case| (case.1, case.3) == (element, requests));
        if let (Some(with), Some(without)) = (of(everything), of(Requests::TAILS)) {
            let ratio = rates[with] / rates[without];
            println!("{element:?}: quantization, rows and columns leave {ratio:.2} of the speed without them");
        }
    }
}

fn seconds(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Normal values, always the same.
fn normal_f32_bytes(len: usize) -> Vec<u8> {
    let mut random = Random::new(1);
    (0..len / 4).flat_map(|_| (random.normal() as f32 * 0.02).to_le_bytes()).collect()
}
