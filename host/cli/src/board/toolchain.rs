//! Which Rust toolchain and which linker of this machine build for a board's target.
//!
//! Two ways are known: a toolchain that has the target's standard library (rustup's, after `rustup target add`), and one
//! that has that library's sources (Debian's `rust-web-src`), for targets without an operating system.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// A cargo and a rustc that build for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// The cargo.
    pub cargo: PathBuf,
    /// The rustc that it is to use.
    pub rustc: PathBuf,
    /// Whether `core` and `alloc` are compiled along, from sources.
    pub from_sources: bool,
    /// The linker.
    pub linker: Linker,
}

/// A linker for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linker {
    /// The toolchain's own choice.
    Default,
    /// A program of this machine.
    Program {
        /// Its name.
        name: &'static str,
        /// What rustc calls its command line.
        flavor: &'static str,
    },
}

/// What a search came upon that found no toolchain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// No toolchain compiles for the target; those that were looked at.
    Compiler(Vec<String>),
    /// One compiles, and nothing links.
    Linker,
}

/// Finds a toolchain for `target`, looking from `folder`, whose files may name one.
///
/// # Errors
/// What is missing.
pub fn find_toolchain(target: &str, folder: &Path) -> Result<Toolchain, Missing> {
    let candidates: Vec<Candidate> = [("cargo", "rustc"), ("/usr/bin/cargo", "/usr/bin/rustc")]
        .into_iter()
        .filter_map(|(cargo, rustc)| Candidate::ask(cargo, rustc, folder))
        .collect();
    let installed = candidates.iter().find(|candidate| candidate.has(target)).map(|it| (it, false));
    let from_sources = || candidates.iter().find(|it| it.has_sources()).map(|it| (it, true));
    let chosen = installed.or_else(|| if is_bare(target) { from_sources() } else { None });
    let Some((candidate, from_sources)) = chosen else {
        return Err(Missing::Compiler(candidates.into_iter().map(|candidate| candidate.version).collect()));
    };
    let linker = candidate.linker(target).ok_or(Missing::Linker)?;
    let (cargo, rustc) = (candidate.cargo.into(), candidate.rustc.into());
    Ok(Toolchain { cargo, rustc, from_sources, linker })
}

/// What to install so that this machine builds for `target`.
pub fn advice(target: &str) -> String {
    let debian = match (is_bare(target), target) {
        (true, _) if target.starts_with("thumb") => {
            "apt-get install --no-install-recommends rustc-web cargo-web rust-web-src binutils-arm-none-eabi"
        }
        (true, _) => "apt-get install --no-install-recommends rustc-web cargo-web rust-web-src lld",
        (false, AARCH64) => {
            "dpkg --add-architecture arm64 && apt-get update && apt-get install --no-install-recommends rustc-web \
             cargo-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
        }
        _ => return format!("With rustup: rustup target add {target}"),
    };
    let linker = if target == AARCH64 {
        format!(", and a cross linker: aarch64-linux-gnu-gcc, or the one that {} names", linker_variable(target))
    } else {
        String::new()
    };
    format!("With rustup: rustup target add {target}{linker}\nOn Debian:   {debian}")
}

const AARCH64: &str = "aarch64-unknown-linux-gnu";

/// Whether programs for `target` run without an operating system.
fn is_bare(target: &str) -> bool {
    target.contains("-none-")
}

/// A toolchain that is there.
struct Candidate {
    cargo: &'static str,
    rustc: &'static str,
    version: String,
    host: String,
    sysroot: PathBuf,
}

impl Candidate {
    fn ask(cargo: &'static str, rustc: &'static str, folder: &Path) -> Option<Self> {
        let says = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).current_dir(folder).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        says(cargo, &["--version"])?;
        let about = says(rustc, &["-vV"])?;
        let host = about.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
        let version = about.lines().next().unwrap_or_default().to_owned();
        let sysroot = says(rustc, &["--print", "sysroot"])?.into();
        Some(Self { cargo, rustc, version, host, sysroot })
    }

    fn has(&self, target: &str) -> bool {
        self.sysroot.join("lib/rustlib").join(target).join("lib").is_dir()
    }

    fn has_sources(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file()
    }

    fn linker(&self, target: &str) -> Option<Linker> {
        let is_chosen = env::var_os(linker_variable(target)).is_some_and(|linker| !linker.is_empty());
        if target == self.host || is_chosen {
            return Some(Linker::Default);
        }
        if is_bare(target) {
            // The linker that these targets ask for comes with rustup's toolchains.
            let bundled = self.sysroot.join("lib/rustlib").join(&self.host).join("bin/rust-lld");
            if bundled.with_extension(env::consts::EXE_EXTENSION).is_file() || is_on_path("rust-lld") {
                return Some(Linker::Default);
            }
        }
        let known: &[(&'static str, &'static str)] = match target {
            AARCH64 => &[("aarch64-linux-gnu-gcc", "gcc")],
            _ if is_bare(target) && target.starts_with("thumb") => &[("arm-none-eabi-ld", "ld"), ("ld.lld", "ld.lld")],
            _ if is_bare(target) => &[("ld.lld", "ld.lld")],
            _ => return Some(Linker::Default),
        };
        let found = known.iter().find(|(name, _)| is_on_path(name))?;
        Some(Linker::Program { name: found.0, flavor: found.1 })
    }
}

/// The variable by which a user names cargo a linker.
fn linker_variable(target: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace(['-', '.'], "_"))
}

/// Whether a program of this name is on the path.
pub(super) fn is_on_path(program: &str) -> bool {
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(&name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_target_and_both_ways() {
        for (target, debian) in [("thumbv7em-none-eabihf", "rust-web-src"), (AARCH64, "libstd-rust-web-dev:arm64")] {
            let advice = advice(target);
            assert!(advice.contains(&format!("rustup target add {target}")) && advice.contains(debian), "{advice}");
        }
        assert!(!advice("riscv64gc-unknown-linux-gnu").contains("Debian"));
        assert!(advice("riscv32imac-unknown-none-elf").contains("lld"));
        assert!(advice(AARCH64).contains("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER"));
    }

    #[test]
    fn this_machine_builds_for_itself_and_not_for_nothing() {
        let here = Path::new(".");
        let Some(own) = Candidate::ask("cargo", "rustc", here) else {
            println!("SKIPPED: no cargo and rustc on the path");
            return;
        };
        let found = find_toolchain(&own.host, here).expect("the toolchain that built this test");
        assert_eq!((found.from_sources, found.linker), (false, Linker::Default));
        let missing = find_toolchain("thumbv9-imaginary-linux", here);
        assert!(matches!(missing, Err(Missing::Compiler(looked_at)) if looked_at[0].starts_with("rustc ")));
    }
}
