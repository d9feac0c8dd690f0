//! How much of the stack was ever used: at start it is painted, and what is no longer paint was used.

use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    /// Where the stack begins; it grows down from there.
    static _stack_start: u32;
    /// How far down it may grow.
    static _stack_end: u32;
}

/// All of it, bytes: what other variables leave of the memory.
pub fn size() -> usize {
    (&raw const _stack_start).addr() - (&raw const _stack_end).addr()
}

/// The most that was ever used, bytes.
pub fn peak() -> usize {
    let (start, mut at) = (&raw const _stack_start, &raw const _stack_end);
    // SAFETY: both are ends of the stack, which is memory; it is read as what other code may be writing.
    while at < start && unsafe { at.read_volatile() } == STACK_PAINT_VALUE {
        at = at.wrapping_add(1);
    }
    start.addr() - at.addr()
}
