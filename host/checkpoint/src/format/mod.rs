//! The file formats of weights. Each is a module of the same files: `mod.rs` finds a file by its content and lists
//! its tensors, `fault.rs` lists what can be wrong, `tests.rs` and `fixtures/` check both. Which files make up a
//! model, and what their tensors mean, is decided elsewhere.

mod cache;
mod fault;
mod flax;
mod gguf;
mod kind;
mod numpy;
mod onnx;
mod pytorch;
mod safetensors;
mod tensor;
mod zip;

pub use fault::FormatFault;
pub use kind::FileKind;
pub use tensor::GraphUse;

pub(crate) use fault::{FormatError, Shape};
pub(crate) use onnx::without_derivation;
pub(crate) use tensor::{ComponentEntry, ElementSource, FileContents, PackedNode, TensorData, TensorEntry};

use crate::source::MappedFile;
use safetensors::Safetensors;

/// A file format of weights. A new one is a module with an implementation, and a line in [`FORMATS`].
pub(crate) trait Format: Sync {
    /// Its name in reports: `safetensors`, `gguf`, ….
    fn name(&self) -> &'static str;

    /// Whether a file with this content is of the format, however damaged behind its first bytes. `file` is the whole
    /// content; an implementation looks at a bounded part of it.
    fn recognises(&self, file: &[u8]) -> bool;

    /// Lists the tensors of a recognised file and checks everything that its headers say. Elements are read later.
    ///
    /// # Errors
    /// A header that is damaged, or that claims more than the file holds; a kind of file that only looked like the format.
    fn open(&self, file: &MappedFile) -> Result<FileContents, FormatError>;
}

/// All formats, in the order in which they are asked.
static FORMATS: [&dyn Format; 7] =
    [&Safetensors, &gguf::Gguf, &numpy::Npz, &numpy::Npy, &pytorch::PyTorch, &flax::Flax, &onnx::Onnx];

/// The format of a file, by its content alone.
///
/// # Errors
/// The kind of a file that is recognisably something else.
pub(crate) fn recognise(file: &[u8]) -> Result<&'static dyn Format, FileKind> {
    match FORMATS.iter().find(|format| format.recognises(file)) {
        Some(format) => Ok(*format),
        // Safetensors have no magic number: what is nothing else is read as one, so that the message names what is wrong.
        None => FileKind::of(file).map_or(Ok(&Safetensors), Err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty zip archive's first member with this name.
    fn zip(name: &[u8]) -> Vec<u8> {
        let mut file = b"PK\x03\x04".to_vec();
        file.resize(26, 0);
        file.extend((name.len() as u16).to_le_bytes());
        file.extend([0, 0]);
        file.extend(name);
        file
    }

    #[test]
    fn formats_by_their_first_bytes() {
        let mut tar = vec![0; 257];
        tar.extend(b"ustar\0");
        let cases: [(&[u8], &str); 20] = [
            (&zip(b"archive/data.pkl"), "pytorch"),
            (&zip(b"weight.npy"), "npz"),
            (&zip(b"readme"), "pytorch"),
            (b"PK\x03\x04", "pytorch"),
            (b"\x80\x02\x8a\x0a\x6c\xfc", "pytorch"),
            (&tar, "pytorch"),
            (b"GGUF\x03\0\0\0", "gguf"),
            (b"\x93NUMPY\x01\0", "npy"),
            (b"\x08\x07\x12\x07pytorch\x1a", "onnx"),
            (b"\x81\xa5model\x81", "flax"),
            (b"\xde\0\x01\xa1w\xc7", "flax"),
            // A map of numbers by name may be anything that MessagePack is used for.
            (b"\x81\xa1w\x01", "safetensors"),
            (b"\x80", "safetensors"),
            // A plausible length and an opening brace go before everything else.
            (b"\x08\x07\x12\x00\x00\x00\x00\x00{\"a\":", "safetensors"),
            (b"text until \xff\xff", "safetensors"),
            (b"text with \0", "safetensors"),
            (b"\x06\0\0\0\x10\0TransformerSpe", "safetensors"),
            (b"", "safetensors"),
            (b"\0\0\0\0", "safetensors"),
            (b"\x08\x00", "safetensors"),
        ];
        for (file, expected) in cases {
            assert_eq!(recognise(file).map(Format::name), Ok(expected), "{}", file.escape_ascii());
        }
    }

    #[test]
    fn files_that_are_something_else() {
        // Cut at 256 bytes, this ends in the middle of a character.
        let long = format!("a{}", "ö".repeat(200));
        let cases: [(&[u8], FileKind); 8] = [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", FileKind::GitLfsPointer),
            (b"\n <!DOCTYPE html><title>404", FileKind::Html),
            (b"<?xml version=\"1.0\"?>", FileKind::Xml),
            (b"{\"error\": 1}", FileKind::Json),
            (b"Entry not found", FileKind::Text),
            (long.as_bytes(), FileKind::Text),
            (b"\x1f\x8b\x08", FileKind::Gzip),
            (b"\x06\0\0\0\x10\0TransformerSpec\0\x07\0\0\0", FileKind::CTranslate2),
        ];
        for (file, expected) in cases {
            assert_eq!(recognise(file).map(Format::name), Err(expected), "{}", file.escape_ascii());
        }
    }
}
