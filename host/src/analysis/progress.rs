//! What is reported to a caller while a run goes on. Showing it is left to the caller.

use super::failure::DeviceFailure;

/// Receives how a run goes on. Called on the thread that called [`analyze`](super::analyze).
pub trait Progress {
    /// The run begins; `bytes` will be measured.
    fn begin(&mut self, bytes: u64);
    /// `bytes` more are measured, for the tensor of this name.
    fn measured(&mut self, bytes: u64, tensor: &str);
    /// `bytes` of those were measured by earlier runs and are not measured again.
    fn resumed(&mut self, _bytes: u64) {}
    /// Something that the user should know while the run goes on.
    fn notice(&mut self, _text: &str) {}
    /// A device was lost; the others go on with its chunks.
    fn lost(&mut self, failure: &DeviceFailure);
    /// Everything is measured.
    fn finish(&mut self);
}

/// No progress shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&mut self, _bytes: u64) {}
    fn measured(&mut self, _bytes: u64, _tensor: &str) {}
    fn lost(&mut self, _failure: &DeviceFailure) {}
    fn finish(&mut self) {}
}
