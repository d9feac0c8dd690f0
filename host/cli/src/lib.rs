//! The command `kurtoscope`.

pub mod causes;
pub mod command;
pub mod demo;
pub mod flash;

pub use command::main;
