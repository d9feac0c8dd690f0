//! The USB volume that a UF2 boot loader shows: finding it, writing a file to it, and finding out whether it was taken.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// The file by which such a volume is known.
const INFO: &str = "INFO_UF2.TXT";
/// The name under which the firmware is written; short, because some boot loaders know no other.
const NAME: &str = "FIRMWARE.UF2";
/// How long a boot loader takes to restart after the last block.
const SETTLING: Duration = Duration::from_secs(3);
/// Bytes of one write.
const WRITE_BYTES: usize = 1 << 16;

/// Why a UF2 volume was not written.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// There is none.
    #[error(
        "no board in boot mode is attached: no volume with {INFO} is mounted. {enter} If its volume is there and not mounted, \
         mount it and name it with --volume"
    )]
    None {
        /// How the board gets into boot mode, in words.
        enter: String,
    },
    /// There are several.
    #[error("{} boards in boot mode are attached: {}; unplug all but one, or choose with --volume", found.len(), list(found))]
    Several {
        /// Their volumes.
        found: Vec<PathBuf>,
    },
    /// The volume is none of a boot loader's.
    #[error("{path}: this is no volume of a UF2 boot loader: it has no {INFO}")]
    NotABootLoader {
        /// The directory.
        path: PathBuf,
    },
    /// The volume is that of another board.
    #[error("{path}: its boot loader calls itself \"{found}\", and this firmware is for \"{expected}\"")]
    OtherBoard {
        /// The volume.
        path: PathBuf,
        /// As it calls itself.
        found: String,
        /// As the board's description says.
        expected: String,
    },
    /// The volume is full.
    #[error("{path}: the volume is full after {written} of {total} bytes; remove what was copied there before")]
    Full {
        /// The volume.
        path: PathBuf,
        /// Bytes that went.
        written: usize,
        /// Bytes of the firmware.
        total: usize,
    },
    /// The volume cannot be written.
    #[error("{path}: the volume is mounted read-only; mount it writable and run the same command again")]
    ReadOnly {
        /// The volume.
        path: PathBuf,
    },
    /// The volume is another user's.
    #[error(
        "{path}: this user may not write to the volume; mount it for yourself (`mount -o uid=$(id -u) …`) or run the same \
         command as root"
    )]
    Denied {
        /// The volume.
        path: PathBuf,
    },
    /// The volume went away too early, or gave an error.
    #[error(
        "{path}: writing ended after {written} of {total} bytes ({error}); what the board held before may be gone. Bring it \
         into boot mode and run the same command again"
    )]
    Interrupted {
        /// The volume.
        path: PathBuf,
        /// Bytes that the board has for certain.
        written: usize,
        /// Bytes of the firmware.
        total: usize,
        /// The system's reason.
        error: io::Error,
    },
    /// The volume does not hold what was written.
    #[error(
        "{path}: the volume gives back something else than was written, from byte {at} of {total} on; the boot loader did not \
         take it. Bring the board into boot mode and run the same command again"
    )]
    Differs {
        /// The volume.
        path: PathBuf,
        /// The first byte that differs.
        at: usize,
        /// Bytes of the firmware.
        total: usize,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What is known after a firmware was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The boot loader took the last block and restarted, as it does with a whole firmware; nothing is left to read back.
    Restarted,
    /// The volume is still there and gives back the same bytes.
    ReadBack,
}

/// The volume to write to: `given`, or the only one that is mounted and calls itself `board_id`.
///
/// # Errors
/// When there is none, there are several, or it is another board's.
pub fn find(given: Option<&Path>, board_id: &str, enter: &str) -> Result<PathBuf, VolumeError> {
    let of_this_board = |path: &Path| identity(path).is_none_or(|found| found == board_id);
    let other = |path: PathBuf| {
        let found = identity(&path).unwrap_or_default();
        Err(VolumeError::OtherBoard { path, found, expected: board_id.into() })
    };
    if let Some(path) = given {
        if !path.join(INFO).is_file() {
            return Err(VolumeError::NotABootLoader { path: path.into() });
        }
        return if of_this_board(path) { Ok(path.into()) } else { other(path.into()) };
    }
    let all: Vec<PathBuf> = mounts().into_iter().filter(|path| path.join(INFO).is_file()).collect();
    let (mut found, others): (Vec<PathBuf>, Vec<PathBuf>) = all.into_iter().partition(|path| of_this_board(path));
    match (found.len(), others.into_iter().next()) {
        (1, _) => Ok(found.swap_remove(0)),
        (0, Some(path)) => other(path),
        (0, None) => Err(VolumeError::None { enter: enter.into() }),
        _ => Err(VolumeError::Several { found }),
    }
}

/// How a boot loader calls its board.
fn identity(volume: &Path) -> Option<String> {
    let text = fs::read_to_string(volume.join(INFO)).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Board-ID:")).map(|id| id.trim().to_owned())
}

/// Writes a firmware to a volume and finds out what became of it.
///
/// # Errors
/// When the volume is full, read-only, gone too early, or does not hold what was written.
pub fn write(volume: &Path, firmware: &[u8]) -> Result<Taken, VolumeError> {
    let path = volume.join(NAME);
    let total = firmware.len();
    let mut written = 0;
    let Err(source) = write_parts(&path, firmware, &mut written) else {
        return if goes_away(volume) { Ok(Taken::Restarted) } else { read_back(volume, &path, firmware) };
    };
    // A boot loader that has its last block restarts at once, and the last piece is never acknowledged.
    let is_last = total - written <= WRITE_BYTES;
    if is_last && may_be_a_restart(source.kind()) && goes_away(volume) {
        return Ok(Taken::Restarted);
    }
    let path = volume.to_owned();
    Err(match source.kind() {
        io::ErrorKind::StorageFull => VolumeError::Full { path, written, total },
        io::ErrorKind::ReadOnlyFilesystem => VolumeError::ReadOnly { path },
        io::ErrorKind::PermissionDenied => VolumeError::Denied { path },
        _ => VolumeError::Interrupted { path, written, total, error: source },
    })
}

/// Whether a volume that goes away can be why writing failed in this way.
fn may_be_a_restart(error: io::ErrorKind) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    !matches!(error, StorageFull | ReadOnlyFilesystem | PermissionDenied)
}

/// Whether the volume goes away while its boot loader has time to restart.
fn goes_away(volume: &Path) -> bool {
    let start = Instant::now();
    while volume.join(INFO).is_file() {
        if start.elapsed() >= SETTLING {
            return false;
        }
        thread::sleep(Duration::from_millis(100));
    }
    true
}

/// Compares what a volume that stayed gives back.
fn read_back(volume: &Path, path: &Path, firmware: &[u8]) -> Result<Taken, VolumeError> {
    let back = read_from_the_device(path).unwrap_or_default();
    if back == firmware {
        return Ok(Taken::ReadBack);
    }
    if !volume.join(INFO).is_file() {
        return Ok(Taken::Restarted);
    }
    let at = back.iter().zip(firmware).take_while(|(back, there)| back == there).count();
    Err(VolumeError::Differs { path: volume.into(), at, total: firmware.len() })
}

/// Writes piece by piece, each of which is on the device before it counts as written.
fn write_parts(path: &Path, firmware: &[u8], written: &mut usize) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    for piece in firmware.chunks(WRITE_BYTES) {
        file.write_all(piece)?;
        file.sync_all()?;
        *written += piece.len();
    }
    Ok(())
}

/// Reads a file without the system's copy of what was just written, where the system can be told to forget it.
fn read_from_the_device(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok(bytes)
}

/// Where removable volumes are mounted. Kinds of file systems that no boot loader shows are passed over: looking into those
/// of a network can take for ever.
#[cfg(target_os = "linux")]
fn mounts() -> Vec<PathBuf> {
    const KINDS: [&str; 5] = ["vfat", "msdos", "exfat", "fuseblk", "tmpfs"];
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let of_kind = fields.filter(|fields| fields.get(2).is_some_and(|kind| KINDS.contains(kind)));
    of_kind.filter_map(|fields| fields.get(1).map(|path| PathBuf::from(unescaped(path)))).collect()
}

/// Spaces and the like stand in the table of mounts as their octal code.
#[cfg(target_os = "linux")]
fn unescaped(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(path.to_owned(), |path, (code, letter)| path.replace(code, letter))
}

#[cfg(target_os = "macos")]
fn mounts() -> Vec<PathBuf> {
    let entries = fs::read_dir("/Volumes").into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(windows)]
fn mounts() -> Vec<PathBuf> {
    (b'D'..=b'Z').map(|letter| PathBuf::from(format!("{}:\\", char::from(letter)))).collect()
}

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
fn mounts() -> Vec<PathBuf> {
    Vec::new()
}
