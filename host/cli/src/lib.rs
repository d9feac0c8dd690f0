//! The command `kurtoscope`.

pub mod command;
pub mod demo;
pub mod flash;

pub use command::main;
