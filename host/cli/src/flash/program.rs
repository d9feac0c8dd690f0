//! The head of a program file: for which processor it was built. Nothing else of the file is read.

use std::fmt;

/// A processor architecture that Linux boards have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM.
    Arm,
    /// 64-bit x86.
    X86_64,
    /// 64-bit RISC-V.
    Riscv64,
}

impl Machine {
    /// The architecture that `uname -m` calls by this name, or that a target triple begins with.
    pub fn of_name(name: &str) -> Option<Self> {
        match name.split('-').next().unwrap_or_default() {
            "aarch64" | "arm64" => Some(Self::Aarch64),
            "x86_64" | "amd64" => Some(Self::X86_64),
            "riscv64" | "riscv64gc" => Some(Self::Riscv64),
            name if name.starts_with("arm") => Some(Self::Arm),
            _ => None,
        }
    }

    /// The architecture of a program for Linux (ELF, little-endian), from its first bytes.
    pub fn of_program(head: &[u8]) -> Option<Self> {
        const ELF: &[u8; 4] = b"\x7fELF";
        const LITTLE_ENDIAN: u8 = 1;
        if !head.starts_with(ELF) || *head.get(5)? != LITTLE_ENDIAN {
            return None;
        }
        match u16::from_le_bytes([*head.get(18)?, *head.get(19)?]) {
            40 => Some(Self::Arm),
            62 => Some(Self::X86_64),
            183 => Some(Self::Aarch64),
            243 => Some(Self::Riscv64),
            _ => None,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aarch64 => "aarch64",
            Self::Arm => "arm",
            Self::X86_64 => "x86_64",
            Self::Riscv64 => "riscv64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn this_program_is_for_this_machine() {
        let program = std::fs::read(std::env::current_exe().expect("a path")).expect("readable");
        assert_eq!(Machine::of_program(&program), Machine::of_name(std::env::consts::ARCH));
    }

    #[test]
    fn what_is_no_program_is_none() {
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh\necho 0123456789 0123456789", &[0; 64]] {
            assert_eq!(Machine::of_program(bytes), None);
        }
    }

    #[test]
    fn names_of_systems_and_triples() {
        assert_eq!(Machine::of_name("aarch64-unknown-linux-gnu"), Some(Machine::Aarch64));
        assert_eq!(Machine::of_name("armv7l"), Some(Machine::Arm));
        assert_eq!(Machine::of_name("mips"), None);
    }
}
