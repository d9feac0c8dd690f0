//! What can go wrong with boards, and what the user can do about it.

use std::{io, path::PathBuf};

/// Why a board cannot be described or built.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// A `board.toml` cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A `board.toml` is not a description.
    #[error("{}:{line}: {message}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A folder was named for boards and holds none.
    #[error("{}: no folder in it holds a board.toml; name a checkout's boards/", .0.display())]
    NoBoards(PathBuf),
    /// No board has this name.
    #[error("there is no board \"{name}\"; there are {known}")]
    Unknown {
        /// As asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// The board's sources are not here.
    #[error(
        "{name}: its firmware is built from a checkout of Kurtoscope, and there is none here; go to one, or name its \
         boards with --boards DIR or {variable}",
        variable = super::VARIABLE
    )]
    NoSources {
        /// The board.
        name: String,
    },
    /// QEMU does not emulate the board.
    #[error("{name}: QEMU does not emulate it; `kurtoscope boards show {name}` shows how it is reached")]
    NotInQemu {
        /// The board.
        name: String,
    },
    /// QEMU is not installed.
    #[error("{name}: {program} is not on the path; on Debian and Ubuntu, `apt-get install {package}`")]
    NoQemu {
        /// The board.
        name: String,
        /// The program.
        program: String,
        /// The package that holds it.
        package: String,
    },
    /// Nothing on this machine compiles for the board.
    #[error("{name}: no Rust toolchain on this machine compiles for {target}{found}.\n{advice}")]
    NoToolchain {
        /// The board.
        name: String,
        /// Its target.
        target: String,
        /// Which toolchains were looked at.
        found: String,
        /// What to install.
        advice: String,
    },
    /// Nothing on this machine links for the board.
    #[error("{name}: no linker for {target} was found.\n{advice}")]
    NoLinker {
        /// The board.
        name: String,
        /// Its target.
        target: String,
        /// What to install.
        advice: String,
    },
    /// cargo cannot be started.
    #[error("{name}: cannot start {program}")]
    Start {
        /// The board.
        name: String,
        /// The program.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// cargo failed.
    #[error("{name}: building its firmware failed ({status}){}", cargo_output(.output))]
    Failed {
        /// The board.
        name: String,
        /// How cargo ended.
        status: String,
        /// Its output, where it was not shown.
        output: String,
    },
    /// cargo built something else than was expected.
    #[error("{name}: cargo ended well and left no program \"{binary}\"; does the board's manifest name it?")]
    NoProgram {
        /// The board.
        name: String,
        /// The binary as described.
        binary: String,
    },
    /// The program cannot be brought into the form in which it is flashed.
    #[error("{}: it cannot be flashed", path.display())]
    Image {
        /// The program.
        path: PathBuf,
        /// Why not.
        source: super::uf2::Uf2Error,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

fn cargo_output(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!("; cargo said:\n{output}") }
}
