//! Prefetches the next block into the cache while this one is measured.
//!
//! Only the first pass over a block waits for memory, which would be idle while the others run from the cache.

/// Bytes that memory moves at once.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Asks for `bytes`, which will be needed soon. Does nothing where there is no instruction for it.
#[inline(always)]
pub(super) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(LINE) {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has this instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
