//! Showing how a run goes on: a bar on a terminal, a line now and then elsewhere, nothing under `--quiet`.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

use crate::analysis::{DeviceError, Progress};

/// Time between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress on standard error.
pub(super) enum Shown {
    /// A bar that is redrawn.
    Bar(ProgressBar),
    /// Lines.
    Lines {
        /// When the run began.
        began: Instant,
        /// When the last line was printed.
        last: Instant,
        /// Bytes to measure.
        total: u64,
        /// Bytes measured.
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
            Self::Lines { began: now, last: now, total: 0, done: 0 }
        }
    }
}

impl Progress for Shown {
    fn begin(&mut self, bytes: u64) {
        match self {
            Self::Bar(bar) => {
                // The template is a constant that is known to be valid; the plain bar would do as well.
                let style = ProgressStyle::with_template(
                    "{bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left  {wide_msg}",
                )
                .unwrap_or_else(|_| ProgressStyle::default_bar());
                *bar = ProgressBar::new(bytes).with_style(style);
            }
            Self::Lines { began, last, total, done } => {
                (*began, *last, *total, *done) = (Instant::now(), Instant::now(), bytes, 0);
            }
            Self::Quiet => {}
        }
    }

    fn measured(&mut self, bytes: u64, tensor: &str) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(tensor.to_owned());
                bar.inc(bytes);
            }
            Self::Lines { began, last, total, done } => {
                *done += bytes;
                if last.elapsed() >= LINE_EVERY && *done < *total {
                    *last = Instant::now();
                    let seconds = began.elapsed().as_secs_f64();
                    let rate = *done as f64 / seconds;
                    let left = Duration::from_secs_f64((*total - *done) as f64 / rate);
                    anstream::eprintln!(
                        "{} of {} measured, {}/s, about {} left",
                        HumanBytes(*done),
                        HumanBytes(*total),
                        HumanBytes(rate as u64),
                        HumanDuration(left)
                    );
                }
            }
            Self::Quiet => {}
        }
    }

    fn lost(&mut self, error: &DeviceError) {
        let line = format!("kurtoscope: lost a device: {error}");
        match self {
            Self::Bar(bar) => bar.suspend(|| anstream::eprintln!("{line}")),
            Self::Lines { .. } | Self::Quiet => anstream::eprintln!("{line}"),
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Bar(bar) => bar.finish_and_clear(),
            Self::Lines { .. } | Self::Quiet => {}
        }
    }
}
