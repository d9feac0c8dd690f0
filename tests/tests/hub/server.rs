//! A hub on 127.0.0.1 that serves one repository and, where configured, one fault. It notes what it was asked.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use sha2::{Digest, Sha256};

/// The repository's name.
pub const REPOSITORY: &str = "org/tiny";

/// The commit of `main` and of the tag `v1`.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The token that opens a gated repository.
pub const TOKEN: &str = "hf_good";

/// What a stingy storage sends of a range.
pub const LEAST: usize = 10_000;

/// What is wrong with the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Only who sends [`TOKEN`] may read files.
    Gated,
    /// The first download of weights is cut in the middle.
    CutOnce,
    /// As `CutOnce`, and the storage ignores ranges.
    CutOnceWithoutRanges,
    /// As `CutOnce`, and the storage sends [`LEAST`] bytes of a range at a time.
    Stingy,
    /// Half of the weights come, and nothing after that.
    Dies,
    /// The weights' last byte is another one.
    Damaged,
    /// The weights are said to be a byte longer than they are.
    Longer,
    /// The weights are said to be larger than any disk.
    Enormous,
}

/// A running hub; it ends with the test's process.
pub struct Hub {
    pub endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    pub fn start(files: &[(&str, Vec<u8>)], fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let served = Served {
            files: files.iter().map(|(name, bytes)| (String::from(*name), bytes.clone())).collect(),
            fault,
            port,
            was_cut: AtomicBool::new(false),
            requests: Arc::clone(&requests),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away ends its own connection only.
                let _ = served.answer(stream);
            }
        });
        Self { endpoint: format!("http://127.0.0.1:{port}"), requests }
    }

    /// What was asked since the last call: `METHOD PATH [RANGE] [with token]`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The name of content in storage and in the cache.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Served {
    files: Vec<(String, Vec<u8>)>,
    fault: Fault,
    port: u16,
    was_cut: AtomicBool,
    requests: Arc<Mutex<Vec<String>>>,
}

struct Request {
    method: String,
    path: String,
    start: Option<usize>,
    has_token: bool,
}

impl Served {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let request = read(&stream)?;
        let range = request.start.map_or_else(String::new, |start| format!(" from {start}"));
        let token = if request.has_token { " with token" } else { "" };
        let line = format!("{} {}{range}{token}", request.method, request.path);
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        let api = format!("/api/models/{REPOSITORY}/revision/");
        let resolve = format!("/{REPOSITORY}/resolve/{COMMIT}/");
        if let Some(revision) = request.path.strip_prefix(&api) {
            return self.listing(&mut stream, revision.trim_end_matches("?blobs=true"));
        }
        if let Some(name) = request.path.strip_prefix(&resolve) {
            return self.resolve(&mut stream, &request, name);
        }
        if let Some(hash) = request.path.strip_prefix("/storage/") {
            return self.storage(&mut stream, &request, hash);
        }
        let code = "X-Error-Code: RepoNotFound\r\nX-Error-Message: Repository not found\r\n";
        write!(stream, "HTTP/1.1 401 Unauthorized\r\n{code}Content-Length: 0\r\nConnection: close\r\n\r\n")
    }

    fn listing(&self, stream: &mut TcpStream, revision: &str) -> std::io::Result<()> {
        if !["main", "v1", COMMIT].contains(&revision) {
            let code = "X-Error-Code: RevisionNotFound\r\n";
            return write!(stream, "HTTP/1.1 404 Not Found\r\n{code}Content-Length: 0\r\nConnection: close\r\n\r\n");
        }
        let siblings: Vec<_> = self
            .files
            .iter()
            .map(|(name, bytes)| serde_json::json!({ "rfilename": name, "size": bytes.len(), "blobId": "0" }))
            .collect();
        let body = serde_json::json!({ "id": REPOSITORY, "sha": COMMIT, "siblings": siblings }).to_string();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    fn resolve(&self, stream: &mut TcpStream, request: &Request, name: &str) -> std::io::Result<()> {
        if self.fault == Fault::Gated && !request.has_token {
            let code = "X-Error-Code: GatedRepo\r\n";
            return write!(stream, "HTTP/1.1 401 Unauthorized\r\n{code}Content-Length: 0\r\nConnection: close\r\n\r\n");
        }
        let Some((_, bytes)) = self.files.iter().find(|(known, _)| known == name) else {
            let code = "X-Error-Code: EntryNotFound\r\n";
            return write!(stream, "HTTP/1.1 404 Not Found\r\n{code}Content-Length: 0\r\nConnection: close\r\n\r\n");
        };
        if name.ends_with(".json") {
            // Small files are named after git's hash, here any 40 digits of the content's.
            let etag = hash(bytes).get(..40).unwrap_or_default().to_owned();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nX-Repo-Commit: {COMMIT}\r\nETag: \"{etag}\"\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n",
                bytes.len()
            )?;
            return if request.method == "HEAD" { Ok(()) } else { stream.write_all(bytes) };
        }
        let size = match self.fault {
            Fault::Longer => bytes.len() as u64 + 1,
            Fault::Enormous => 1 << 60,
            _ => bytes.len() as u64,
        };
        let hash = hash(bytes);
        // Another host as far as a client can see.
        let location = format!("http://localhost:{}/storage/{hash}", self.port);
        write!(
            stream,
            "HTTP/1.1 302 Found\r\nX-Repo-Commit: {COMMIT}\r\nX-Linked-ETag: \"{hash}\"\r\nX-Linked-Size: {size}\r\n\
             ETag: \"redirect\"\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    }

    fn storage(&self, stream: &mut TcpStream, request: &Request, wanted: &str) -> std::io::Result<()> {
        let Some((_, bytes)) = self.files.iter().find(|(_, bytes)| hash(bytes) == wanted) else {
            return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        };
        let mut bytes = bytes.clone();
        let whole = bytes.len();
        if let (Fault::Damaged, Some(last)) = (self.fault, bytes.last_mut()) {
            *last ^= 1;
        }
        let start = request.start.filter(|_| self.fault != Fault::CutOnceWithoutRanges);
        let mut rest = bytes.split_off(start.unwrap_or(0).min(whole));
        if self.fault == Fault::Stingy && start.is_some() {
            rest.truncate(LEAST);
        }
        let status = match start {
            Some(start) => {
                format!(
                    "206 Partial Content\r\nContent-Range: bytes {start}-{}/{whole}",
                    (start + rest.len()).saturating_sub(1)
                )
            }
            None => "200 OK".into(),
        };
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len())?;
        let cuts = matches!(self.fault, Fault::CutOnce | Fault::CutOnceWithoutRanges | Fault::Stingy | Fault::Dies);
        let end = match cuts && !self.was_cut.swap(true, Ordering::Relaxed) {
            true => rest.len() / 2,
            false if self.fault == Fault::Dies => 0,
            false => rest.len(),
        };
        stream.write_all(rest.get(..end).unwrap_or_default())
    }
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request { method, path, start: None, has_token: false };
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            request.start = range.trim_end_matches('-').parse().ok();
        }
        request.has_token |= line == format!("authorization: bearer {TOKEN}");
    }
    Ok(request)
}
