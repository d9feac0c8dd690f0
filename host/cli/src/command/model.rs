//! What MODEL may be on the command line: a path, or the name of a model on the hub.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use clap::builder::{OsStringValueParser, TypedValueParser};

use super::progress::Shown;
use kurtoscope_checkpoint::{
    Checkpoint,
    hub::{self, HubModel, NameError, Settings},
};

/// A model as the user named it.
#[derive(Debug, Clone)]
pub(super) enum ModelArgument {
    /// A file or a folder.
    Path(PathBuf),
    /// A model on the hub.
    Hub {
        /// What it is.
        model: HubModel,
        /// How it was written.
        typed: String,
    },
}

impl ModelArgument {
    /// Reads the argument. A file whose name begins with `hf:` can be had as `./hf:…`.
    pub(super) fn parser() -> impl TypedValueParser<Value = Self> {
        OsStringValueParser::new().try_map(|argument: OsString| Self::from_typed(&argument))
    }

    /// What an argument names.
    ///
    /// # Errors
    /// When it begins like a model on the hub and is no such name.
    pub(super) fn from_typed(argument: &OsStr) -> Result<Self, NameError> {
        match argument.to_str() {
            Some(typed) if typed.starts_with(hub::PREFIX) => {
                typed.parse().map(|model| Self::Hub { model, typed: typed.into() })
            }
            _ => Ok(Self::Path(argument.into())),
        }
    }

    /// Opens the model, after downloading it if need be.
    pub(super) fn open(&self, quiet: bool) -> Result<Checkpoint, Box<dyn std::error::Error + Send + Sync>> {
        match self {
            Self::Path(path) => Ok(Checkpoint::open(path)?),
            Self::Hub { model, typed } => {
                let fetched = hub::fetch(model, &Settings::from_env()?, &mut Shown::new(quiet))?;
                let mut checkpoint = Checkpoint::open(&fetched.path)?;
                checkpoint.source.clone_from(typed);
                checkpoint.revision = Some(fetched.commit);
                Ok(checkpoint)
            }
        }
    }
}
