//! What a caller chooses: how devices are opened and worked with, and what a run measures.

use std::{sync::atomic::AtomicBool, time::Duration};

use kurtoscope_shared::Requests;

use super::{compression::CompressionMode, journal::Journal};
use crate::link::LinkOptions;

/// How a device is opened and worked with.
#[derive(Debug, Clone, Default)]
pub struct DeviceOptions {
    /// Work with a device that fails its self-test; the report says so.
    pub allow_untrusted: bool,
    /// How long to wait for it.
    pub timeouts: Timeouts,
    /// When chunks travel compressed.
    pub compression: CompressionMode,
    /// What opening its link needs besides its URL.
    pub link: LinkOptions,
}

/// How long to wait for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// How long a device may be silent while it has something to do, before what it was sent is sent again. It holds until
    /// it is known how fast the device answers; later waits follow from its answers, and grow while nothing comes.
    pub resend: Duration,
    /// How long a device may be lost, or measure nothing whatever is tried, before the run goes on without it.
    pub give_up: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { resend: Duration::from_secs(10), give_up: Duration::from_secs(60) }
    }
}

/// What a run does besides measuring a checkpoint on devices.
#[derive(Debug)]
pub struct RunOptions<'a> {
    /// What is measured besides the moments, as far as every device measures it.
    pub statistics: Requests,
    /// Bytes of a chunk; chosen from the devices and their links where it is `None`.
    pub chunk_bytes: Option<usize>,
    /// Where measurements are kept for the next run, should this one not come to its end.
    pub journal: Option<&'a mut Journal>,
    /// Set by someone else when the run is to stop.
    pub stop: Option<&'a AtomicBool>,
}

impl Default for RunOptions<'_> {
    fn default() -> Self {
        Self { statistics: Requests::FULL, chunk_bytes: None, journal: None, stop: None }
    }
}
