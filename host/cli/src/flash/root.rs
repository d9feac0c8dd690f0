//! A Linux board's root file system that is mounted on this machine: a card in a reader, or an image. Nothing of it is
//! run; what needs a running board is done by the board when it starts.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{
    error::FlashError,
    linux::{ENABLED, MANIFEST, MANIFEST_FOLDER, PROGRAM, Questions, SERVICE, UNIT, leftover},
    plan::{Action, Put, digest},
    program::Machine,
    site::Site,
    survey::{Found, Privilege, Survey},
};

/// A mounted root file system.
#[derive(Debug)]
pub struct Root {
    root: PathBuf,
}

impl Root {
    /// The root file system mounted at `root`.
    ///
    /// # Errors
    /// When the directory is absent or does not look like a root file system.
    pub fn new(root: &Path) -> Result<Self, FlashError> {
        for lacks in ["etc", "usr"] {
            if !root.join(lacks).is_dir() {
                return Err(FlashError::NotARoot { root: root.into(), lacks });
            }
        }
        let root = root.canonicalize().map_err(|source| FlashError::Read { path: root.into(), source })?;
        Ok(Self { root })
    }

    /// Where a path of the board is here. The directories that exist on the way must not lead out of the root.
    fn inside(&self, path: &str) -> Result<PathBuf, FlashError> {
        let here = self.root.join(path.trim_start_matches('/'));
        let mut above = here.parent();
        while let Some(folder) = above.filter(|folder| folder.symlink_metadata().is_err()) {
            above = folder.parent();
        }
        let outside = || FlashError::Outside { root: self.root.clone(), path: path.into() };
        let real = above.and_then(|folder| folder.canonicalize().ok()).ok_or_else(outside)?;
        if real.starts_with(&self.root) { Ok(here) } else { Err(outside()) }
    }

    /// The nearest directory above a path that exists.
    fn above(&self, path: &str) -> Result<PathBuf, FlashError> {
        let mut folder = self.inside(path)?;
        while !folder.is_dir() && folder.pop() {}
        Ok(folder)
    }

    /// What a board's processor is, from a program that every system has.
    fn machine(&self) -> Option<String> {
        ["usr/bin/env", "bin/sh", "bin/busybox", "sbin/init"].iter().find_map(|program| {
            let program = self.root.join(program).canonicalize().ok().filter(|path| path.starts_with(&self.root))?;
            let mut head = Vec::new();
            fs::File::open(program).ok()?.take(64).read_to_end(&mut head).ok()?;
            Machine::of_program(&head).map(|machine| machine.to_string())
        })
    }

    fn failed(&self, what: &str, path: &str, needed: u64, source: &io::Error) -> FlashError {
        let place = self.place();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                FlashError::Full { place, path: path.into(), needed, free: None }
            }
            io::ErrorKind::ReadOnlyFilesystem => FlashError::ReadOnly { place, path: path.into() },
            io::ErrorKind::PermissionDenied => FlashError::Denied { place, path: path.into() },
            _ => FlashError::Step { place, what: what.into(), message: source.to_string() },
        }
    }

    fn put(&self, what: &str, put: &Put) -> Result<(), FlashError> {
        let path = self.inside(&put.path)?;
        let failed = |source: io::Error| self.failed(what, &put.path, put.content.bytes().len() as u64, &source);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(failed)?;
        let new = Unfinished(self.inside(&leftover(&put.path))?);
        new.write(put).map_err(failed)?;
        if fs::read(&new.0).map(|bytes| digest(&bytes)).map_err(failed)? != put.content.sha256() {
            return Err(FlashError::Damaged { place: self.place(), path: put.path.clone() });
        }
        fs::rename(&new.0, &path).map_err(failed)?;
        kurtoscope_host::files::sync_directory(folder);
        Ok(())
    }
}

/// A file beside its place; removed unless it was renamed.
struct Unfinished(PathBuf);

impl Unfinished {
    fn write(&self, put: &Put) -> io::Result<()> {
        // What an interrupted run left; removed, never written through, because it may be a link.
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::File::create_new(&self.0)?;
        file.write_all(put.content.bytes())?;
        #[cfg(unix)]
        if let Some(mode) = put.mode {
            use std::os::unix::fs::PermissionsExt;
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        file.sync_all()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Renamed, it is gone already; and where removing fails there is nothing better to do.
        let _ = fs::remove_file(&self.0);
    }
}

impl Site for Root {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn survey(&mut self, questions: &Questions) -> Result<Survey, FlashError> {
        let mut files = std::collections::BTreeMap::new();
        let mut read_only = std::collections::BTreeMap::new();
        for path in questions.all() {
            let folder = self.above(path)?;
            if is_read_only(&folder) {
                read_only.insert(path.to_owned(), folder.display().to_string());
            }
            let here = self.inside(path)?;
            match fs::read(&here) {
                Ok(content) => {
                    let (sha256, bytes) = (digest(&content), content.len() as u64);
                    let is_text = questions.texts.iter().any(|text| text == path);
                    let text = is_text.then(|| String::from_utf8(content).ok()).flatten();
                    files.insert(path.to_owned(), Found { sha256, bytes, text });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(FlashError::Denied { place: self.place(), path: path.into() });
                }
                Err(source) => return Err(FlashError::Read { path: here, source }),
            }
        }
        let systemd =
            ["usr/lib/systemd/systemd", "lib/systemd/systemd"].iter().any(|path| self.root.join(path).exists());
        let enabled = self.inside(ENABLED)?.symlink_metadata().is_ok();
        let free_bytes = free_bytes(&self.above(PROGRAM)?);
        Ok(Survey {
            machine: self.machine(),
            privilege: Privilege::Root,
            systemd,
            free_bytes,
            read_only,
            files,
            enabled,
            ..Survey::default()
        })
    }

    fn carry_out(&mut self, what: &str, action: &Action) -> Result<(), FlashError> {
        let delete = |path: &str| match fs::remove_file(self.inside(path)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(what, path, 0, &error)),
            _ => Ok(()),
        };
        match action {
            Action::Put(put) => self.put(what, put),
            Action::Delete { path } => {
                delete(path)?;
                if path == MANIFEST {
                    // Stays where something else is in it.
                    let _ = fs::remove_dir(self.inside(MANIFEST_FOLDER)?);
                }
                Ok(())
            }
            Action::Enable => {
                let link = self.inside(ENABLED)?;
                if link.symlink_metadata().is_ok() {
                    return Ok(());
                }
                let made = link.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| symlink(UNIT, &link));
                made.map_err(|error| self.failed(what, ENABLED, 0, &error))
            }
            Action::Disable => delete(ENABLED),
            // systemd reads all units when the board starts.
            Action::Start | Action::Forget => Ok(()),
        }
    }

    fn shown(&self, action: &Action) -> String {
        let here = |path: &str| self.root.join(path.trim_start_matches('/')).display().to_string();
        match action {
            Action::Put(put) => format!("write {}, read it back, rename it into place", here(&put.path)),
            Action::Delete { path } => format!("delete {}", here(path)),
            Action::Enable => format!("link {} to {UNIT}", here(ENABLED)),
            Action::Disable => format!("delete {}", here(ENABLED)),
            Action::Start => format!("nothing: {SERVICE} is started when the board starts"),
            Action::Forget => format!("nothing: {SERVICE} is forgotten when the board starts"),
        }
    }
}

#[cfg(unix)]
fn symlink(target: &str, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symlink(_: &str, _: &Path) -> io::Result<()> {
    Err(io::Error::other("this system has no symbolic links as Linux has them; flash over ssh"))
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(folder).ok()?;
    system.f_bavail.checked_mul(system.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

#[cfg(unix)]
fn is_read_only(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|system| system.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

#[cfg(not(unix))]
fn is_read_only(_: &Path) -> bool {
    false
}
