//! A cache of one value: a tensor that must be unpacked as a whole is read in many parts that follow each other.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// The value that was computed last, shared by all tensors of a file that have to be unpacked.
pub(super) struct LastValue<T>(Mutex<Option<(usize, T)>>);

impl<T: Clone> LastValue<T> {
    /// The value that belongs to `key`, made now if another was kept.
    ///
    /// Other threads wait meanwhile: they mostly need the same value.
    ///
    /// # Errors
    /// The error of `make`; nothing is kept then.
    pub(super) fn get_or(&self, key: usize, make: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        // A thread that panicked here left a whole value or none.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((owner, value)) = &*kept
            && *owner == key
        {
            return Ok(value.clone());
        }
        // The old value goes first, so that there are never two.
        *kept = None;
        let value = make()?;
        *kept = Some((key, value.clone()));
        Ok(value)
    }
}

impl<T> Default for LastValue<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> fmt::Debug for LastValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastValue")
    }
}
