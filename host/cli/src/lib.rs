//! The command `kurtoscope`.

pub mod board;
pub mod causes;
pub mod command;
pub mod demo;
pub mod device_options;
pub mod flash;

pub use command::main;
