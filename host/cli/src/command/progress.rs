//! Showing how a download or a run goes on: a bar on a terminal, a line now and then elsewhere, nothing under `--quiet`.

use std::{
    io::IsTerminal,
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

use super::advice;
use kurtoscope_checkpoint::hub;
use kurtoscope_host::analysis::{DeviceFailure, Progress};

/// Time between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress on standard error.
pub(super) enum Shown {
    /// A bar that is redrawn.
    Bar(ProgressBar),
    /// Lines.
    Lines {
        /// When the work began.
        began: Instant,
        /// When the last line was printed.
        last: Instant,
        /// Bytes that were done before.
        there: u64,
        /// Bytes to do.
        total: u64,
        /// Bytes done.
        done: u64,
    },
    /// Nothing but the loss of a device.
    Quiet,
}

impl Shown {
    /// What suits standard error.
    pub(super) fn new(quiet: bool) -> Self {
        if quiet {
            Self::Quiet
        } else if std::io::stderr().is_terminal() {
            Self::Bar(ProgressBar::hidden())
        } else {
            let now = Instant::now();
            Self::Lines { began: now, last: now, there: 0, total: 0, done: 0 }
        }
    }

    fn start(&mut self, bytes_there: u64, bytes: u64) {
        match self {
            Self::Bar(bar) => {
                // The template is a constant that is known to be valid; the plain bar would do as well.
                let style = ProgressStyle::with_template(
                    "{bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left  {wide_msg}",
                )
                .unwrap_or_else(|_| ProgressStyle::default_bar());
                *bar = ProgressBar::new(bytes).with_style(style).with_position(bytes_there);
                // What was there before says nothing about the rate.
                bar.reset_eta();
            }
            Self::Lines { began, last, there, total, done } => {
                let now = Instant::now();
                (*began, *last, *there, *total, *done) = (now, now, bytes_there, bytes, bytes_there);
            }
            Self::Quiet => {}
        }
    }

    /// Prints a line if it is time for one. `verb` says what happens to the bytes.
    fn line(&mut self, verb: &str) {
        if let Self::Lines { began, last, there, total, done } = self
            && last.elapsed() >= LINE_EVERY
            && *there < *done
            && *done < *total
        {
            *last = Instant::now();
            let rate = (*done - *there) as f64 / began.elapsed().as_secs_f64();
            let left = Duration::from_secs_f64((*total - *done) as f64 / rate);
            anstream::eprintln!(
                "{} of {} {verb}, {}/s, about {} left",
                HumanBytes(*done),
                HumanBytes(*total),
                HumanBytes(rate as u64),
                HumanDuration(left)
            );
        }
    }

    /// Prints a line whatever else is shown.
    fn print(&self, text: &str) {
        let line = format!("kurtoscope: {text}");
        match self {
            Self::Bar(bar) => bar.suspend(|| anstream::eprintln!("{line}")),
            Self::Lines { .. } | Self::Quiet => anstream::eprintln!("{line}"),
        }
    }

    fn end(&mut self) {
        match self {
            Self::Bar(bar) => bar.finish_and_clear(),
            Self::Lines { .. } | Self::Quiet => {}
        }
    }
}

impl Progress for Shown {
    fn begin(&mut self, bytes: u64) {
        self.start(0, bytes);
    }

    fn measured(&mut self, bytes: u64, tensor: &str) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(tensor.to_owned());
                bar.inc(bytes);
            }
            Self::Lines { done, .. } => {
                *done += bytes;
                self.line("measured");
            }
            Self::Quiet => {}
        }
    }

    fn resumed(&mut self, bytes: u64) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(bytes);
                // What was there before says nothing about the rate.
                bar.reset_eta();
            }
            Self::Lines { there, done, total, .. } => {
                (*there, *done) = (bytes, bytes);
                anstream::eprintln!(
                    "continuing: {} of {} were measured by an earlier run",
                    HumanBytes(bytes),
                    HumanBytes(*total)
                );
            }
            Self::Quiet => {}
        }
    }

    fn notice(&mut self, text: &str) {
        self.print(text);
    }

    fn lost(&mut self, failure: &DeviceFailure) {
        self.print(&format!("lost a device: {}", advice::in_full(failure)));
    }

    fn finish(&mut self) {
        self.end();
    }
}

impl hub::Progress for Shown {
    fn begin(&mut self, there: u64, total: u64) {
        if let Self::Lines { .. } = self {
            anstream::eprintln!("downloading {}", HumanBytes(total - there.min(total)));
        }
        self.start(there, total);
    }

    fn at(&mut self, bytes: u64, file: &str) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(file.to_owned());
                bar.set_position(bytes);
            }
            Self::Lines { done, .. } => {
                *done = bytes;
                self.line("downloaded");
            }
            Self::Quiet => {}
        }
    }

    fn waiting(&mut self, lock: &Path) {
        let line = format!("waiting for another program that downloads the same file ({} is locked)", lock.display());
        match self {
            Self::Bar(bar) => bar.suspend(|| anstream::eprintln!("{line}")),
            Self::Lines { .. } => anstream::eprintln!("{line}"),
            Self::Quiet => {}
        }
    }

    fn finish(&mut self) {
        self.end();
    }
}
