//! The command `kurtoscope`: arguments in, text and exit codes out, over the libraries `kurtoscope-host` and
//! `kurtoscope-checkpoint`, which do the measuring, the conclusions and the reports.
//!
//! | module | holds |
//! |---|---|
//! | [`command`] | the command line: subcommands, progress, advice about errors, exit codes |
//! | [`flash`] | firmware onto boards |
//! | [`device_options`] | how devices are opened from here: this program behind `pty:`, firmware built for `qemu:` |
//! | [`board`] | boards as data, and building their firmware |
//! | [`demo`] | a synthetic checkpoint to try things on |
//! | [`causes`] | an error and its causes in one line |
//!
//! It is a library so that tests can build the command themselves; others use the libraries above.

pub mod board;
pub mod causes;
pub mod command;
pub mod demo;
pub mod device_options;
pub mod flash;

pub use command::main;
