//! Ctrl-C: the first asks the run to stop cleanly, the second ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code after Ctrl-C, as shells have it: 128 and the number of the signal.
pub(super) const EXIT_CODE: u8 = 130;

static STOP: AtomicBool = AtomicBool::new(false);

/// Handles Ctrl-C from here on; the flag is set at the first.
pub(super) fn watch() -> &'static AtomicBool {
    let listening = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::AcqRel) {
            std::process::exit(i32::from(EXIT_CODE));
        }
    });
    // Where there is no listening, Ctrl-C ends the process at once, and the journal has all but the last moment.
    drop(listening);
    &STOP
}
