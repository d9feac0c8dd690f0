//! Any bytes as a journal: reading must not panic, hang or take more memory than a record, and what it accepts must
//! read the same again. The first byte says whether the rest is a file or the content of a record behind a valid header.

#![no_main]

use std::io::Cursor;

use kurtoscope_host::analysis::journal::records::{self, JournalEntry, JournalHeader};
use kurtoscope_shared::{Requests, crc::crc32c, statistics::ChunkSpan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let file = if kind % 2 == 0 { rest.to_vec() } else { sealed(rest) };
    let (entries, valid) = read(&file);
    assert!(valid as usize <= file.len());
    let (again, _) = read(&file[..valid as usize]);
    assert_eq!(format!("{again:?}"), format!("{entries:?}"));
    records::read_beginning(&mut Cursor::new(&file));
});

fn read(file: &[u8]) -> (Vec<JournalEntry>, u64) {
    let mut entries = Vec::new();
    let end = records::read(&mut Cursor::new(file), |entry| {
        if let JournalEntry::Measured { measurement, .. } = &entry {
            let _ = measurement.check(&Requests::FULL, &ChunkSpan { offset: 0, count: 4, row: 2 }, 0.0);
        }
        entries.push(entry);
        true
    });
    (entries, end.valid_bytes)
}

/// `content` as a record whose checksum is right, behind a header.
fn sealed(content: &[u8]) -> Vec<u8> {
    let header = JournalHeader {
        tool: String::new(),
        statistics: Vec::new(),
        fingerprint: String::new(),
        chunk_bytes: 4,
        plan: 0,
        engines: Vec::new(),
    };
    let mut file = records::MAGIC.to_vec();
    records::append(&JournalEntry::Run(header), &mut file).expect("short");
    let length = (content.len() as u32).to_le_bytes();
    file.extend(length);
    file.extend(crc32c(&[&length, content]).to_le_bytes());
    file.extend(content);
    file
}
