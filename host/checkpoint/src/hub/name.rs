//! What a user calls a model on the hub: `hf:ORGANISATION/NAME[/FILE][@REVISION]`.

use std::fmt;
use std::str::FromStr;

/// How every such name begins.
pub const PREFIX: &str = "hf:";

/// The branch that is meant where none is named.
const DEFAULT_REVISION: &str = "main";

/// The most characters the hub allows in a repository's name.
const LONGEST: usize = 96;

/// A model on the hub.
///
/// ```
/// use kurtoscope_checkpoint::hub::HubModel;
///
/// let model: HubModel = "hf:facebook/opt-125m".parse().unwrap();
/// assert_eq!((model.repository.as_str(), model.revision.as_str()), ("facebook/opt-125m", "main"));
/// let model: HubModel = "hf:org/name/q4/model.gguf@v1.0".parse().unwrap();
/// assert_eq!((model.file.as_deref(), model.revision.as_str()), (Some("q4/model.gguf"), "v1.0"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubModel {
    /// `organisation/name`; a few old models have no organisation.
    pub repository: String,
    /// The file of weights to take, where the user named one.
    pub file: Option<String>,
    /// A branch, a tag or a commit.
    pub revision: String,
}

/// Why a text names no model on the hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: {reason}; write hf:ORGANISATION/NAME, with /FILE or @REVISION behind it if need be")]
pub struct NameError {
    text: String,
    reason: &'static str,
}

impl FromStr for HubModel {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = |reason| NameError { text: text.into(), reason };
        let rest = text.strip_prefix(PREFIX).ok_or_else(|| wrong("does not begin with hf:"))?;
        let (path, revision) = rest.split_once('@').unwrap_or((rest, DEFAULT_REVISION));
        let mut parts = path.splitn(3, '/');
        let first = parts.next().unwrap_or_default();
        let repository = parts.next().map_or_else(|| first.to_owned(), |second| format!("{first}/{second}"));
        let file = parts.next().map(str::to_owned);
        if repository.len() > LONGEST {
            return Err(wrong("a repository's name has at most 96 characters"));
        }
        if !repository.split('/').all(is_name) {
            return Err(wrong("a repository's name consists of letters, digits, '.', '-' and '_'"));
        }
        if file.as_deref().is_some_and(|file| !is_inside(file)) {
            return Err(wrong("the file is not inside the repository"));
        }
        if !is_revision(revision) {
            return Err(wrong("the revision behind '@' is no branch, tag or commit"));
        }
        Ok(Self { repository, file, revision: revision.into() })
    }
}

impl fmt::Display for HubModel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", self.repository)?;
        if let Some(file) = &self.file {
            write!(formatter, "/{file}")?;
        }
        if self.revision != DEFAULT_REVISION {
            write!(formatter, "@{}", self.revision)?;
        }
        Ok(())
    }
}

impl HubModel {
    /// The same repository and revision with a file named.
    pub(super) fn with_file(&self, file: &str) -> Self {
        Self { file: Some(file.into()), ..self.clone() }
    }
}

/// Whether a part of a repository's name can be one. The cache joins the parts with `--`, so no part may hold that.
fn is_name(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !part.is_empty() && part.bytes().all(allowed) && !part.contains("..") && !part.contains("--")
}

/// Revisions become file names in the cache and part of addresses.
fn is_revision(revision: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/+".contains(&byte);
    is_inside(revision) && revision.bytes().all(allowed)
}

/// Whether a path is that of a file in a repository: it stays inside the folder that it is joined to, and has one
/// spelling.
pub(super) fn is_inside(path: &str) -> bool {
    crate::source::is_inside(path) && path.split('/').all(|part| !part.is_empty())
}

/// Whether a revision is a commit and so can never mean anything else.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let parsed = |text: &str| text.parse::<HubModel>().map(|model| (model.repository, model.file, model.revision));
        let expected = |repository: &str, file: Option<&str>, revision: &str| {
            Ok((repository.to_owned(), file.map(str::to_owned), revision.to_owned()))
        };
        assert_eq!(parsed("hf:gpt2"), expected("gpt2", None, "main"));
        assert_eq!(parsed("hf:facebook/opt-125m@refs/pr/3"), expected("facebook/opt-125m", None, "refs/pr/3"));
        assert_eq!(parsed("hf:o/n/a/b.gguf"), expected("o/n", Some("a/b.gguf"), "main"));
        assert_eq!(parsed("hf:o/n/b.gguf@v1"), expected("o/n", Some("b.gguf"), "v1"));
    }

    #[test]
    fn what_would_leave_the_cache_or_the_address_is_refused() {
        for text in [
            "hf:",
            "hf:/n",
            "hf:o/",
            "hf:o/n/",
            "hf:../n",
            "hf:o/..",
            "hf:o/n--m",
            "hf:o/n?x",
            "hf:o/n/../x",
            "hf:o/n//x",
            "hf:o/n@",
            "hf:o/n@../x",
            "hf:o/n@/x",
            "hf:o/n@a b",
            "o/n",
        ] {
            assert!(text.parse::<HubModel>().is_err(), "{text}");
        }
        assert!(format!("hf:o/{}", "n".repeat(95)).parse::<HubModel>().is_err());
    }

    #[test]
    fn names_are_written_as_they_are_read() {
        for text in ["hf:gpt2", "hf:o/n@v1", "hf:o/n/a/b.gguf", "hf:o/n/b.gguf@refs/pr/1"] {
            assert_eq!(text.parse::<HubModel>().map(|model| model.to_string()).as_deref(), Ok(text));
        }
    }
}
