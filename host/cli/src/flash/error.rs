//! Why a Linux board could not be flashed. Every message states what was found, what it should be, and what to do next.

use std::{io, path::PathBuf};

use super::program::Machine;

/// Why a Linux board could not be flashed, or its software not be removed.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The name of the host could be taken for an option of ssh.
    #[error("\"{0}\" is not a host; write --to USER@HOST, or a name from your ssh configuration")]
    Host(String),
    /// The firmware file cannot be read.
    #[error("{path}: the firmware cannot be read")]
    Firmware {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The firmware file is no program for Linux.
    #[error("{path}: this is no program for Linux; give --firmware the file `kurtoscope-device`, built for {expected}")]
    NotAProgram {
        /// The file.
        path: PathBuf,
        /// What the board runs.
        expected: Machine,
    },
    /// The firmware file is for another processor.
    #[error(
        "{path}: this program is for {found}, and the board {board} is {expected}; build it with `kurtoscope boards build \
         {board}`"
    )]
    OtherProgram {
        /// The file.
        path: PathBuf,
        /// The board.
        board: String,
        /// What the file is for.
        found: Machine,
        /// What the board runs.
        expected: Machine,
    },
    /// There is no ssh on this machine.
    #[error("ssh cannot be started: {0}; install the OpenSSH client, or use --root with the board's card in a reader")]
    NoSsh(io::Error),
    /// ssh did not get through.
    #[error("{place}: ssh did not get through: {message}; try `ssh {place} true` until it works without a question")]
    Refused {
        /// The host.
        place: String,
        /// The message of ssh.
        message: String,
    },
    /// Something else than the answers to our questions came back.
    #[error("{place}: the shell there did not answer the first questions ({message}); is it Linux with a POSIX shell?")]
    NoShell {
        /// The host.
        place: String,
        /// What came instead.
        message: String,
    },
    /// The host or file system is that of another machine.
    #[error("{place}: its processor is {found}, and the board {board} is {expected}; is it the right one?")]
    OtherMachine {
        /// The host or directory.
        place: String,
        /// The board that was named.
        board: String,
        /// What was found.
        found: String,
        /// What the board is.
        expected: Machine,
    },
    /// No way to become root on the board.
    #[error(
        "{place}: this needs root there, and sudo asks for a password; log in as root, or allow sudo without a password for \
         the time of flashing (`sudo visudo`: USER ALL=(ALL) NOPASSWD: ALL)"
    )]
    NotRoot {
        /// The host.
        place: String,
    },
    /// No systemd on the board.
    #[error("{place}: there is no systemd; --no-service copies the program alone, which is enough for exec: links")]
    NoSystemd {
        /// The host or directory.
        place: String,
    },
    /// The board's file system is full.
    #[error(
        "{place}: its file system is full{}: {path} needs {} KiB; make room there and run the same command again",
        free.map(|bytes| format!(" ({} KiB free)", bytes >> 10)).unwrap_or_default(),
        needed.div_ceil(1024)
    )]
    Full {
        /// The host or directory.
        place: String,
        /// The file that does not fit.
        path: String,
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that are free, where that is known.
        free: Option<u64>,
    },
    /// The board's file system cannot be written.
    #[error(
        "{place}: {path} is on a read-only file system; mount it writable (`mount -o remount,rw …`), and look for the reason: \
         a card that fails turns read-only"
    )]
    ReadOnly {
        /// The host or directory.
        place: String,
        /// The file or directory.
        path: String,
    },
    /// The copy differs from the original.
    #[error(
        "{place}: {path} arrived damaged or cut off, and was not put in its place; run the same command again, and if that \
         repeats, distrust the card"
    )]
    Damaged {
        /// The host or directory.
        place: String,
        /// The file.
        path: String,
    },
    /// The program does not run on the board.
    #[error(
        "{place}: the program does not run there ({message}), and what was there before is kept; it needs a 64-bit \
         system with glibc 2.34 or newer"
    )]
    DoesNotRun {
        /// The host.
        place: String,
        /// Its message.
        message: String,
    },
    /// The program is another version, or none of ours.
    #[error(
        "{place}: the firmware calls itself \"{found}\", and this is kurtoscope {expected}; host and board need the same \
         version"
    )]
    OtherVersion {
        /// The host or device.
        place: String,
        /// As it calls itself.
        found: String,
        /// This program's version.
        expected: String,
    },
    /// The service ends soon after it was started.
    #[error(
        "{place}: everything is in its place, but the service ends soon after it is started ({}). Once that is put right, \
         run the same command again; without USB, --no-service is enough for exec: links",
        message.trim_start_matches("kurtoscope-device: ").trim_end_matches('.')
    )]
    Service {
        /// The host.
        place: String,
        /// Its last message.
        message: String,
    },
    /// The mounted root file system is not this user's to change.
    #[error(
        "{place}: this user may not change {path}; run the same command as root: sudo \"$(command -v kurtoscope)\" flash … \
         --firmware FILE, with the file that `kurtoscope boards build` gives"
    )]
    Denied {
        /// The directory.
        place: String,
        /// The file.
        path: String,
    },
    /// A step failed for another reason.
    #[error("{place}: cannot {what}: {message}; the steps before it are done, and the same command goes on from there")]
    Step {
        /// The host or directory.
        place: String,
        /// The step.
        what: String,
        /// The message of the command that failed.
        message: String,
    },
    /// The directory does not look like a root file system.
    #[error(
        "{root}: this is not the root file system of a board: it has no {lacks}; mount the board's card and name that"
    )]
    NotARoot {
        /// The directory.
        root: PathBuf,
        /// What a root file system has.
        lacks: &'static str,
    },
    /// A path of the board leads out of its root file system.
    #[error(
        "{root}: {path} leads out of it through a symbolic link, and would be changed on this machine; nothing was"
    )]
    Outside {
        /// The directory.
        root: PathBuf,
        /// The board's path.
        path: String,
    },
    /// A file of the mounted root file system cannot be read.
    #[error("{path}: it cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The board does not answer after flashing.
    #[error(
        "{url}: flashed, but the board did not answer within {seconds} s ({last}). Look at it with {hint}, or ask it again \
         with the same command"
    )]
    NeverAnswers {
        /// The device.
        url: String,
        /// How long was tried.
        seconds: f64,
        /// What the last attempt found.
        last: String,
        /// How to look at it.
        hint: String,
    },
    /// No serial port appears after flashing.
    #[error(
        "flashed, but no serial port appeared within {seconds} s. Look at {hint}; where the board answers on another link, name \
         it with --device"
    )]
    NoPort {
        /// How long was looked.
        seconds: f64,
        /// How to look at the board.
        hint: String,
    },
    /// Another board answers.
    #[error(
        "{place}: flashed, but a board answers there that calls itself \"{found}\", not \"{expected}\"; name the right one \
         with --device, or give this one its own firmware"
    )]
    OtherBoard {
        /// The device.
        place: String,
        /// As it calls itself.
        found: String,
        /// The board that was flashed.
        expected: String,
    },
    /// The board's program ends instead of answering.
    #[error(
        "{url}: flashed, but the program ends instead of answering ({last}); see its output above. If it found no \
         graphics adapter, install the board's Vulkan driver, or flash with --engine cpu. Look at it with {hint}"
    )]
    Ends {
        /// The device.
        url: String,
        /// What was found.
        last: String,
        /// How to look at it.
        hint: String,
    },
    /// The board answers, and cannot be worked with.
    #[error("flashed, but the board cannot be worked with")]
    Answers(#[source] kurtoscope_host::analysis::DeviceFailure),
    /// The device where the board is to answer cannot be prepared.
    #[error("flashed, but the board cannot be asked")]
    Board(#[from] crate::board::BoardError),
    /// Several boards appeared.
    #[error("{} boards appeared after flashing: {}; choose with --device", found.len(), found.join(", "))]
    SeveralBoards {
        /// Their URLs.
        found: Vec<String>,
    },
}
