//! Asks the hub: what a repository holds, what a file is, and its bytes.

use std::time::Duration;

use serde::Deserialize;
use ureq::Agent;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{HeaderMap, Response, StatusCode, header};

use super::error::HubError;
use super::name::{HubModel, is_commit, is_inside};
use super::settings::Settings;

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(15);

/// How often a request is sent that fails for transient reasons.
const ATTEMPTS: u32 = 3;

/// The longest listing that is read. The largest repositories have a hundred thousand files.
const LONGEST_LISTING: u64 = 64 << 20;

/// How many relative redirects are followed for one file.
const REDIRECTS: usize = 5;

/// What the hub says about a repository at a revision.
#[derive(Debug)]
pub(super) struct Listing {
    /// The commit.
    pub(super) commit: String,
    /// Its files.
    pub(super) files: Vec<ListedFile>,
}

/// A file as it is listed. Mirrors may leave out all but the name.
#[derive(Debug, Deserialize)]
pub(super) struct ListedFile {
    #[serde(rename = "rfilename")]
    pub(super) name: String,
    pub(super) size: Option<u64>,
}

/// What the hub says about a file.
#[derive(Debug)]
pub(super) struct Metadata {
    /// The name of its content in the cache: its SHA-256 for large files, git's hash for small ones.
    pub(super) etag: String,
    /// Its length.
    pub(super) size: u64,
}

/// The connection to a hub for one model, with the credentials.
pub(super) struct Client<'a> {
    agent: Agent,
    settings: &'a Settings,
    model: &'a HubModel,
}

type Answer = Response<ureq::Body>;

impl<'a> Client<'a> {
    pub(super) fn new(settings: &'a Settings, model: &'a HubModel) -> Self {
        let config = Agent::config_builder()
            .user_agent(concat!("kurtoscope/", env!("CARGO_PKG_VERSION")))
            // Ranges and lengths are those of the file, not of a compressed form of it.
            .accept_encoding("identity")
            // The hub hands over to storage on other hosts, which must not see the token.
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .http_status_as_error(false)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE));
        Self { agent: config.build().into(), settings, model }
    }

    /// What the repository holds.
    pub(super) fn listing(&self) -> Result<Listing, HubError> {
        #[derive(Deserialize)]
        struct Info {
            sha: String,
            #[serde(default)]
            siblings: Vec<ListedFile>,
        }
        let HubModel { repository, revision, .. } = self.model;
        let endpoint = &self.settings.endpoint;
        let url = format!("{endpoint}/api/models/{repository}/revision/{}?blobs=true", escaped(revision, false));
        let mut answer = self.with_retries(|| self.send(self.agent.get(&url)))?;
        if answer.status() != StatusCode::OK {
            return Err(self.refusal(&url, &answer, None));
        }
        let invalid = |detail: String| HubError::Answer { url: url.clone(), detail };
        let text = answer.body_mut().with_config().limit(LONGEST_LISTING).read_to_string();
        let text = text.map_err(|error| invalid(error.to_string()))?;
        let info: Info = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        // It becomes the name of a folder.
        if !is_commit(&info.sha) {
            return Err(invalid(format!("{:?} is no commit", info.sha)));
        }
        // And these become paths below it.
        if let Some(outside) = info.siblings.iter().find(|file| !is_inside(&file.name)) {
            return Err(invalid(format!("{:?} is no path inside the repository", outside.name)));
        }
        Ok(Listing { commit: info.sha, files: info.siblings })
    }

    /// What a file is.
    pub(super) fn metadata(&self, commit: &str, name: &str) -> Result<Metadata, HubError> {
        let mut url = self.address(commit, name);
        // What storage on other hosts says about the file is not what the hub calls it, so only redirects within the
        // hub (of renamed repositories) are followed.
        for _ in 0..REDIRECTS {
            let request = || self.agent.head(&url).config().max_redirects(0).build();
            let answer = self.with_retries(|| self.send(request()))?;
            let headers = answer.headers();
            let location = text(headers, header::LOCATION.as_str()).filter(|_| answer.status().is_redirection());
            let linked = headers.contains_key("x-linked-etag");
            match location {
                Some(path) if path.starts_with('/') && !path.starts_with("//") && !linked => {
                    url = format!("{}{path}", origin(&url));
                }
                None if !answer.status().is_success() => return Err(self.refusal(&url, &answer, Some(name))),
                _ => {
                    return read_metadata(headers, location.is_some())
                        .map_err(|detail| HubError::Answer { url, detail });
                }
            }
        }
        Err(HubError::Answer { url, detail: format!("more than {REDIRECTS} redirects") })
    }

    /// The bytes of a file from `start` on; a server may ignore the range.
    pub(super) fn bytes(&self, commit: &str, name: &str, start: u64) -> Result<Answer, ureq::Error> {
        let request = self.agent.get(self.address(commit, name));
        self.send(if start > 0 { request.header(header::RANGE, format!("bytes={start}-")) } else { request })
    }

    /// The error that an answer means. `file` where one was asked for.
    pub(super) fn refusal(&self, url: &str, answer: &Answer, file: Option<&str>) -> HubError {
        let (repository, endpoint) = (self.model.repository.clone(), self.settings.endpoint.clone());
        let revision = self.model.revision.clone();
        let headers = answer.headers();
        let message = text(headers, "x-error-message").unwrap_or_default();
        let status = answer.status();
        match (text(headers, "x-error-code").unwrap_or_default(), status.as_u16()) {
            (_, 401) if message.contains("Invalid credentials") => HubError::TokenRefused { endpoint },
            ("RevisionNotFound", _) => HubError::NoRevision { repository, revision, endpoint },
            ("RepoNotFound", _) => HubError::NoRepository { repository, endpoint },
            ("GatedRepo", status) | (_, status @ 403) => {
                HubError::Gated { repository, endpoint, status, with_token: self.settings.token.is_some() }
            }
            // Without a token, the hub does not say whether a repository exists.
            (_, 401) if file.is_none() => HubError::NoRepository { repository, endpoint },
            (_, 401) => {
                HubError::Gated { repository, endpoint, status: 401, with_token: self.settings.token.is_some() }
            }
            (_, 404) if file.is_none() => HubError::NoRepository { repository, endpoint },
            (_, code) => {
                let reason = status.canonical_reason().unwrap_or_default();
                let detail = if message.is_empty() { reason } else { message }.to_owned();
                HubError::Status { url: url.into(), status: code, detail }
            }
        }
    }

    /// Where a file's bytes are.
    pub(super) fn address(&self, commit: &str, name: &str) -> String {
        format!("{}/{}/resolve/{commit}/{}", self.settings.endpoint, self.model.repository, escaped(name, true))
    }

    fn send(&self, request: ureq::RequestBuilder<ureq::typestate::WithoutBody>) -> Result<Answer, ureq::Error> {
        match &self.settings.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")).call(),
            None => request.call(),
        }
    }

    /// Sends again where the failure may be transient.
    fn with_retries(&self, send: impl Fn() -> Result<Answer, ureq::Error>) -> Result<Answer, HubError> {
        let mut attempt = 1;
        loop {
            match send() {
                Ok(answer) if !is_transient(answer.status()) || attempt == ATTEMPTS => return Ok(answer),
                Err(error) if is_permanent(&error) || attempt == ATTEMPTS => {
                    let detail = error.to_string();
                    return Err(HubError::Unreachable {
                        endpoint: self.settings.endpoint.clone(),
                        detail,
                        cached: false,
                    });
                }
                _ => std::thread::sleep(backoff(attempt)),
            }
            attempt += 1;
        }
    }
}

/// How long to wait after the given number of failures in a row.
pub(super) fn backoff(failures: u32) -> Duration {
    Duration::from_millis(250 << failures.min(6))
}

/// Whether the same request may be answered better in a moment.
pub(super) fn is_transient(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
}

/// Whether nothing listens there, which a second attempt does not change.
fn is_permanent(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        ureq::Error::Timeout(_) | ureq::Error::Protocol(_) => false,
        _ => true,
    }
}

fn read_metadata(headers: &HeaderMap, is_redirect: bool) -> Result<Metadata, String> {
    let etag = text(headers, "x-linked-etag").or_else(|| text(headers, header::ETAG.as_str())).ok_or("no ETag")?;
    let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
    // It becomes a file's name.
    if etag.is_empty() || etag.len() > 128 || !etag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(format!("{etag:?} is no usable ETag"));
    }
    // The length of a redirect is that of its own body.
    let own = text(headers, header::CONTENT_LENGTH.as_str()).filter(|_| !is_redirect);
    let size = text(headers, "x-linked-size").or(own).and_then(|size| size.parse().ok()).ok_or("no length")?;
    Ok(Metadata { etag: etag.into(), size })
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Scheme and host of an address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |slash| host + slash);
    url.get(..end).unwrap_or(url)
}

/// A revision or a path as part of an address.
fn escaped(text: &str, keep_slashes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => escaped.push(char::from(byte)),
            b'/' if keep_slashes => escaped.push('/'),
            _ => escaped += &format!("%{byte:02X}"),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(escaped("refs/pr/1", false), "refs%2Fpr%2F1");
        assert_eq!(escaped("a b/ü.gguf", true), "a%20b/%C3%BC.gguf");
        assert_eq!(origin("http://h:80/a/b"), "http://h:80");
        assert_eq!(origin("https://h"), "https://h");
    }

    #[test]
    fn metadata_of_large_files_is_what_the_link_says() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().expect("a value"));
            }
            headers
        };
        let linked =
            [("etag", "\"s3\""), ("x-linked-etag", "\"abc\""), ("x-linked-size", "7"), ("content-length", "3")];
        let found = read_metadata(&headers(&linked), true).expect("metadata");
        assert_eq!((found.etag.as_str(), found.size), ("abc", 7));
        let small =
            read_metadata(&headers(&[("etag", "W/\"def\""), ("content-length", "3")]), false).expect("metadata");
        assert_eq!((small.etag.as_str(), small.size), ("def", 3));
        assert!(read_metadata(&headers(&[("etag", "\"../x\""), ("content-length", "3")]), false).is_err());
        assert!(read_metadata(&headers(&[("etag", "\"x\""), ("content-length", "3")]), true).is_err());
    }
}
