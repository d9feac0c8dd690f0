//! Any bytes as a journal: reading must not panic, hang or take more memory than a record, and what it takes for sound must
//! read the same again. The first byte says whether the rest is a file or the content of a record behind a sound header.

#![no_main]

use std::io::Cursor;

use kurtoscope_host::analysis::journal::records::{self, Entry, Header};
use kurtoscope_shared::{crc::crc32c, protocol::Statistics};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let file = if kind % 2 == 0 { rest.to_vec() } else { sealed(rest) };
    let (entries, sound) = read(&file);
    assert!(sound as usize <= file.len());
    let (again, _) = read(&file[..sound as usize]);
    assert_eq!(format!("{again:?}"), format!("{entries:?}"));
    records::read_header(&mut Cursor::new(&file));
});

fn read(file: &[u8]) -> (Vec<Entry>, u64) {
    let mut entries = Vec::new();
    let stop = records::read(&mut Cursor::new(file), |entry| {
        if let Entry::Measured { measurement, .. } = &entry {
            let _ = measurement.is_valid(4) && measurement.is_complete(Statistics::FULL, true);
        }
        entries.push(entry);
        true
    });
    (entries, stop.sound)
}

/// `content` as a record whose checksum is right, behind a header.
fn sealed(content: &[u8]) -> Vec<u8> {
    let header = Header {
        tool: String::new(),
        schema: [0; 8],
        fingerprint: String::new(),
        chunk_bytes: 4,
        plan: 0,
        engines: Vec::new(),
    };
    let mut file = records::MAGIC.to_vec();
    records::append(&Entry::Run(header), &mut file).expect("short");
    let length = (content.len() as u32).to_le_bytes();
    file.extend(length);
    file.extend(crc32c(&[&length, content]).to_le_bytes());
    file.extend(content);
    file
}
