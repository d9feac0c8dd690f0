//! Kurtoscope's host side: reads checkpoints, streams their tensors to devices, merges what comes back, reports.
//!
//! The command `kurtoscope` is a thin layer over this library. In the order in which data flows:
//!
//! | module | holds |
//! |---|---|
//! | [`checkpoint`] | weights on disk, memory-mapped |
//! | [`hub`] | weights on the Hugging Face hub, brought to disk |
//! | [`model`] | what names and configuration say: family, component, layer, the parts of fused tensors |
//! | [`link`] | byte streams to devices, opened by URL |
//! | [`analysis`] | chunks out, reports in, merged into a run |
//! | [`quantization`] | the error of quantizing a tensor, predicted from its histogram |
//! | [`record`] | the result: `run.json` as Rust types |
//! | [`report`] | the result for people: terminal, Markdown, CSV, JSON |
//! | [`compare`] | two runs of one model side by side: device against desktop |
//! | [`deployment`] | what the measurements mean for a quantized deployment: verdicts, remedies, plans |
//! | [`evidence`] | rows about models and tensors, with the facts known about them |
//! | [`experiment`] | tables and plots over evidence |
//! | [`hypothesis`] | claims about outliers, judged by evidence |
//! | [`demo`] | a synthetic checkpoint to try things on |
//! | [`flash`] | firmware onto boards |
//! | [`cli`] | the command |
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
pub mod quantization;
pub mod record;
pub mod report;
pub mod run_file;
pub mod scheme_key;
pub mod statistics;
pub mod text;
