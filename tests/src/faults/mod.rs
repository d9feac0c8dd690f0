//! Links with injected faults: the real host on one end, the real firmware session on the other, and between them
//! bytes that are flipped, dropped, doubled, swapped, cut and held back, boards that restart and cables that are pulled.
//!
//! One integer, the seed, decides which faults a scenario has and at which bytes they strike. Faults that CRC-32C does not
//! notice (one damaged frame in four thousand million) are out of scope: no test here is large enough to meet one.

mod board;
mod injector;
mod pipe;
#[cfg(unix)]
mod pty;
#[cfg(unix)]
mod unix;

pub use board::{Board, Life};
pub use injector::{Fault, Faults, Rates};
#[cfg(unix)]
pub use pty::PtyBoard;
#[cfg(unix)]
pub use unix::{SocketProcess, UnixBoard};
