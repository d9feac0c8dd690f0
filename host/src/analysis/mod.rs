//! From a checkpoint and devices to a [`Run`](crate::record::Run): planning, handing out chunks, merging reports.
//!
//! | module | holds |
//! |---|---|
//! | `plan` | what is measured, cut into chunks |
//! | `cutting` | how one tensor is cut, and what is measured of it |
//! | `run` | the run itself: devices at work, measurements merged |
//! | `options` | what a caller chooses |
//! | `progress` | what is reported to a caller while a run goes on |
//! | `error` | why a run ends without a result |
//! | `device` | a device that takes part in runs |
//! | `failure` | why a device cannot be used, or was lost |
//! | `local` | the engine in this process at work |
//! | `linked` | a device behind a link: opened, worked with, opened again when it is lost |
//! | `transfer` | one conversation over one link: chunks out, measurements in |
//! | `handshake` | the handshake with a device, and whether to work with it |
//! | `conversation` | what is in flight, what was lost: the host's side of the protocol, without I/O |
//! | `compression` | whether a chunk travels compressed |
//! | `wire` | the two ends of a link, each on its own thread |
//! | `queue` | the chunks that are still to be measured, and what devices report to the run |
//! | `collect` | merging reports in a fixed order |
//! | `concentration` | how few rows and columns hold most of the fourth powers |
//! | `journal` | what was measured so far, on disk |
//! | `resume` | how a run begins: from nothing, or with what a journal holds |
//! | `link_counter` | the damaged and dropped frames that a device counts |
//! | `pace` | how large chunks should be |
//! | `probe` | measuring a link's rate |
//! | `assemble` | from merged measurements to records |

mod assemble;
mod collect;
mod compression;
mod concentration;
#[doc(hidden)] // Public for the fuzz targets alone, as `link_counter` and the records of `journal`.
pub mod conversation;
mod cutting;
mod device;
mod error;
mod failure;
mod gather;
mod handshake;
mod joined;
#[doc(hidden)]
pub mod journal;
#[doc(hidden)]
pub mod link_counter;
mod linked;
mod local;
mod options;
mod pace;
mod plan;
mod probe;
mod progress;
mod queue;
mod resume;
mod run;
mod transfer;
mod wire;

pub use compression::CompressionMode;
pub use device::Device;
pub use error::{AnalysisError, KeptInJournal};
pub use failure::{ChunkLocation, DeviceFailure, DeviceFailureKind, InvalidReport};
pub use journal::{JOURNAL_FILE, Journal, JournalError, Resume};
pub use options::{DeviceOptions, RunOptions, Timeouts};
pub use progress::{Progress, Quiet};
pub use run::{analyze, analyze_with};
