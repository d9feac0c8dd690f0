//! What follows from the name of one file: whether it stays inside its folder, and which part of a split model it is.

use std::path::{Component, Path};

/// Whether a path from a file or a server stays inside the folder that it is joined to. Links are followed: the Hugging
/// Face cache is made of them.
pub(crate) fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', '\0'])
        && Path::new(path).components().all(|component| matches!(component, Component::Normal(_)))
}

/// The parts of a name `STEM-00001-of-00003.EXTENSION`, which numbers one file of a split model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartName<'a> {
    /// What comes before the numbers, without the folder.
    pub(crate) stem: &'a str,
    /// The file's number; most tools count from 1, some from 0.
    pub(crate) number: u64,
    /// Files of the model.
    pub(crate) total: u64,
    /// What follows the last dot.
    pub(crate) extension: &'a str,
}

impl<'a> PartName<'a> {
    /// Parses the name of a file, behind whatever folders; `None` where it is not numbered.
    pub(crate) fn parse(name: &'a str) -> Option<Self> {
        let path = Path::new(name);
        let (rest, total) = path.file_stem()?.to_str()?.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        Some(Self { stem, number: number.parse().ok()?, total: total.parse().ok()?, extension })
    }

    /// Whether it numbers a GGUF file, which is no model without its other parts.
    pub(crate) fn is_gguf(&self) -> bool {
        self.extension.eq_ignore_ascii_case("gguf")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_names() {
        let part = |stem, number, total| Some(PartName { stem, number, total, extension: "bin" });
        assert_eq!(PartName::parse("model-00002-of-00010.bin"), part("model", 2, 10));
        assert_eq!(PartName::parse("folder/a-b-1-of-2.bin"), part("a-b", 1, 2));
        assert_eq!(PartName::parse("model.bin"), None);
        assert_eq!(PartName::parse("one-of-us.bin"), None);
    }

    #[test]
    fn paths_stay_inside() {
        for inside in ["model-00001-of-00002.safetensors", "part/a.safetensors", "a..b"] {
            assert!(is_inside(inside), "{inside}");
        }
        for outside in ["", ".", "..", "../a", "a/../../b", "/etc/passwd", "./../a", "..\\a", "C:\\a", "a\0b"] {
            assert!(!is_inside(outside), "{outside}");
        }
    }
}
