//! Why a run ends without a result.

use kurtoscope_checkpoint::CheckpointError;

use super::failure::DeviceFailure;

/// Why a model could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// There is no device to measure with.
    #[error("no device to measure with")]
    NoDevice,
    /// A device cannot measure one of the tensors.
    #[error("{path}: tensor \"{tensor}\": {url} does not measure elements of type {element}; use another device")]
    Element {
        /// The checkpoint's file.
        path: String,
        /// The tensor.
        tensor: String,
        /// The device.
        url: String,
        /// The type.
        element: &'static str,
    },
    /// The checkpoint could not be read.
    #[error("the measurement ended early, and nothing was written")]
    Checkpoint(#[from] CheckpointError),
    /// Every device was lost before the end; the source is how the last one was.
    #[error(
        "{measured} of {total} bytes were measured before the last device was lost, and nothing was written{}",
        kept(*measured, journal)
    )]
    Lost {
        /// How the last device was lost.
        #[source]
        failure: Box<DeviceFailure>,
        /// Bytes measured until then.
        measured: u64,
        /// Bytes to measure.
        total: u64,
        /// The journal, where there is one, and what it keeps of them.
        journal: Option<KeptInJournal>,
    },
    /// The caller asked it to stop.
    #[error("stopped; {measured} of {total} bytes were measured, and nothing was written{}", kept(*measured, journal))]
    Stopped {
        /// Bytes measured until then.
        measured: u64,
        /// Bytes to measure.
        total: u64,
        /// The journal, where there is one, and what it keeps of them.
        journal: Option<KeptInJournal>,
    },
    /// There is nothing that could be continued, and that was asked for.
    #[error("cannot continue with {path}: {reason}")]
    CannotResume {
        /// The journal.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A chunk size that a device does not take.
    #[error("chunks of {requested} bytes are asked for, and {url} takes 8 to {max}")]
    ChunkBytes {
        /// As asked for.
        requested: usize,
        /// The device.
        url: String,
        /// The largest that it takes.
        max: usize,
    },
    /// The work ended without an error and without a result.
    #[error("{measured} of {total} bytes were measured; this is a defect of Kurtoscope, please report it")]
    Incomplete {
        /// Bytes measured.
        measured: u64,
        /// Bytes to measure.
        total: u64,
    },
}

/// What the journal holds of a run that did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptInJournal {
    /// The journal.
    pub path: String,
    /// Bytes of the checkpoint whose measurements are in it: fewer than were measured where it could not take them all.
    pub bytes: u64,
}

/// What becomes of the `measured` bytes when a run ends before its end.
fn kept(measured: u64, journal: &Option<KeptInJournal>) -> String {
    match journal {
        None => String::new(),
        Some(_) if measured == 0 => String::new(),
        Some(KeptInJournal { path, bytes: 0 }) => format!("; {path} could not keep them"),
        Some(KeptInJournal { path, bytes }) if *bytes < measured => {
            format!(" but {path}, which keeps {bytes} bytes of them")
        }
        Some(KeptInJournal { path, .. }) => format!(" but {path}, which keeps them"),
    }
}
