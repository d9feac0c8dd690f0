//! Tells formats apart by the first bytes of a file, whatever its name.

use std::fmt;

/// What a file is, where that can be told; safetensors have no mark that they could be told by.
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
    /// A PyTorch checkpoint in its zip container.
    PyTorch,
    /// A Python pickle: a PyTorch checkpoint of before version 1.6, or another one.
    Pickle,
    /// A NumPy archive.
    Npz,
    /// A NumPy array.
    Npy,
    /// Some other zip archive.
    Zip,
    /// A GGUF file.
    Gguf,
    /// An ONNX model.
    Onnx,
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
    /// A tar archive.
    Tar,
}

impl FileKind {
    /// What to do about it, as the end of a sentence.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::GitLfsPointer => "fetch the file itself: git lfs pull",
            Self::Html | Self::Xml | Self::Json | Self::Text => {
                "a server may have answered with a message instead of the file: look inside and download it again"
            }
            Self::Gzip | Self::Zstd | Self::Tar | Self::Zip => "unpack it and name the file inside",
            Self::PyTorch | Self::Pickle => "load it in PyTorch and save its state_dict as safetensors",
            Self::Npz | Self::Npy | Self::Gguf | Self::Onnx | Self::Hdf5 | Self::TfLite | Self::CTranslate2 => {
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
            Self::PyTorch => "a PyTorch checkpoint (zip)",
            Self::Pickle => "a Python pickle (an old PyTorch checkpoint?)",
            Self::Npz => "a NumPy archive (npz)",
            Self::Npy => "a NumPy array (npy)",
            Self::Zip => "a zip archive",
            Self::Gguf => "a GGUF model",
            Self::Onnx => "an ONNX model",
            Self::Hdf5 => "an HDF5 file",
            Self::TfLite => "a TensorFlow Lite model",
            Self::CTranslate2 => "a CTranslate2 model",
            Self::Gzip => "a gzip-compressed file",
            Self::Zstd => "a zstd-compressed file",
            Self::Tar => "a tar archive",
        })
    }
}

/// What the file that begins with `bytes` is; `None` where it may be safetensors, or nothing known.
pub fn sniff(bytes: &[u8]) -> Option<FileKind> {
    // A plausible header length followed by an object: safetensors, however damaged behind.
    if bytes.get(5..9).is_some_and(|tail| tail == [0, 0, 0, b'{']) {
        return None;
    }
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let kind = if at(0, b"version https://git-lfs") {
        FileKind::GitLfsPointer
    } else if at(0, b"GGUF") {
        FileKind::Gguf
    } else if at(0, b"PK\x03\x04") {
        zip_kind(bytes)
    } else if at(0, b"\x93NUMPY") {
        FileKind::Npy
    } else if at(0, b"\x89HDF\r\n") {
        FileKind::Hdf5
    } else if at(4, b"TFL3") {
        FileKind::TfLite
    } else if at(0, &[0x1f, 0x8b]) {
        FileKind::Gzip
    } else if at(0, &[0x28, 0xb5, 0x2f, 0xfd]) {
        FileKind::Zstd
    } else if at(257, b"ustar") {
        FileKind::Tar
    } else if at(0, &[0x80]) && bytes.get(1).is_some_and(|protocol| (2..=5).contains(protocol)) {
        FileKind::Pickle
    } else if super::onnx::is_model(bytes) {
        FileKind::Onnx
    } else if is_ctranslate2(bytes) {
        FileKind::CTranslate2
    } else {
        return text_kind(bytes);
    };
    Some(kind)
}

/// Tells the archives apart by the name of their first member.
fn zip_kind(bytes: &[u8]) -> FileKind {
    let length = match bytes.get(26..28) {
        Some(&[low, high]) => usize::from(u16::from_le_bytes([low, high])),
        _ => 0,
    };
    let name = bytes.get(30..).map_or(&[][..], |rest| &rest[..length.min(rest.len())]);
    if name.ends_with(b".npy") {
        FileKind::Npz
    } else if [&b"/data.pkl"[..], b"/version", b"/byteorder", b"/.format_version", b"constants.pkl"]
        .iter()
        .any(|member| name.ends_with(member))
    {
        FileKind::PyTorch
    } else {
        FileKind::Zip
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_beginnings() {
        let zip = |name: &[u8]| {
            let mut file = b"PK\x03\x04".to_vec();
            file.resize(26, 0);
            file.extend((name.len() as u16).to_le_bytes());
            file.extend([0, 0]);
            file.extend(name);
            file
        };
        let mut tar = vec![0; 257];
        tar.extend(b"ustar\0");
        // Cut at 256 bytes, this ends in the middle of a character.
        let long = format!("a{}", "ö".repeat(200));
        let cases: [(&[u8], Option<FileKind>); 24] = [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", Some(FileKind::GitLfsPointer)),
            (b"\n <!DOCTYPE html><title>404", Some(FileKind::Html)),
            (b"<?xml version=\"1.0\"?>", Some(FileKind::Xml)),
            (b"{\"error\": 1}", Some(FileKind::Json)),
            (b"Entry not found", Some(FileKind::Text)),
            (long.as_bytes(), Some(FileKind::Text)),
            (b"text until \xff\xff", None),
            (b"text with \0", None),
            (&zip(b"archive/data.pkl"), Some(FileKind::PyTorch)),
            (&zip(b"weight.npy"), Some(FileKind::Npz)),
            (&zip(b"readme"), Some(FileKind::Zip)),
            (b"PK\x03\x04", Some(FileKind::Zip)),
            (b"\x80\x02\x8a\x0a\x6c\xfc", Some(FileKind::Pickle)),
            (b"GGUF\x03\0\0\0", Some(FileKind::Gguf)),
            (b"\x08\x07\x12\x07pytorch\x1a", Some(FileKind::Onnx)),
            (b"\x93NUMPY\x01\0", Some(FileKind::Npy)),
            (b"\x1f\x8b\x08", Some(FileKind::Gzip)),
            (&tar, Some(FileKind::Tar)),
            (b"\x06\0\0\0\x10\0TransformerSpec\0\x07\0\0\0", Some(FileKind::CTranslate2)),
            (b"\x06\0\0\0\x10\0TransformerSpe", None),
            (b"\x08\x07\x12\x00\x00\x00\x00\x00{\"a\":", None),
            (b"", None),
            (b"\0\0\0\0", None),
            (b"\x08\x00", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(sniff(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
