//! Building a board's firmware with whichever toolchain is there. Getting it onto the board is left to others.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    Board, BoardError, Flash,
    toolchain::{self, Linker, Missing, Toolchain, find_toolchain},
    uf2,
};

/// What to build, and whether its progress is shown.
#[derive(Debug, Clone, Copy)]
pub struct BuildRequest<'a> {
    /// The board.
    pub board: &'a Board,
    /// Whether cargo's messages go to standard error as they come; otherwise they are kept for the error, if there is one.
    pub show: bool,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The program, an ELF file.
    pub program: PathBuf,
    /// The file that is copied to the board's volume, where that is how it is flashed.
    pub image: Option<PathBuf>,
    /// What built it.
    pub toolchain: Toolchain,
}

/// Builds a board's firmware; takes well under a second where nothing changed.
///
/// What is built lies under `boards` in cargo's target folder: `CARGO_TARGET_DIR`, or that of the checkout.
///
/// # Errors
/// When there are no sources or no toolchain, and when cargo fails.
pub fn build(request: BuildRequest<'_>) -> Result<Built, BoardError> {
    let board = &request.board.description;
    let folder = request.board.folder()?;
    let name = || board.name.clone();
    let toolchain = find_toolchain(&board.target, folder).map_err(|missing| match missing {
        Missing::Compiler(looked_at) => BoardError::NoToolchain {
            name: name(),
            target: board.target.clone(),
            found: if looked_at.is_empty() { String::new() } else { format!(" ({})", looked_at.join("; ")) },
            advice: toolchain::advice(&board.target),
        },
        Missing::Linker => BoardError::NoLinker {
            name: name(),
            target: board.target.clone(),
            advice: toolchain::advice(&board.target),
        },
    })?;
    let target_folder = target_folder(folder);
    let mut cargo = command(request.board, folder, &toolchain, &target_folder);
    let start = |source| BoardError::Start { name: name(), program: toolchain.cargo.display().to_string(), source };
    let (status, output) = if request.show {
        (cargo.status().map_err(start)?, String::new())
    } else {
        let output = cargo.stderr(Stdio::piped()).output().map_err(start)?;
        (output.status, String::from_utf8_lossy(&output.stderr).trim().to_owned())
    };
    if !status.success() {
        return Err(BoardError::Failed { name: name(), status: status.to_string(), output });
    }
    let program = target_folder.join(&board.target).join("release").join(&board.firmware.binary);
    if !program.is_file() {
        return Err(BoardError::NoProgram { name: name(), binary: board.firmware.binary.clone() });
    }
    let image = match board.flash {
        Flash::Uf2Volume { family, .. } => Some(image(&program, &board.target, family)?),
        _ => None,
    };
    Ok(Built { program, image, toolchain })
}

fn command(board: &Board, folder: &Path, toolchain: &Toolchain, target_folder: &Path) -> Command {
    let Board { description: board, .. } = board;
    let mut cargo = Command::new(&toolchain.cargo);
    cargo
        .current_dir(folder)
        .env("RUSTC", &toolchain.rustc)
        // Meant for programs of this machine.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .args(["build", "--release", "--locked", "--target", &board.target, "--bin", &board.firmware.binary])
        .arg("--manifest-path")
        .arg(folder.join(&board.firmware.manifest))
        .arg("--target-dir")
        .arg(target_folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if !board.firmware.features.is_empty() {
        cargo.arg("--features").arg(board.firmware.features.join(","));
    }
    if toolchain.from_sources {
        // Compiling the standard library along is not a stable part of cargo, and works with the sources of its version.
        cargo.env("RUSTC_BOOTSTRAP", "1").args(["-Z", "build-std=core,alloc"]);
    }
    if let Linker::Program { name, flavor } = &toolchain.linker {
        let target = &board.target;
        cargo.arg("--config").arg(format!("target.{target}.linker='{name}'"));
        cargo.arg("--config").arg(format!("target.{target}.rustflags=['-Clinker-flavor={flavor}']"));
    }
    cargo
}

/// Where cargo puts what it builds for boards.
fn target_folder(board: &Path) -> PathBuf {
    if let Some(folder) = env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty()) {
        return env::current_dir().unwrap_or_default().join(folder).join("boards");
    }
    let boards = board.parent().unwrap_or(board);
    let boards = fs::canonicalize(boards).unwrap_or_else(|_| boards.to_owned());
    match boards.parent().filter(|root| root.join("Cargo.toml").is_file()) {
        Some(root) => root.join("target/boards"),
        None => boards.join("target"),
    }
}

/// Writes the UF2 form beside the program.
fn image(program: &Path, target: &str, family: u32) -> Result<PathBuf, BoardError> {
    let elf = fs::read(program).map_err(|source| BoardError::Read { path: program.to_owned(), source })?;
    let blocks =
        uf2::from_elf(&elf, target, family).map_err(|source| BoardError::Image { path: program.to_owned(), source })?;
    let path = program.with_extension("uf2");
    fs::write(&path, blocks).map_err(|source| BoardError::Write { path: path.clone(), source })?;
    Ok(path)
}
