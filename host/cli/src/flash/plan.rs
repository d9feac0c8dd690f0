//! What flashing a Linux board does, as data: a list of steps that can be printed, carried out over ssh or in a mounted
//! root file system, and repeated. How a step is carried out is in `ssh` and `root`.

use std::fmt;

use sha2::{Digest, Sha256};

use kurtoscope_host::number;

/// The bytes of a file, with the digest by which they are known again.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    bytes: Vec<u8>,
    sha256: String,
}

impl Content {
    /// Content of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let sha256 = digest(&bytes);
        Self { bytes, sha256 }
    }

    /// A placeholder for content that is not built yet: in a dry run, which builds nothing.
    pub fn unbuilt() -> Self {
        Self { bytes: Vec::new(), sha256: "SHA256_OF_THE_FIRMWARE".into() }
    }

    /// How large it is, in words.
    pub fn size(&self) -> String {
        if *self == Self::unbuilt() { "built first".into() } else { number::bytes(self.bytes.len() as u64) }
    }

    /// The content as text, where it is short enough to be shown to people.
    pub fn text(&self) -> Option<&str> {
        const LONGEST: usize = 1 << 14;
        std::str::from_utf8(&self.bytes).ok().filter(|text| (1..LONGEST).contains(&text.len()))
    }

    /// The bytes themselves.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their SHA-256, in small hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes, {})", self.bytes.len(), self.sha256)
    }
}

/// The SHA-256 of these bytes, in small hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file that is put in its place whole: written beside it, checked, then renamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Where, from the board's root.
    pub path: String,
    /// What.
    pub content: Content,
    /// The permissions; as the file system gives them where there is none, because FAT knows none.
    pub mode: Option<u32>,
    /// What the file has to print when it is started with `--version`, before it may take its place. It is not asked in a
    /// mounted root file system, whose programs need not run here.
    pub version: Option<String>,
}

/// One thing that is done to a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Put a file in its place.
    Put(Put),
    /// Remove a file that may be absent.
    Delete {
        /// Where, from the board's root.
        path: String,
    },
    /// Have the service started at every boot.
    Enable,
    /// Start the service now, or start it once more, and see that it comes up.
    Start,
    /// Have the service stopped now and started no more.
    Disable,
    /// Have systemd forget a unit whose file is gone.
    Forget,
}

impl Action {
    /// The content of the file that it puts in its place.
    pub fn content(&self) -> Option<&Content> {
        if let Self::Put(put) = self { Some(&put.content) } else { None }
    }
}

/// A step: what is done, in words that a user reads, and the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done: `put /usr/local/bin/kurtoscope-device (3.1 MB)`.
    pub what: String,
    /// The action.
    pub action: Action,
}

/// The steps, in their order. Any step may be the last that was carried out: the list that is made next time takes up there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlashPlan {
    /// What is to be done; nothing on a board that is up to date.
    pub steps: Vec<Step>,
    /// What the user has to know or do besides.
    pub notes: Vec<String>,
}

impl FlashPlan {
    /// Adds a step.
    pub fn push(&mut self, what: impl Into<String>, action: Action) {
        self.steps.push(Step { what: what.into(), action });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        // FIPS 180-4, examples.
        assert_eq!(Content::new("abc").sha256(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
