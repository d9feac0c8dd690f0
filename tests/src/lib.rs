//! What the end-to-end tests share: the command under test, checkpoints written for them, links
//! with faults, and the comparison with references.

pub mod checkpoints;
pub mod command;
pub mod direct;
pub mod faults;
pub mod reference;
