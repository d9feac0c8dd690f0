//! Data in files beside the model.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::fault::OnnxFault;
use super::proto::StringEntry;
use crate::source::MappedFile;
use crate::source::is_inside;

/// The files beside the model that were opened so far.
#[derive(Debug)]
pub(super) struct ExternalFiles {
    folder: PathBuf,
    files: HashMap<String, MappedFile>,
}

impl ExternalFiles {
    /// For a model at this path.
    pub(super) fn new(model: &Path) -> Self {
        Self { folder: model.parent().unwrap_or(Path::new("")).to_owned(), files: HashMap::new() }
    }

    /// The file and the bytes there that hold `needed` bytes of a tensor, which begins at `offset` in the model.
    pub(super) fn find(
        &mut self,
        tensor: &str,
        offset: u64,
        entries: &[StringEntry],
        needed: u64,
    ) -> Result<(MappedFile, Range<usize>), OnnxFault> {
        let wrong = |detail: String| OnnxFault::ExternalEntry { tensor: tensor.to_owned(), offset, detail };
        let value = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
        let number = |key: &str| {
            let parsed = value(key).map(|text| text.parse::<u64>().map_err(|_| wrong(format!("a {key} of {text:?}"))));
            parsed.transpose()
        };
        let location = value("location").ok_or_else(|| wrong("no location".to_owned()))?;
        // Exporters write "./weights.bin" as well.
        let location = location.strip_prefix("./").unwrap_or(location);
        if !is_inside(location) {
            return Err(OnnxFault::ExternalOutside { tensor: tensor.to_owned(), location: location.to_owned() });
        }
        let start = number("offset")?.unwrap_or(0);
        if let Some(length) = number("length")?
            && length != needed
        {
            return Err(wrong(format!("a length of {length}, type and shape take {needed}")));
        }
        let file = match self.files.get(location) {
            Some(file) => file.clone(),
            None => {
                let file = MappedFile::open(&self.folder.join(location)).map_err(|error| OnnxFault::ExternalFile {
                    tensor: tensor.to_owned(),
                    detail: error.to_string(),
                })?;
                self.files.insert(location.to_owned(), file.clone());
                file
            }
        };
        let end = start.saturating_add(needed);
        let length = file.bytes().len() as u64;
        if end > length {
            let (tensor, file) = (tensor.to_owned(), file.path().to_owned());
            return Err(OnnxFault::ExternalRange { tensor, file, start, end, length });
        }
        // Inside a file that is mapped: no loss.
        Ok((file, start as usize..end as usize))
    }
}
