//! Files that are not weights in a format that is read, by their first bytes and whatever their name: so that a message can
//! say what they are.

use std::fmt;

/// What a file is that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// The pointer that git-lfs leaves in place of a large file.
    GitLfsPointer,
    /// A web page.
    Html,
    /// An XML document, which storage services answer errors with.
    Xml,
    /// A JSON document.
    Json,
    /// Some other text.
    Text,
    /// A zip archive that is no checkpoint.
    Zip,
    /// An HDF5 file, as Keras writes.
    Hdf5,
    /// A TensorFlow Lite model.
    TfLite,
    /// A CTranslate2 model, which is called `model.bin` as some PyTorch checkpoints are.
    CTranslate2,
    /// A gzip-compressed file.
    Gzip,
    /// A zstd-compressed file.
    Zstd,
    /// A tar archive that is no checkpoint.
    Tar,
}

impl FileKind {
    /// The kind of a file that no format recognises; `None` for nothing known.
    pub(super) fn of(file: &[u8]) -> Option<Self> {
        let at = |offset: usize, magic: &[u8]| file.get(offset..).is_some_and(|rest| rest.starts_with(magic));
        Some(if at(0, b"version https://git-lfs") {
            Self::GitLfsPointer
        } else if at(0, b"\x89HDF\r\n") {
            Self::Hdf5
        } else if at(4, b"TFL3") {
            Self::TfLite
        } else if at(0, &[0x1f, 0x8b]) {
            Self::Gzip
        } else if at(0, &[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstd
        } else if is_ctranslate2(file) {
            Self::CTranslate2
        } else {
            return text_kind(file);
        })
    }

    /// What to do about it, as the end of a sentence.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::GitLfsPointer => "fetch the file itself: git lfs pull",
            Self::Html | Self::Xml | Self::Json | Self::Text => {
                "a server may have answered with a message instead of the file: look inside and download it again"
            }
            Self::Gzip | Self::Zstd | Self::Tar | Self::Zip => "unpack it and name the file inside",
            Self::Hdf5 | Self::TfLite | Self::CTranslate2 => {
                "this version does not read that format: download or convert the model as safetensors"
            }
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::GitLfsPointer => "a git-lfs pointer",
            Self::Html => "a web page (HTML)",
            Self::Xml => "an XML document",
            Self::Json => "a JSON document",
            Self::Text => "a text file",
            Self::Zip => "a zip archive",
            Self::Hdf5 => "an HDF5 file",
            Self::TfLite => "a TensorFlow Lite model",
            Self::CTranslate2 => "a CTranslate2 model",
            Self::Gzip => "a gzip-compressed file",
            Self::Zstd => "a zstd-compressed file",
            Self::Tar => "a tar archive",
        })
    }
}

/// A small version number in 32 bits, then the name of a specification: its length in 16 bits, ASCII letters, a zero.
fn is_ctranslate2(bytes: &[u8]) -> bool {
    let [1..=64, 0, 0, 0, length @ 5..=64, 0, rest @ ..] = bytes else { return false };
    let name = rest.get(..usize::from(*length)).and_then(<[u8]>::split_last);
    name.is_some_and(|(end, name)| *end == 0 && name.iter().all(u8::is_ascii_alphanumeric))
}

/// What kind of text the file is, if it is text.
fn text_kind(bytes: &[u8]) -> Option<FileKind> {
    let head = bytes.get(..256).unwrap_or(bytes);
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let readable = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The 256th byte may be in the middle of a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    if readable.is_empty() || readable.chars().any(|char| char.is_control() && !char.is_ascii_whitespace()) {
        return None;
    }
    let opens = |with: &[u8]| head.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    Some(if opens(b"<!doctype html") || opens(b"<html") || opens(b"<head") {
        FileKind::Html
    } else if opens(b"<?xml") {
        FileKind::Xml
    } else if opens(b"{") || opens(b"[") {
        FileKind::Json
    } else {
        FileKind::Text
    })
}
