//! The device side of Kurtoscope: receives chunks of tensors, measures them with burn, answers with mergeable reports.
#![cfg_attr(not(any(test, feature = "std")), no_std)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod engine;
