use std::io::Cursor;

use kurtoscope_firmware::engine::{ChunkSpec, cpu};
use kurtoscope_shared::{Element, Measurement, Moments, Requests};
use proptest::prelude::*;

use super::*;
use crate::analysis::cutting::MAX_LINES;

fn header() -> JournalHeader {
    JournalHeader {
        tool: "0.1.0".into(),
        statistics: Requests::FULL.keys(),
        fingerprint: "6f1c".into(),
        chunk_bytes: 4096,
        plan: u128::MAX - 5,
        engines: vec![JournalEngine {
            kind: "cpu".into(),
            firmware: "0.1.0".into(),
            tolerance: 1e-12,
            is_trusted: true,
        }],
    }
}

fn measured(chunk: u64) -> JournalEntry {
    let measurement = Measurement { moments: Moments::of(chunk as f64 / 3.0), ..Measurement::default() };
    JournalEntry::Measured { chunk, device: 0, measurement }
}

/// A chunk of four rows of `columns` elements with everything that is measured of it.
fn wide(chunk: u64, columns: usize) -> JournalEntry {
    let bytes: Vec<u8> = (0..4 * columns).flat_map(|place| ((place as f32) * 0.7).sin().to_le_bytes()).collect();
    let spec = ChunkSpec { element: Element::F32, offset: 0, row: columns as u32, requests: Requests::FULL };
    let measurement = cpu::measure::<cpu::Everything>(&bytes, spec);
    assert_eq!(measurement.row_column_sums.as_ref().map(|sums| sums.columns.len()), Some(columns));
    JournalEntry::Measured { chunk, device: 0, measurement }
}

/// A journal of four chunks, and where each record ends.
fn journal() -> (Vec<u8>, Vec<usize>) {
    let mut bytes = records::MAGIC.to_vec();
    let mut ends = vec![bytes.len()];
    for entry in std::iter::once(JournalEntry::Run(header())).chain((0..4).map(measured)) {
        records::append(&entry, &mut bytes).expect("short");
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn read(bytes: &[u8]) -> (Vec<JournalEntry>, ReplayEnd) {
    let mut found = Vec::new();
    let end = records::read(&mut Cursor::new(bytes), |entry| {
        found.push(entry);
        true
    });
    (found, end)
}

#[test]
fn cut_at_any_byte_everything_before_the_cut_record_is_kept() {
    let (bytes, ends) = journal();
    let (all, end) = read(&bytes);
    assert_eq!((all.len(), end), (5, ReplayEnd { valid_bytes: bytes.len() as u64, is_damaged: false }));
    assert_eq!(all[0], JournalEntry::Run(header()));
    assert_eq!(all[4], measured(3));
    for cut in 0..bytes.len() {
        let (found, end) = read(&bytes[..cut]);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(found, all[..whole.saturating_sub(1)], "cut at {cut}");
        let valid = if whole == 0 { 0 } else { ends[whole - 1] };
        assert_eq!(end, ReplayEnd { valid_bytes: valid as u64, is_damaged: false }, "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_ends_the_journal_at_its_record() {
    let (bytes, ends) = journal();
    let (all, _) = read(&bytes);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (found, end) = read(&damaged);
        let before = ends.iter().filter(|end| **end <= bit / 8).count();
        assert_eq!(found, all[..before.saturating_sub(1)], "bit {bit}");
        assert_eq!(end.valid_bytes, if before == 0 { 0 } else { ends[before - 1] as u64 }, "bit {bit}");
    }
}

#[test]
fn a_length_that_nobody_can_mean_is_damage() {
    let (mut bytes, ends) = journal();
    let last = ends[4];
    bytes[last..last + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(read(&bytes).1, ReplayEnd { valid_bytes: last as u64, is_damaged: true });
}

#[test]
fn a_record_holds_as_many_rows_and_columns_as_a_report_holds() {
    let entry = wide(0, MAX_LINES - 4);
    let mut bytes = records::MAGIC.to_vec();
    for entry in [&JournalEntry::Run(header()), &entry] {
        records::append(entry, &mut bytes).expect("no longer than what a device may answer");
    }
    let (found, end) = read(&bytes);
    assert_eq!(end, ReplayEnd { valid_bytes: bytes.len() as u64, is_damaged: false });
    assert!(found[1] == entry, "every bit is kept");
}

#[test]
fn a_measurement_that_is_too_long_is_left_out_and_the_others_are_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let long = wide(1, records::max_content() / size_of::<f32>());
    let refused = records::append(&long, &mut Vec::new()).expect_err("longer than is read");
    assert!(matches!(refused, RecordError::TooLong { found, max } if max == records::max_content() && found > max));
    let mut journal = Journal::open(folder.path(), Resume::Automatic).expect("a journal");
    journal.begin(header());
    journal.append(&measured(0), 10);
    journal.append(&long, 100);
    journal.append(&measured(2), 1000);
    journal.flush();
    assert!(journal.take_fault().is_none());
    assert_eq!(journal.written(), 1010, "what was left out is not counted");
    drop(journal);
    let (found, _) = read(&fs::read(folder.path().join(JOURNAL_FILE)).expect("still there"));
    assert_eq!(found, [JournalEntry::Run(header()), measured(0), measured(2)]);
}

/// Opens a journal that was closed just now. A process that another test is starting may hold the lock for a moment.
fn open(folder: &std::path::Path) -> Journal {
    for _ in 0..1000 {
        match Journal::open(folder, Resume::Automatic) {
            Err(JournalError::Locked { .. }) => std::thread::sleep(std::time::Duration::from_millis(2)),
            opened => return opened.expect("a journal"),
        }
    }
    panic!("the journal stays locked")
}

#[test]
fn what_follows_a_cut_is_written_after_the_last_valid_record() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (bytes, ends) = journal();
    for cut in ends[1]..bytes.len() {
        fs::write(folder.path().join(JOURNAL_FILE), &bytes[..cut]).expect("writable");
        let mut journal = open(folder.path());
        assert_eq!(journal.found(), &Beginning::Run(header()));
        let mut kept = Vec::new();
        journal.replay(|entry| {
            kept.push(entry);
            true
        });
        journal.append(&measured(9), 4096);
        drop(journal);
        kept.push(measured(9));
        let (found, end) = read(&fs::read(folder.path().join(JOURNAL_FILE)).expect("still there"));
        assert_eq!((found, end.is_damaged), (kept, false), "cut at {cut}");
    }
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut first = Journal::open(folder.path(), Resume::Automatic).expect("a journal");
    let error = Journal::open(folder.path(), Resume::Automatic).expect_err("locked");
    assert!(matches!(error, JournalError::Locked { .. }), "{error}");
    first.begin(header());
    first.append(&measured(0), 4096);
    drop(first);
    let second = Journal::open(folder.path(), Resume::Automatic).expect("free again");
    assert!(second.is_left_over());
    second.remove();
    assert!(!folder.path().join(JOURNAL_FILE).exists());
}

#[test]
fn without_a_measurement_nothing_stays_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(JOURNAL_FILE);
    let mut journal = Journal::open(folder.path(), Resume::Automatic).expect("a journal");
    assert!(path.exists());
    journal.begin(header());
    drop(journal);
    assert!(!path.exists());
    // What an earlier run left is not touched before this one begins, whatever it is.
    fs::write(&path, "something else").expect("writable");
    drop(Journal::open(folder.path(), Resume::Fresh).expect("a journal"));
    assert_eq!(fs::read_to_string(&path).expect("still there"), "something else");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_once_and_ends_the_journal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::symlink("/dev/full", folder.path().join(JOURNAL_FILE)).expect("a link");
    let mut journal = Journal::open(folder.path(), Resume::Automatic).expect("a journal");
    assert!(!journal.is_left_over());
    journal.begin(header());
    journal.append(&measured(0), 4096);
    journal.flush();
    assert!(journal.take_fault().is_some());
    assert_eq!(journal.written(), 0);
    journal.append(&measured(1), 4096);
    assert!(journal.take_fault().is_none());
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), is_sealed in any::<bool>()) {
        let mut stream = records::MAGIC.to_vec();
        if is_sealed {
            let length = (bytes.len() as u32).to_le_bytes();
            stream.extend(length);
            stream.extend(kurtoscope_shared::crc::crc32c(&[&length, &bytes]).to_le_bytes());
        }
        stream.extend(&bytes);
        let (_, end) = read(&stream);
        prop_assert!(end.valid_bytes <= stream.len() as u64);
    }
}
