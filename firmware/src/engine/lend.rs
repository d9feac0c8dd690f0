//! Lends borrowed bytes to burn for the time of one call, without a copy.

use core::{
    slice,
    sync::atomic::{AtomicBool, Ordering},
};

use burn::tensor::{AllocationProperty, Bytes as BurnBytes};
use bytes::Bytes;

/// Calls `function` with a buffer of burn's that holds `bytes`.
///
/// `function` must drop the buffer, and every tensor over it, before it returns. Where one is still alive the program is
/// aborted: the borrow would end before its last use.
pub(super) fn lend<R>(bytes: &[u8], function: impl FnOnce(BurnBytes) -> R) -> R {
    let is_lent = AtomicBool::new(true);
    let borrow = Borrow { is_lent: &is_lent };
    let loan = Loan { bytes, is_lent: &raw const is_lent };
    let result = function(BurnBytes::from_shared(Bytes::from_owner(loan), AllocationProperty::Other));
    drop(borrow);
    result
}

/// The time for which the bytes are borrowed; a panic that unwinds through it ends it too.
struct Borrow<'a> {
    is_lent: &'a AtomicBool,
}

impl Drop for Borrow<'_> {
    fn drop(&mut self) {
        if self.is_lent.load(Ordering::Acquire) {
            abort();
        }
    }
}

/// Borrowed bytes without their lifetime, which [`Borrow`] watches over.
struct Loan {
    bytes: *const [u8],
    is_lent: *const AtomicBool,
}

// SAFETY: the bytes are only read, and the flag is atomic.
unsafe impl Send for Loan {}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `lend` does not return, nor unwind, while this is alive, so its argument is still borrowed.
        unsafe { slice::from_raw_parts(self.bytes.cast(), self.bytes.len()) }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // SAFETY: as in `as_ref`. The flag is the last that is touched of what `lend` holds.
        unsafe { &*self.is_lent }.store(false, Ordering::Release);
    }
}

/// Ends the program, whatever a panic does in it: a panic while another unwinds cannot be caught.
fn abort() -> ! {
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            panic!("a buffer that was lent is still in use");
        }
    }
    let _again = Again;
    panic!("a buffer that was lent is still in use");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{panic, vec::Vec};

    #[test]
    fn the_bytes_are_lent_where_they_are() {
        let bytes: Vec<u8> = (0..100).collect();
        let (start, copied) = lend(&bytes, |lent| (lent.as_ptr(), lent.to_vec()));
        assert_eq!((start, copied), (bytes.as_ptr(), bytes));
    }

    #[test]
    fn a_panic_returns_them_too() {
        let bytes = [1u8, 2, 3];
        let caught = panic::catch_unwind(|| lend(&bytes, |lent| assert!(lent.is_empty())));
        assert!(caught.is_err());
    }
}
