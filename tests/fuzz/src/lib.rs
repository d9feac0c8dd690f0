//! What the fuzz targets of the checkpoint formats share.

use std::path::{Path, PathBuf};

use kurtoscope_checkpoint::Checkpoint;

/// Elements read at once, and at most of one tensor: a header may claim any number.
const PIECE: u64 = 1 << 12;
const MOST: u64 = 1 << 16;

/// Any bytes as a checkpoint: opening, fingerprinting and reading must not panic, hang or run out of memory.
pub fn open_and_read(bytes: &[u8]) {
    let path = file();
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    read(&path);
}

/// A configuration up to the first line break and a safetensors file behind it, as a checkpoint: what is recognized as a
/// quantized weight is dequantized, and whatever the configuration says of it must not panic either.
pub fn open_and_read_packed(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let folder = file();
    let files = [("config.json", &bytes[..end]), ("model.safetensors", &bytes[end + 1..])];
    if std::fs::create_dir_all(&folder).is_err() {
        return;
    }
    if files.into_iter().all(|(name, content)| std::fs::write(folder.join(name), content).is_ok()) {
        read(&folder);
    }
}

/// Fingerprints a checkpoint and reads the beginning of every tensor.
fn read(path: &Path) {
    let Ok(checkpoint) = Checkpoint::open(path) else { return };
    checkpoint.fingerprint();
    for tensor in &checkpoint.tensors {
        let end = tensor.elements().min(MOST);
        for first in (0..end).step_by(PIECE as usize) {
            let last = end.min(first + PIECE);
            if let Ok(elements) = checkpoint.read(tensor, first..last) {
                assert_eq!(elements.len() as u64, (last - first) * tensor.element.size() as u64);
            }
        }
    }
}

/// One file a process, in memory where the system has a place for that.
fn file() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("kurtoscope-fuzz-{}", std::process::id()))
}
