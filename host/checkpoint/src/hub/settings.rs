//! Where the hub is, where its cache is and which token to send: the environment variables that Hugging Face's own tools know.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::HubError;

/// The hub where `HF_ENDPOINT` names no other.
const ENDPOINT: &str = "https://huggingface.co";

/// How to reach the hub and where to keep what comes from it.
#[derive(Clone)]
pub struct Settings {
    /// The hub's address without a slash at the end: `HF_ENDPOINT`.
    pub endpoint: String,
    /// The folder of the cache: `HF_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME/huggingface/hub` or
    /// `~/.cache/huggingface/hub`.
    pub cache: PathBuf,
    /// The access token: `HF_TOKEN`, else the content of `HF_TOKEN_PATH` or of `token` in `HF_HOME`.
    pub token: Option<String>,
    /// Take everything from the cache: `HF_HUB_OFFLINE`.
    pub offline: bool,
}

impl Settings {
    /// What the environment says.
    ///
    /// # Errors
    /// [`HubError::Setting`] where a variable cannot be understood, or no folder for the cache can be found.
    pub fn from_env() -> Result<Self, HubError> {
        Self::from(|name| std::env::var_os(name))
    }

    fn from(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        // An empty variable is taken for an unset one.
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| get(name).and_then(|value| value.into_string().ok());
        let on = |name: &str| {
            text(name).is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "on" | "yes" | "true"))
        };
        let user = get("HOME").or_else(|| get("USERPROFILE")).map(PathBuf::from);
        let path = |name: &str| get(name).map(|value| expand(value.into(), user.as_deref()));
        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| user.as_ref().map(|user| user.join(".cache").join("huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| home.as_ref().map(|home| home.join("hub")))
            .ok_or_else(|| HubError::Setting {
                name: "HOME",
                detail: "is not set, so there is no folder for the cache; set HF_HOME to one".into(),
            })?;
        let token_file = |path: PathBuf| fs::read_to_string(path).ok();
        let token = text("HF_TOKEN")
            .or_else(|| text("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| path("HF_TOKEN_PATH").and_then(token_file))
            .or_else(|| home.map(|home| home.join("token")).and_then(token_file))
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(HubError::Setting {
                name: "HF_TOKEN",
                detail: "(or the token's file) holds characters that no token has; copy it again from \
                         https://huggingface.co/settings/tokens"
                    .into(),
            });
        }
        Ok(Self {
            endpoint: endpoint(text("HF_ENDPOINT"))?,
            cache,
            token,
            offline: on("HF_HUB_OFFLINE") || on("TRANSFORMERS_OFFLINE"),
        })
    }
}

fn endpoint(named: Option<String>) -> Result<String, HubError> {
    let endpoint = named.map_or_else(|| ENDPOINT.to_owned(), |named| named.trim_end_matches('/').to_owned());
    let is_address = ["https://", "http://"].iter().any(|scheme| {
        endpoint.strip_prefix(scheme).is_some_and(|host| !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic()))
    });
    if is_address {
        return Ok(endpoint);
    }
    Err(HubError::Setting {
        name: "HF_ENDPOINT",
        detail: format!("is {endpoint:?}, which is no address; write https://HOST, or unset it for {ENDPOINT}"),
    })
}

/// Replaces a leading `~` as Hugging Face's tools do: a variable set in a service file has seen no shell.
fn expand(path: PathBuf, user: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), user) {
        (Ok(rest), Some(user)) => user.join(rest),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, HubError> {
        Settings::from(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    fn cache(variables: &[(&str, &str)]) -> PathBuf {
        settings(variables).expect("valid").cache
    }

    #[test]
    fn the_cache_is_where_other_tools_look() {
        assert_eq!(cache(&[("HOME", "/u")]), Path::new("/u/.cache/huggingface/hub"));
        assert_eq!(cache(&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        let home = [("HOME", "/u"), ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/h")];
        assert_eq!(cache(&home), Path::new("/u/h/hub"));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c"), ("HF_TOKEN", "")]), Path::new("/c"));
        assert!(matches!(settings(&[]), Err(HubError::Setting { name: "HOME", .. })));
    }

    #[test]
    fn the_token_is_taken_from_the_environment_before_files() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("token"), "hf_file\n").expect("written");
        let home = ("HF_HOME", folder.path().to_str().expect("UTF-8"));
        assert_eq!(settings(&[home]).expect("valid").token.as_deref(), Some("hf_file"));
        assert_eq!(settings(&[home, ("HF_TOKEN", " hf_env ")]).expect("valid").token.as_deref(), Some("hf_env"));
        assert_eq!(settings(&[("HF_HOME", "/nowhere")]).expect("valid").token, None);
        assert!(matches!(settings(&[home, ("HF_TOKEN", "a\nb")]), Err(HubError::Setting { name: "HF_TOKEN", .. })));
    }

    #[test]
    fn switches_and_addresses() {
        let with = |name, value| settings(&[("HOME", "/u"), (name, value)]);
        assert!(with("HF_HUB_OFFLINE", "1").expect("valid").offline);
        assert!(with("HF_HUB_OFFLINE", "True").expect("valid").offline);
        assert!(!with("HF_HUB_OFFLINE", "0").expect("valid").offline);
        assert_eq!(with("HF_ENDPOINT", "http://mirror:80/").expect("valid").endpoint, "http://mirror:80");
        assert!(matches!(with("HF_ENDPOINT", "mirror"), Err(HubError::Setting { name: "HF_ENDPOINT", .. })));
    }
}
