//! What can go wrong on a graphics adapter.

use std::string::{String, ToString};

use cubecl::server::{IoError, LaunchError, ServerError};
use kurtoscope_shared::protocol::FaultKind;

/// Why a chunk could not be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The adapter's memory does not hold the chunk and its results.
    #[error("the adapter is out of memory: {0}")]
    OutOfMemory(String),
    /// The adapter was reset, unplugged, or stopped by its driver.
    #[error("the adapter was lost: {0}")]
    DeviceLost(String),
    /// The kernel was refused or did not compile.
    #[error("the kernel cannot run: {0}")]
    Kernel(String),
    /// Parts of the work were left out without an error.
    #[error("the adapter answered for {found} of {expected} parts of the work")]
    Incomplete {
        /// Parts that answered.
        found: u64,
        /// Parts that should have.
        expected: u64,
    },
    /// Something inside the graphics libraries panicked.
    #[error("the graphics libraries panicked: {0}")]
    Panic(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// Whether the adapter has to be opened anew before it can be used again.
    pub fn loses_device(&self) -> bool {
        matches!(self, Self::DeviceLost(_) | Self::Panic(_))
    }

    /// As it is reported to a host.
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::OutOfMemory(_) => FaultKind::OutOfMemory,
            Self::DeviceLost(_) => FaultKind::DeviceLost,
            Self::Kernel(_) => FaultKind::Kernel,
            Self::Incomplete { .. } | Self::Panic(_) | Self::Other(_) => FaultKind::Engine,
        }
    }

    /// A panic inside the graphics libraries.
    pub(super) fn from_panic(thrown: &(dyn core::any::Any + Send)) -> Self {
        let said = thrown.downcast_ref::<String>().map(String::as_str).or(thrown.downcast_ref::<&str>().copied());
        Self::Panic(said.unwrap_or("without a message").into())
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let said = error.to_string();
        match error {
            error if error.is_device_poisoned() => Self::DeviceLost(said),
            ServerError::Io(IoError::OutOfMemory { .. } | IoError::BufferTooBig { .. })
            | ServerError::Launch(LaunchError::OutOfMemory { .. }) => Self::OutOfMemory(said),
            ServerError::Launch(_) | ServerError::Validation { .. } => Self::Kernel(said),
            _ => Self::Other(said),
        }
    }
}
