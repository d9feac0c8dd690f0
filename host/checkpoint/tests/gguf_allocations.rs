//! Opening a GGUF file never allocates what its header claims: measured by a counting allocator, which needs a process of
//! its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use kurtoscope_checkpoint::Checkpoint;

/// Remembers the largest single allocation and the sum of those that live.
struct Counting;

static LARGEST: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it is; only sizes are noted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Relaxed);
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `pointer` is from the system's allocator with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FILE: &[u8] = include_bytes!("../src/format/gguf/fixtures/every_type.gguf");

/// Claims that a damaged header can make.
const CLAIMS: [u64; 8] = [u64::MAX, 1 << 63, 1 << 61, 1 << 40, (1 << 32) - 1, 1 << 31, 1 << 24, 1 << 16];

#[test]
fn no_word_of_the_header_is_allocated() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.gguf");
    fs::write(&path, FILE).expect("a file written");
    let mut file = fs::File::options().write(true).open(&path).expect("the file");
    let mut patch = |at: usize, bytes: &[u8]| {
        file.seek(SeekFrom::Start(at as u64)).and_then(|_| file.write_all(bytes)).expect("bytes written");
    };
    // The header is the first 3 KiB of the fixture; each of its bytes begins a word once.
    for at in 8..3072 {
        for claim in CLAIMS {
            patch(at, &claim.to_le_bytes());
            LARGEST.store(0, Relaxed);
            let before = LIVE.load(Relaxed);
            PEAK.store(before, Relaxed);
            let opened = Checkpoint::open(&path).map(|checkpoint| checkpoint.fingerprint());
            let (largest, peak) = (LARGEST.load(Relaxed), PEAK.load(Relaxed) - before);
            assert!(largest <= FILE.len() && peak <= 8 * FILE.len(), "{claim:#x} at {at}: {largest}, {peak}");
            drop(opened);
        }
        patch(at, &FILE[at..at + 8]);
    }
}
