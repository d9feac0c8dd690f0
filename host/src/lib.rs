//! Kurtoscope's host side: streams the tensors of a checkpoint to devices, merges the reports, and interprets them.
//!
//! For programs that measure how heavy the tails of a model's weights are on the device that will run it, or that read, compare
//! and plan with finished runs. Not here: reading weights from files and the hub is `kurtoscope-checkpoint`, what runs on
//! the device is `kurtoscope-firmware`, options, progress bars, flashing and advice to a person at a terminal are the command
//! `kurtoscope`. Nothing here looks at activations.
//!
//! # The way of the data
//!
//! A checkpoint is cut into chunks, which go over links to devices; their reports are merged into a record, from which everything else
//! follows. A module imports those above it.
//!
//! | module | holds |
//! |---|---|
//! | [`text`], [`number`] | names made safe to print, numbers as reports write them |
//! | [`files`] | files that appear whole or not at all |
//! | `statistics` (internal) | small statistics over measurements that are made: ranks, correlations, permutation tests |
//! | `scheme_key` (internal) | the quantization schemes that a record knows |
//! | [`record`] | the result of a run: the content of `run.json` as Rust types |
//! | [`run_file`] | `run.json` itself, written and read |
//! | `quantization` (internal) | the error of quantizing a tensor, predicted from its histogram |
//! | [`link`] | byte streams to devices, opened by URL or by a connector of one's own |
//! | [`analysis`] | chunks out, reports in, merged into a run |
//! | [`deployment`] | what the measurements mean for a quantized deployment: verdicts, remedies, plans |
//! | [`compare`] | two runs of one model side by side: device against desktop |
//! | [`evidence`] | rows about models and tensors, with the facts known about them |
//! | [`hypothesis`] | claims about outliers, judged by evidence |
//! | [`experiment`] | tables and plots over evidence |
//! | [`report`] | all of this for people: terminal, Markdown, CSV, HTML |
//!
//! # Measuring
//!
//! ```no_run
//! use kurtoscope_checkpoint::Checkpoint;
//! use kurtoscope_host::{analysis, link::DeviceUrl};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let checkpoint = Checkpoint::open("opt-125m".as_ref())?;
//! let mut devices = [analysis::Device::open(&DeviceUrl::Local, Default::default())?];
//! let run = analysis::analyze(&checkpoint, &mut devices, &mut analysis::Quiet)?;
//! for tensor in &run.tensors {
//!     println!("{} {:?}", tensor.name, tensor.kurtosis);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `examples/measure.rs` is a whole program; `examples/own_link.rs` reaches a device over a link without a URL here.
//!
//! # Finished runs
//!
//! ```no_run
//! use kurtoscope_host::{compare, deployment::{DeploymentPlan, Target, TargetVerdict}, run_file};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let desktop = run_file::read("desktop/run.json".as_ref())?;
//! let board = run_file::read("board/run.json".as_ref())?;
//! let comparison = compare::compare(&desktop, &board)?;
//! println!("beyond the stated accuracy: {}", comparison.is_beyond(None));
//!
//! let target = Target::named("q4_k").ok_or("no such target")?;
//! let plan = DeploymentPlan::of(&board, target)?;
//! println!("{} matrices pass", plan.count(TargetVerdict::Pass));
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! An error has a type a module, carries the numbers and names that it is about, and returns its cause through
//! [`source`](std::error::Error::source) instead of printing it: print the chain. What an option of the command could do about it is not
//! said here.

pub mod analysis;
pub mod compare;
pub mod deployment;
pub mod evidence;
pub mod experiment;
pub mod files;
#[cfg(test)]
mod fixture;
pub mod hypothesis;
pub mod link;
pub mod number;
mod quantization;
pub mod record;
pub mod report;
pub mod run_file;
mod scheme_key;
mod statistics;
pub mod text;
