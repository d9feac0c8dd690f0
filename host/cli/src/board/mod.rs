//! Boards: what each one is, as data, and how its firmware is built.
//!
//! A board is a folder `boards/NAME` with a `board.toml`; nothing else in Kurtoscope names it. [`Description`] is that
//! file, [`Catalogue`] finds it, and [`build()`] builds what the board runs. [`qemu_machines`]
//! does both for boards that QEMU emulates. Flashing and talking to a board are elsewhere.

mod build;
mod catalogue;
mod description;
mod error;
mod qemu;
mod size;
mod toolchain;
pub mod uf2;

pub use build::{BuildRequest, Built, build};
pub use catalogue::{Board, Catalogue, Origin, VARIABLE};
pub use description::{BootLine, Description, Expectations, Firmware, Flash, Gadget, Kind, Linux, Qemu};
pub use error::BoardError;
pub use qemu::qemu_machines;
pub use size::{Size, size};
pub use toolchain::{Linker, Missing, Toolchain, advice, find_toolchain};
