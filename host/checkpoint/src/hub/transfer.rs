//! Downloads one file from the hub into the cache: resumes where an earlier attempt stopped, and keeps only what has the
//! right hash.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest, Sha256};
use ureq::http::{StatusCode, header};

use super::Progress;
use super::cache::RepositoryCache;
use super::client::{Client, Metadata, backoff, is_transient, text};
use super::error::HubError;

/// Failures in a row, without a byte more between them, after which a download is given up.
const FAILURES: u32 = 5;

/// Bytes read at once.
const BUFFER: usize = 1 << 20;

/// A file to download.
#[derive(Debug)]
pub(super) struct RemoteFile {
    /// Its name in the repository.
    pub(super) name: String,
    /// What the hub says about it.
    pub(super) metadata: Metadata,
}

/// Why an attempt ended early.
enum AttemptError {
    /// Another attempt may go on.
    Transient(String),
    /// No attempt will do better.
    Permanent(HubError),
}

impl From<HubError> for AttemptError {
    fn from(error: HubError) -> Self {
        Self::Permanent(error)
    }
}

/// Downloads a file into its blob. `before` counts the bytes of the files before it, for the progress.
pub(super) fn transfer(
    client: &Client<'_>,
    cache: &RepositoryCache,
    commit: &str,
    wanted: &RemoteFile,
    before: u64,
    progress: &mut dyn Progress,
) -> Result<(), HubError> {
    let RemoteFile { name, metadata: Metadata { etag, size } } = wanted;
    let blob = cache.blob(etag);
    let _lock = cache.lock(etag, progress)?;
    // The process that held the lock may have downloaded it.
    if length(&blob) == Some(*size) {
        return Ok(());
    }
    let mut part = PartialFile::open(&partial(&blob), *size, cache)?;
    let mut was_here = part.length;
    loop {
        receive(client, commit, wanted, &mut part, |at| progress.at(before + at, name))?;
        match part.check(name, etag) {
            // What an earlier run left, maybe of another tool that does not write front to back, may be the cause.
            Err(HubError::Checksum { .. }) if was_here > 0 => {
                part.restart()?;
                was_here = 0;
            }
            Err(error) => {
                drop(part);
                let partial = partial(&blob);
                return fs::remove_file(&partial).map_err(HubError::cache(&partial)).and(Err(error));
            }
            Ok(()) => break,
        }
    }
    part.file.sync_all().map_err(HubError::cache(&part.path))?;
    fs::rename(&part.path, &blob).map_err(HubError::cache(&blob))
}

/// The file that a download is written to; other tools go on with the same one.
pub(super) fn partial(blob: &Path) -> PathBuf {
    let mut path = blob.as_os_str().to_owned();
    path.push(".incomplete");
    path.into()
}

/// How long a file is, if there is one.
pub(super) fn length(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len())
}

/// Attempts until all bytes are there.
fn receive(
    client: &Client<'_>,
    commit: &str,
    wanted: &RemoteFile,
    part: &mut PartialFile<'_>,
    mut at: impl FnMut(u64),
) -> Result<(), HubError> {
    let mut failures = 0;
    let mut best = part.length;
    while part.length < part.size {
        let detail = match attempt(client, commit, wanted, part, &mut at) {
            Ok(()) => String::from("the connection was closed early"),
            Err(AttemptError::Transient(detail)) => detail,
            Err(AttemptError::Permanent(error)) => return Err(error),
        };
        if part.length > best {
            (best, failures) = (part.length, 0);
        } else {
            failures += 1;
        }
        if part.length == part.size {
            break;
        }
        if failures == FAILURES {
            let (received, size) = (part.length, part.size);
            return Err(HubError::Interrupted { file: wanted.name.clone(), received, size, detail });
        }
        thread::sleep(backoff(failures));
    }
    Ok(())
}

/// Asks once for what is missing and writes what comes.
fn attempt(
    client: &Client<'_>,
    commit: &str,
    wanted: &RemoteFile,
    part: &mut PartialFile<'_>,
    at: &mut dyn FnMut(u64),
) -> Result<(), AttemptError> {
    let answer =
        client.bytes(commit, &wanted.name, part.length).map_err(|error| AttemptError::Transient(error.to_string()))?;
    match answer.status() {
        StatusCode::PARTIAL_CONTENT if range_start(&answer) == Some(part.length) => {}
        // The server does not do ranges, or not this one: all over again.
        StatusCode::OK => part.restart()?,
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            part.restart()?;
            return Err(AttemptError::Transient("the server sent another range than was asked for".into()));
        }
        status if is_transient(status) => return Err(AttemptError::Transient(format!("the server answered {status}"))),
        _ => {
            let url = client.address(commit, &wanted.name);
            return Err(client.refusal(&url, &answer, Some(&wanted.name)).into());
        }
    }
    // A server may send less of a range than was asked for; the rest is asked for next.
    let is_part = answer.status() == StatusCode::PARTIAL_CONTENT;
    let rest = text(answer.headers(), header::CONTENT_LENGTH.as_str()).and_then(|rest| rest.parse::<u64>().ok());
    if let Some(found) = rest.map(|rest| part.length.saturating_add(rest))
        && (found > part.size || found < part.size && !is_part)
    {
        part.restart()?;
        return Err(AttemptError::Permanent(HubError::Size { file: wanted.name.clone(), expected: part.size, found }));
    }
    let mut body = answer.into_body().into_reader();
    let mut buffer = vec![0; BUFFER];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                let found = part.length + count as u64;
                if found > part.size {
                    part.restart()?;
                    return Err(AttemptError::Permanent(HubError::Size {
                        file: wanted.name.clone(),
                        expected: part.size,
                        found,
                    }));
                }
                part.append(buffer.get(..count).unwrap_or_default())?;
                at(part.length);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(AttemptError::Transient(error.to_string())),
        }
    }
}

/// The position of the first byte sent, from `Content-Range: bytes FIRST-LAST/SIZE`.
fn range_start(answer: &ureq::http::Response<ureq::Body>) -> Option<u64> {
    let range = text(answer.headers(), header::CONTENT_RANGE.as_str())?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// A file that is not complete yet, hashed as it grows.
struct PartialFile<'a> {
    path: PathBuf,
    file: File,
    length: u64,
    size: u64,
    hasher: Sha256,
    cache: &'a RepositoryCache,
}

impl<'a> PartialFile<'a> {
    /// Opens what is there, or begins anew.
    fn open(path: &Path, size: u64, cache: &'a RepositoryCache) -> Result<Self, HubError> {
        let failed = || HubError::cache(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(HubError::cache(folder))?;
        }
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(failed())?;
        let mut part = Self { path: path.to_owned(), file, length: 0, size, hasher: Sha256::new(), cache };
        let there = part.file.metadata().map_err(failed())?.len();
        if there > size {
            part.restart()?;
        }
        let mut buffer = vec![0; BUFFER];
        loop {
            match part.file.read(&mut buffer).map_err(failed())? {
                0 => return Ok(part),
                count => {
                    part.hasher.update(buffer.get(..count).unwrap_or_default());
                    part.length += count as u64;
                }
            }
        }
    }

    fn restart(&mut self) -> Result<(), HubError> {
        (self.length, self.hasher) = (0, Sha256::new());
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map(drop).map_err(HubError::cache(&self.path))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file.write_all(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => HubError::DiskFull {
                folder: self.cache.root().to_owned(),
                needed: self.size - self.length,
                free: self.cache.free_bytes().unwrap_or(0),
            },
            _ => HubError::cache(&self.path)(error),
        })?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Compares with what the hub reported. Small files are named after git's hash, and only their length is compared.
    fn check(&self, name: &str, etag: &str) -> Result<(), HubError> {
        if etag.len() != 64 || !etag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(());
        }
        let found: String = self.hasher.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if found.eq_ignore_ascii_case(etag) {
            return Ok(());
        }
        Err(HubError::Checksum { file: name.into(), expected: etag.into(), found })
    }
}
