//! Kurtoscope's host side: checkpoints, links to devices, analysis and reports.

pub mod model;
pub mod quantization;
pub mod record;
pub mod report;
pub mod statistics;
