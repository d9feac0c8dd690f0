//! Safetensors files written for tests: valid ones, damaged ones, and ones too large to be kept in a repository.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use kurtoscope_shared::Random;
use serde_json::{Map, Value, json};

/// A safetensors file that is being put together, byte by byte after the format.
#[derive(Debug, Default)]
pub struct Safetensors {
    header: Map<String, Value>,
    data: Vec<u8>,
}

impl Safetensors {
    /// A file without tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor of f32.
    #[must_use]
    pub fn f32(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (start, end) = (self.data.len(), self.data.len() + bytes.len());
        self.entry(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] })).data(&bytes)
    }

    /// Adds an entry to the header, right or wrong, and no data.
    #[must_use]
    pub fn entry(mut self, name: &str, entry: Value) -> Self {
        self.header.insert(name.into(), entry);
        self
    }

    /// Adds data that belongs to no tensor unless an entry covers it.
    #[must_use]
    pub fn data(mut self, bytes: &[u8]) -> Self {
        self.data.extend(bytes);
        self
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let header = Value::from(self.header.clone()).to_string();
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &self.data].concat()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, self.bytes())
    }
}

/// `count` normal values, always the same for the same `seed`, with every 997th ten times as large.
pub fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..count).map(|index| random.normal() as f32 * if index % 997 == 0 { 0.2 } else { 0.02 }).collect()
}

/// Writes a model of two layers, `tensors` of `elements` each, enough for many chunks on a small device.
///
/// # Errors
/// When the system refuses.
pub fn write_noise(path: &Path, tensors: usize, elements: usize) -> io::Result<()> {
    let file = (0..tensors).fold(Safetensors::new(), |file, number| {
        file.f32(
            &format!("layers.{number}.weight"),
            &[elements / 64, 64],
            &noise(elements / 64 * 64, number as u64 + 1),
        )
    });
    file.write(path)
}

/// Writes a file of one f32 tensor of `bytes` bytes, all zero, which take no space on disk.
///
/// # Errors
/// When the system refuses.
pub fn write_sparse(path: &Path, bytes: u64) -> io::Result<()> {
    let entry = json!({ "dtype": "F32", "shape": [bytes / 4], "data_offsets": [0, bytes] });
    let head = Safetensors::new().entry("zeros", entry).bytes();
    let mut file = File::create(path)?;
    file.write_all(&head)?;
    file.set_len(head.len() as u64 + bytes)
}

/// Writes a file of one GPTQ weight of 8 bits in groups of 128 that has `bytes` bytes of codes, all of them zero,
/// which take no room on disk. It has as many elements, 16384 to a row.
///
/// # Errors
/// When the system refuses.
pub fn write_sparse_packed(path: &Path, bytes: u64) -> io::Result<()> {
    let (inputs, outputs) = (1 << 14, bytes >> 14);
    let groups = inputs / 128;
    let (codes, zeros) = (inputs * outputs, groups * outputs);
    let scales = 2 * groups * outputs;
    let entry = |dtype: &str, shape: [u64; 2], start: u64, length: u64| json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, start + length] });
    let head = Safetensors::new()
        .entry("zeros.qweight", entry("I32", [inputs / 4, outputs], 0, codes))
        .entry("zeros.qzeros", entry("I32", [groups, outputs / 4], codes, zeros))
        .entry("zeros.scales", entry("F16", [groups, outputs], codes + zeros, scales))
        .bytes();
    let mut file = File::create(path)?;
    file.write_all(&head)?;
    file.set_len(head.len() as u64 + codes + zeros + scales)
}
