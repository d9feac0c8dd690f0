//! `kurtoscope flash`: onto a Linux board behind ssh, into a mounted root file system, onto microcontrollers; what it says
//! when that fails, and that the next run repairs it.

#![cfg(unix)]

mod board;
mod linux;
mod microcontroller;
mod mounted;
mod real_ssh;
