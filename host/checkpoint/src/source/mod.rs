//! Files as every format reads them: mapped into memory, found inside one folder, and the small JSON files beside weights.
//! Independent of formats and models.

mod error;
pub(crate) mod json;
mod mapped;
mod name;

pub use error::SourceError;
pub(crate) use mapped::{Access, MappedFile, unreadable};
pub(crate) use name::{PartName, is_inside};
