//! What compression gains on a slow link: real weights over a link throttled to 1 MB/s, plain and compressed, against the
//! raw link in the same run.
//!
//! `cargo bench -p kurtoscope-tests --bench compressed_link -- MODEL.safetensors...`. The tensors of each file are rounded
//! to bfloat16, and again to binary16 and kept as f32, up to 6 MB of each. The effective rate is that of the elements'
//! own bytes. Without a file nothing is measured.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use embedded_io_adapters::std::FromStd;
use kurtoscope_checkpoint::Checkpoint;
use kurtoscope_firmware::{Board, Framing, Session, engine::CpuEngine, serve};
use kurtoscope_host::{
    analysis::{CompressionMode, Device, DeviceOptions, Quiet, analyze},
    link::{Connector, DeviceUrl, Link, LinkError, PtyAddress},
};
use kurtoscope_shared::{Element, compression};
use kurtoscope_tests::checkpoints::Safetensors;
use serde_json::json;

/// The link's rate, bytes a second.
const RATE: f64 = 1e6;
/// Elements taken of a model.
const ELEMENTS: usize = 3_000_000;
/// Bytes written before it is looked whether they came too early.
const PIECE: usize = 4096;

/// A writer that lets through [`RATE`] bytes a second.
struct Throttled<W> {
    inner: W,
    /// When the link is free again.
    free: Instant,
}

impl<W: Write> Write for Throttled<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(PIECE)];
        thread::sleep(self.free.saturating_duration_since(Instant::now()));
        self.free = self.free.max(Instant::now() - Duration::from_millis(5))
            + Duration::from_secs_f64(piece.len() as f64 / RATE);
        self.inner.write_all(piece)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A device on a thread of its own, behind a throttled pipe.
#[derive(Debug)]
struct SlowBoard;

impl Connector for SlowBoard {
    fn open(&mut self, _attempt: u32) -> Result<Link, LinkError> {
        let pipe = || io::pipe().map_err(LinkError::Other);
        let ((device_reads, host_writes), (host_reads, device_writes)) = (pipe()?, pipe()?);
        thread::spawn(move || {
            let board = Board { name: "throttled".into(), identity: String::new() };
            let mut session = Session::new(CpuEngine::default(), board);
            let _ = serve(&mut session, Framing::Cobs, FromStd::new(device_reads), FromStd::new(device_writes));
        });
        let writer = Throttled { inner: host_writes, free: Instant::now() };
        Ok(Link { reader: Box::new(host_reads), writer: Box::new(writer), framing: Framing::Cobs, process: None })
    }
}

fn main() {
    let models: Vec<String> = std::env::args().skip(1).filter(|word| word.ends_with(".safetensors")).collect();
    if models.is_empty() {
        println!("SKIPPED: name safetensors files of real models");
        return;
    }
    let raw = raw_rate();
    println!("raw link: {:.3} MB/s", raw / 1e6);
    println!(
        "{:<44} {:>8} {:>8} {:>10} {:>10} {:>12} {:>12}",
        "elements", "size", "of raw", "plain MB/s", "compressed", "compress MB/s", "decompress MB/s"
    );
    for model in &models {
        let values = values(Path::new(model));
        let bf16 = |value: &f32| half::bf16::from_f32(*value).to_le_bytes().to_vec();
        let f16_as_f32 = |value: &f32| half::f16::from_f32(*value).to_f32().to_le_bytes().to_vec();
        let name = Path::new(model).parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        row(&format!("{name}, bf16"), Element::Bf16, &values.iter().flat_map(bf16).collect::<Vec<_>>(), raw);
        let half = &values[..values.len() / 2];
        row(
            &format!("{name}, f16 kept as f32"),
            Element::F32,
            &half.iter().flat_map(f16_as_f32).collect::<Vec<_>>(),
            raw,
        );
    }
}

/// One set of elements: plain and compressed over the link, and the codec alone.
fn row(name: &str, element: Element, bytes: &[u8], raw: f64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let dtype = if element == Element::Bf16 { "BF16" } else { "F32" };
    let entry = json!({ "dtype": dtype, "shape": [bytes.len() / element.size()], "data_offsets": [0, bytes.len()] });
    Safetensors::new().entry("weights", entry).data(bytes).write(&path).expect("writable");
    let model = Checkpoint::open(&path).expect("a model");
    let measure = |compression| {
        let options = DeviceOptions { compression, ..DeviceOptions::default() };
        let mut devices =
            [Device::connect(&DeviceUrl::Pty(PtyAddress), Box::new(SlowBoard), options.clone()).expect("opened")];
        let run = analyze(&model, &mut devices, &mut Quiet).expect("measured");
        (run.devices[0].rate().expect("measured"), run.devices[0].sent_bytes as f64 / run.bytes as f64)
    };
    let (plain, _) = measure(CompressionMode::Never);
    // As it comes by itself, without being asked for.
    let (compressed, part) = measure(CompressionMode::Auto);
    let mut output = Vec::new();
    let compress = rate(bytes.len(), || {
        output.clear();
        for chunk in bytes.chunks(1 << 19) {
            compression::compress(chunk, element.size(), &mut output);
        }
    });
    let chunk = &bytes[..bytes.len().min(1 << 19)];
    let mut one = Vec::new();
    compression::compress(chunk, element.size(), &mut one);
    let mut back = vec![0; chunk.len()];
    let decompress =
        rate(chunk.len(), || compression::decompress(&one, element.size(), &mut back).expect("decompresses"));
    println!(
        "{name:<44} {part:>8.3} {:>8.2} {:>10.3} {:>10.3} {:>12.0} {:>12.0}",
        compressed / raw,
        plain / 1e6,
        compressed / 1e6,
        compress / 1e6,
        decompress / 1e6
    );
}

/// Bytes a second, the best of several.
fn rate(bytes: usize, mut run: impl FnMut()) -> f64 {
    let seconds = (0..7).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    bytes as f64 / seconds.fold(f64::INFINITY, f64::min)
}

/// The throttled link with nothing but bytes on it.
fn raw_rate() -> f64 {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let drain = thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
    let bytes = vec![0x55; 4_000_000];
    let start = Instant::now();
    let mut writer = Throttled { inner: writer, free: start };
    writer.write_all(&bytes).expect("open");
    let seconds = start.elapsed().as_secs_f64();
    drop(writer);
    let _ = drain.join();
    bytes.len() as f64 / seconds
}

/// Values of a model's matrices, from the middle of the file, where no embedding is.
fn values(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).expect("a model");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut values = Vec::new();
    for (_, tensor) in tensors.iter() {
        if tensor.shape().len() != 2 || tensor.shape()[0] > 20_000 {
            continue;
        }
        let element = match tensor.dtype() {
            safetensors::Dtype::F32 => Element::F32,
            safetensors::Dtype::BF16 => Element::Bf16,
            safetensors::Dtype::F16 => Element::F16,
            _ => continue,
        };
        let each = tensor.data().chunks_exact(element.size());
        values.extend(each.filter_map(|bytes| element.decode(bytes)).map(|value| value as f32));
        if values.len() >= ELEMENTS {
            values.truncate(ELEMENTS);
            break;
        }
    }
    values
}
