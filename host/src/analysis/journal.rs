//! The journal of a run: what was measured so far, in a file that survives being killed at any moment, so that the next
//! run of the same command goes on where this one stopped.
//!
//! The file only grows while a run goes on. It begins with [`records::MAGIC`]; records follow, each
//!
//! ```text
//! length   u32, little-endian: bytes of the content
//! CRC-32C  u32, little-endian: over length and content
//! content  a [`JournalEntry`], in postcard
//! ```
//!
//! The first record describes the run ([`JournalHeader`]), then come the devices and the measured chunks in order of arrival. A
//! reader takes records up to the first that is cut, damaged or does not fit; the file is cut there, and what followed
//! is measured again. So is a chunk whose measurement would be longer than a reader takes: it has no record.
//!
//! Records reach the system ten times a second, so a killed process loses a tenth of a second of work, and the disk every
//! half minute, so a power cut loses half a minute. One process at a time has the journal: the file is locked.

pub mod records;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use records::{Beginning, JournalEngine, JournalEntry, JournalHeader, RecordError, ReplayEnd};

/// The journal's file in the folder of reports.
pub const JOURNAL_FILE: &str = "run.journal";

/// Time until what was appended is handed to the system.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Bytes that are handed to the system at once, however soon.
const FLUSH_BYTES: usize = 1 << 20;
/// Time until what was appended is on the disk.
const SYNC_EVERY: Duration = Duration::from_secs(30);

/// What becomes of a journal that is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resume {
    /// Continued where it fits the run, replaced where it does not.
    #[default]
    Automatic,
    /// Continued; where it does not fit, that is an error.
    Required,
    /// Replaced.
    Fresh,
}

/// Why there can be no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process writes it.
    #[error(
        "{} is in use: another run of kurtoscope writes into this folder",
        path.display()
    )]
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// The file cannot be opened for writing.
    #[error("cannot keep a journal in {}", path.display())]
    File {
        /// The journal.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// A journal that this process alone writes. Dropped, it stays on disk if it holds a measurement.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    resume: Resume,
    found: Beginning,
    buffer: Vec<u8>,
    /// Bytes of the checkpoint whose measurements are in `buffer`.
    waiting: u64,
    /// Bytes of the checkpoint whose measurements this process has written.
    written: u64,
    flushed: Instant,
    synced: Instant,
    /// Why nothing is written any more.
    fault: Option<io::Error>,
    is_broken: bool,
    /// Whether there is something in it that the next run could use.
    is_worth_keeping: bool,
}

impl Journal {
    /// Opens the journal in `folder`, or creates it.
    ///
    /// # Errors
    /// When another process has it, or it cannot be written.
    pub fn open(folder: &Path, resume: Resume) -> Result<Self, JournalError> {
        let path = folder.join(JOURNAL_FILE);
        let failed = |source| JournalError::File { path: path.clone(), source };
        let mut file = loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(failed)?;
            match file.try_lock() {
                // File systems without locks exist; there the user has to take care.
                Ok(()) | Err(TryLockError::Error(_)) => {}
                Err(TryLockError::WouldBlock) => return Err(JournalError::Locked { path }),
            }
            // The process that had it may have finished and removed it between the two steps above.
            if is_at(&file, &path) {
                break file;
            }
        };
        let found = match resume {
            Resume::Fresh => Beginning::Nothing,
            Resume::Automatic | Resume::Required => records::read_beginning(&mut BufReader::new(&file)),
        };
        let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let now = Instant::now();
        Ok(Self {
            path,
            file,
            resume,
            found,
            buffer: Vec::new(),
            waiting: 0,
            written: 0,
            flushed: now,
            synced: now,
            fault: None,
            is_broken: false,
            is_worth_keeping: length > 0,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What becomes of what was found.
    pub fn resume(&self) -> Resume {
        self.resume
    }

    /// Replaces what was found, whatever was returned on opening.
    pub fn start_afresh(&mut self) {
        (self.resume, self.found) = (Resume::Fresh, Beginning::Nothing);
    }

    /// Whether an earlier run left something that could be continued.
    pub fn is_left_over(&self) -> bool {
        matches!(self.found, Beginning::Run(_))
    }

    /// How the journal that was found begins; with nothing where there was none or it is to be replaced.
    pub fn found(&self) -> &Beginning {
        &self.found
    }

    /// Bytes of the checkpoint whose measurements this run has handed to the system.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Starts over, for a run that `header` describes.
    pub(super) fn begin(&mut self, header: JournalHeader) {
        self.is_worth_keeping = false;
        let mut start = records::MAGIC.to_vec();
        let outcome =
            records::append(&JournalEntry::Run(header), &mut start).map_err(io::Error::other).and_then(|()| {
                self.file.set_len(0)?;
                self.file.seek(SeekFrom::Start(0))?;
                self.file.write_all(&start)
            });
        self.note(outcome);
    }

    /// Goes through what an earlier run left, as [`records::read`], and continues after the last valid record.
    pub(super) fn replay(&mut self, take: impl FnMut(JournalEntry) -> bool) -> ReplayEnd {
        let rewound = self.file.seek(SeekFrom::Start(0));
        let end = records::read(&mut BufReader::new(&self.file), take);
        let outcome = rewound.and_then(|_| {
            self.file.set_len(end.valid_bytes)?;
            self.file.seek(SeekFrom::Start(end.valid_bytes)).map(|_| ())
        });
        self.note(outcome);
        end
    }

    /// Adds a record, which is the measurement of `bytes` bytes of the checkpoint or of none. Failures show in
    /// [`take_fault`](Self::take_fault).
    pub(super) fn append(&mut self, entry: &JournalEntry, bytes: u64) {
        if self.is_broken {
            return;
        }
        match (records::append(entry, &mut self.buffer), entry) {
            (Ok(()), _) => self.waiting += bytes,
            // This chunk is measured again when the run is continued, and the others are not.
            (Err(_), JournalEntry::Measured { .. }) => {}
            // Later records count on the others; the records before it stay valid.
            (Err(error), JournalEntry::Run(_) | JournalEntry::Device { .. }) => {
                self.flush();
                self.note(Err(io::Error::other(error)));
            }
        }
        self.flush_if_due();
    }

    /// Hands what was appended to the system if it has waited long enough.
    pub(super) fn flush_if_due(&mut self) {
        if self.buffer.len() >= FLUSH_BYTES || self.flushed.elapsed() >= FLUSH_EVERY {
            self.flush();
        }
    }

    /// Hands what was appended to the system, and to the disk now and then.
    pub(super) fn flush(&mut self) {
        self.flushed = Instant::now();
        if self.is_broken || self.buffer.is_empty() {
            return;
        }
        let outcome = self.file.write_all(&self.buffer);
        if outcome.is_ok() {
            self.written += self.waiting;
            self.is_worth_keeping |= self.waiting > 0;
        }
        self.waiting = 0;
        self.buffer.clear();
        self.note(outcome);
        if self.synced.elapsed() >= SYNC_EVERY {
            self.synced = Instant::now();
            // A disk that cannot be waited for still has the data in the system's memory.
            let _ = self.file.sync_data();
        }
    }

    /// Why nothing is written any more, once.
    pub(super) fn take_fault(&mut self) -> Option<io::Error> {
        self.fault.take()
    }

    /// Removes the journal: the run is complete, and its reports are written.
    pub fn remove(mut self) {
        // Dropping it removes it.
        self.is_worth_keeping = false;
    }

    fn note(&mut self, outcome: io::Result<()>) {
        if let Err(error) = outcome
            && !self.is_broken
        {
            (self.is_broken, self.fault) = (true, Some(error));
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.flush();
        if !self.is_worth_keeping {
            // Still locked, so it is ours. A file that stays behind is one that the next run starts over with.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether `path` names the opened `file`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |data: &fs::Metadata| (data.dev(), data.ino());
    matches!((&file.metadata(), &fs::metadata(path)), (Ok(ours), Ok(named)) if identity(ours) == identity(named))
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests;
