//! What goes to the kernel with a chunk, and what comes back.

use std::vec::Vec;

use super::layout::Layout;
use crate::engine::centre::Centre;

/// How a kernel is launched on one chunk.
#[derive(Debug, Clone, Copy)]
pub struct Launch {
    pub(super) layout: Layout,
    pub(super) centre: Centre,
    /// A number of this submission alone.
    pub(super) nonce: u32,
}

/// What came back from an adapter.
#[derive(Debug, Clone)]
pub struct Partials {
    /// The rows of the units' partial results.
    pub(super) rows: Vec<u32>,
    /// The histogram's bins; meaningless where none was asked for.
    pub(super) bins: Vec<u32>,
}
