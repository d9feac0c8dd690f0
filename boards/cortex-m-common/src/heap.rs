//! The allocator: first fit in one piece of memory, with a high-water mark.

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    mem::MaybeUninit,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use embedded_alloc::LlffHeap;

/// A heap of `BYTES` bytes. A board makes it its `#[global_allocator]` and calls [`start`](Self::start) first of all.
pub struct Heap<const BYTES: usize> {
    inner: LlffHeap,
    memory: Memory<BYTES>,
    started: AtomicBool,
    peak: AtomicUsize,
}

/// Memory that is lent to the allocator once.
#[repr(align(8))]
struct Memory<const BYTES: usize>(UnsafeCell<[MaybeUninit<u8>; BYTES]>);

// SAFETY: only the allocator touches the memory, and it guards itself with critical sections.
unsafe impl<const BYTES: usize> Sync for Memory<BYTES> {}

impl<const BYTES: usize> Heap<BYTES> {
    /// A heap that has not been started: it has no memory to give.
    #[allow(clippy::new_without_default, reason = "made once, in a static")]
    pub const fn new() -> Self {
        let memory = Memory(UnsafeCell::new([MaybeUninit::uninit(); BYTES]));
        Self { inner: LlffHeap::empty(), memory, started: AtomicBool::new(false), peak: AtomicUsize::new(0) }
    }

    /// Gives the heap its memory. Further calls do nothing.
    pub fn start(&self) {
        if !self.started.load(Ordering::Relaxed) {
            self.started.store(true, Ordering::Relaxed);
            // SAFETY: the memory belongs to this heap alone, and this is reached once: there is one core, and no interrupt
            // calls this.
            unsafe { self.inner.init(self.memory.0.get().addr(), BYTES) };
        }
    }

    /// All of it, bytes.
    pub const fn size(&self) -> usize {
        BYTES
    }

    /// The most that was ever taken, bytes, gaps between allocations left out.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }
}

// SAFETY: every call goes to an allocator that is one.
unsafe impl<const BYTES: usize> GlobalAlloc for Heap<BYTES> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the inner allocator asks for.
        let memory = unsafe { self.inner.alloc(layout) };
        let used = self.inner.used();
        // One core, so nothing comes between reading and writing but an interrupt, and those do not allocate.
        if used > self.peak.load(Ordering::Relaxed) {
            self.peak.store(used, Ordering::Relaxed);
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those that the inner allocator asks for.
        unsafe { self.inner.dealloc(memory, layout) };
    }
}
