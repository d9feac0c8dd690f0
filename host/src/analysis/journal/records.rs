//! The journal's records: what they hold, how they become bytes, and how untrusted bytes are read safely.

use std::io::{BufRead, Read};

use kurtoscope_shared::{Measurement, crc::crc32c, statistics::StatisticKey};
use serde::{Deserialize, Serialize};

use crate::{analysis::cutting::max_measurement_len, record};

/// How a journal begins; the last character is the version of the format.
pub const MAGIC: [u8; 8] = *b"KURTJRN2";
/// Bytes of an entry besides its measurement: a device's names, the header of a run.
const MAX_DESCRIPTION: usize = 1 << 16;
/// The longest content of a record: any description, and the largest measurement that is read from a device.
pub fn max_content() -> usize {
    MAX_DESCRIPTION + max_measurement_len()
}

/// Bytes before a record's content.
const OVERHEAD: usize = 8;

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum JournalEntry {
    /// The run; the first record, and only that.
    Run(JournalHeader),
    /// A device that measures from here on. Devices are numbered from 0 in the order of their records; a continued run
    /// adds its own.
    Device {
        /// As reports show it.
        device: record::Device,
        /// The relative accuracy that its engine states.
        tolerance: f64,
    },
    /// A measured chunk.
    Measured {
        /// Its number in the plan.
        chunk: u64,
        /// The number of the device that measured it.
        device: u32,
        /// What was found.
        measurement: Measurement,
    },
}

/// Everything that decides which bits a run ends with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalHeader {
    /// The version of the program.
    pub tool: String,
    /// The statistics that its measurements hold, as far as they exist for a chunk.
    pub statistics: Vec<StatisticKey>,
    /// The checkpoint's fingerprint.
    pub fingerprint: String,
    /// Bytes of a chunk: the partition.
    pub chunk_bytes: u64,
    /// The plan's digest: what is measured of which tensor.
    pub plan: u128,
    /// The engines of the run's first devices.
    pub engines: Vec<JournalEngine>,
}

/// What decides the bits that a device computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEngine {
    /// `cpu`, `gpu`.
    pub kind: String,
    /// The firmware's version.
    pub firmware: String,
    /// The relative accuracy that it states.
    pub tolerance: f64,
    /// Whether it passed its self-test.
    pub is_trusted: bool,
}

/// Why an entry cannot be a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is longer than a reader would take.
    #[error("a record of {found} bytes is longer than the {max} that are read")]
    TooLong {
        /// Bytes of its content.
        found: usize,
        /// The most.
        max: usize,
    },
    /// It has no bytes.
    #[error("a record cannot be encoded")]
    Encoding(#[from] postcard::Error),
}

/// Where reading ended, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayEnd {
    /// Bytes up to the end of the last valid record.
    pub valid_bytes: u64,
    /// The next record was there and was not valid, rather than cut off by the end of the file.
    pub is_damaged: bool,
}

/// Appends a record to `bytes`, which stays as it was on an error.
///
/// # Errors
/// When the content is longer than a reader would take.
pub fn append(entry: &JournalEntry, bytes: &mut Vec<u8>) -> Result<(), RecordError> {
    let content = postcard::to_allocvec(entry)?;
    if content.len() > max_content() {
        return Err(RecordError::TooLong { found: content.len(), max: max_content() });
    }
    let length = (content.len() as u32).to_le_bytes();
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&crc32c(&[&length, &content]).to_le_bytes());
    bytes.extend_from_slice(&content);
    Ok(())
}

/// How a journal begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Beginning {
    /// With nothing, or with a part of the first record: no chunk was measured.
    Nothing,
    /// With the description of its run.
    Run(JournalHeader),
    /// Another version of the program wrote it, or its first record is damaged.
    Unreadable,
}

/// How the journal that `source` is at the start of begins.
pub fn read_beginning(source: &mut impl BufRead) -> Beginning {
    let mut found = None;
    let end = read(source, |entry| {
        if let JournalEntry::Run(header) = entry {
            found = Some(header);
        }
        false
    });
    match found {
        Some(header) => Beginning::Run(header),
        None if end.is_damaged => Beginning::Unreadable,
        None => Beginning::Nothing,
    }
}

/// Hands every record to `take`, the header first, until one is cut or damaged, or `take` says that it makes no sense.
///
/// Takes at most one record's memory, whatever the bytes say. An error of the source counts as its end.
pub fn read(source: &mut impl BufRead, mut take: impl FnMut(JournalEntry) -> bool) -> ReplayEnd {
    let mut magic = [0; MAGIC.len()];
    match fill(source, &mut magic) {
        Filled::Whole if magic == MAGIC => {}
        Filled::Whole => return ReplayEnd { valid_bytes: 0, is_damaged: true },
        Filled::Cut => return ReplayEnd { valid_bytes: 0, is_damaged: false },
    }
    let mut valid_bytes = MAGIC.len() as u64;
    let mut content = Vec::new();
    loop {
        let is_first = valid_bytes == MAGIC.len() as u64;
        match record(source, &mut content) {
            Ok(entry) => {
                if matches!(entry, JournalEntry::Run(_)) != is_first || !take(entry) {
                    return ReplayEnd { valid_bytes, is_damaged: true };
                }
                valid_bytes += (OVERHEAD + content.len()) as u64;
            }
            Err(is_damaged) => return ReplayEnd { valid_bytes, is_damaged },
        }
    }
}

/// The next record, or whether it is damaged rather than cut. `content` is a buffer to read into.
fn record(source: &mut impl Read, content: &mut Vec<u8>) -> Result<JournalEntry, bool> {
    let mut head = [0; OVERHEAD];
    let Filled::Whole = fill(source, &mut head) else { return Err(false) };
    let [a, b, c, d, checksum @ ..] = head;
    let length = [a, b, c, d];
    let size = u32::from_le_bytes(length) as usize;
    if size > max_content() {
        return Err(true);
    }
    content.resize(size, 0);
    let Filled::Whole = fill(source, content) else { return Err(false) };
    if crc32c(&[&length, content]) != u32::from_le_bytes(checksum) {
        return Err(true);
    }
    match postcard::take_from_bytes(content) {
        Ok((entry, [])) => Ok(entry),
        _ => Err(true),
    }
}

enum Filled {
    Whole,
    Cut,
}

fn fill(source: &mut impl Read, buffer: &mut [u8]) -> Filled {
    match source.read_exact(buffer) {
        Ok(()) => Filled::Whole,
        Err(_) => Filled::Cut,
    }
}
