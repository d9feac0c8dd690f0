//! Whole checkpoints on disk: what opens, and what every kind of damage is reported as.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::SourceError;

/// A safetensors file with this header and this many bytes of data, each its own position modulo 251.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..data).map(|i| (i % 251) as u8));
    bytes
}

/// A folder that lives as long as the test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), content).expect("a file written");
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self) -> Result<Checkpoint, CheckpointError> {
        Checkpoint::open(self.0.path())
    }

    /// The message of the error that opening this gives, with the folder's path taken out.
    fn message(&self, name: &str) -> String {
        let error = Checkpoint::open(&self.path(name)).expect_err("an error");
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// The message for a file of this content.
fn refused(content: &[u8]) -> String {
    let message = Folder::new().with("m.safetensors", content).message("m.safetensors");
    message.strip_prefix("m.safetensors: ").map(str::to_owned).unwrap_or(message)
}

const F32_4: &str = r#""dtype":"F32","shape":[4],"data_offsets""#;
const DAMAGED: &str = "the file is damaged or was written by a broken tool: download it again";

#[test]
fn one_file() {
    let header = r#"{"__metadata__":{"kurtoscope.synthetic":"true"},
        "h.10.w":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]},
        "h.2.w":{"dtype":"BF16","shape":[],"data_offsets":[8,10]},
        "flag":{"dtype":"BOOL","shape":[3],"data_offsets":[10,13]},
        "none":{"dtype":"F32","shape":[0,4],"data_offsets":[13,13]},
        "scale":{"dtype":"F8_E8M0","shape":[2],"data_offsets":[13,15]},
        "nibbles":{"dtype":"F4","shape":[2],"data_offsets":[15,16]},
        "wave":{"dtype":"C64","shape":[1],"data_offsets":[16,24]}}"#;
    let folder = Folder::new().with("some.safetensors", file(header, 24)).with("config.json", r#"{"n_head": 4}"#);
    let path = folder.path("some.safetensors");
    let checkpoint = Checkpoint::open(&path).expect("a checkpoint");
    let names: Vec<_> = checkpoint.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["flag", "h.2.w", "h.10.w", "none"]);
    assert_eq!(checkpoint.source, path.to_string_lossy());
    assert_eq!(checkpoint.config, Some(json!({"n_head": 4})));
    assert!(checkpoint.synthetic);
    let unmeasured: Vec<_> = checkpoint.unmeasured.iter().map(|tensor| (&*tensor.name, &*tensor.dtype)).collect();
    assert_eq!(unmeasured, [("nibbles", "F4"), ("scale", "F8_E8M0"), ("wave", "C64")]);

    let [flag, scalar, matrix, none] = &checkpoint.tensors[..] else { panic!("four tensors") };
    assert_eq!(flag.element, Element::Bool);
    assert_eq!((scalar.element, scalar.elements(), scalar.byte_len()), (Element::Bf16, 1, 2));
    assert_eq!((none.elements(), checkpoint.stored_bytes(none)), (0, &[][..]));
    assert_eq!((matrix.elements(), &matrix.shape[..]), (4, &[2, 2][..]));
    assert_eq!(checkpoint.stored_bytes(matrix), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(checkpoint.read(matrix, 1..3).expect("elements")[..], [2, 3, 4, 5]);
    assert_eq!(checkpoint.path_of(matrix), path);
    assert_eq!(checkpoint.offset_of(scalar), 8 + header.len() as u64 + 8);
}

#[test]
fn elements_outlive_the_checkpoint_and_stay_inside_the_tensor() {
    let header =
        r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#;
    let folder = Folder::new().with("model.safetensors", file(header, 8));
    let checkpoint = folder.open().expect("a checkpoint");
    let b = &checkpoint.tensors[1];
    let elements = checkpoint.read(b, 1..3).expect("elements");
    assert_eq!(elements.as_ptr(), checkpoint.stored_bytes(b)[1..].as_ptr(), "nothing is copied");
    assert!(checkpoint.read(b, 4..4).expect("none").is_empty());
    #[expect(clippy::reversed_empty_ranges, reason = "callers may compute one")]
    let backwards = 3..1;
    for range in [3..5, 0..u64::MAX, backwards] {
        let error = checkpoint.read(b, range.clone()).expect_err("an error").to_string();
        let expected = format!("tensor \"b\": elements {}..{} cannot be read: it has 4", range.start, range.end);
        assert!(error.contains(&expected), "{error}");
    }
    let stranger = StoredTensor { file: 9, ..b.clone() };
    assert!(checkpoint.read(&stranger, 0..1).is_err());
    drop(checkpoint);
    assert_eq!(&elements[..], [5, 6]);
}

#[test]
fn damaged_files() {
    let one = |offsets: &str, data: usize| refused(&file(&format!("{{\"a\":{{{F32_4}:{offsets}}}}}"), data));
    assert_eq!(refused(b""), "the file is empty; the download did not finish: download it again");
    assert_eq!(refused(&[0, 1, 2]), "the file is 3 bytes long, too short for any format of weights; download it again");
    assert_eq!(
        refused(&file("{}", 0)[..9]),
        "bytes 0..8 declare a header of 2 bytes, but only 1 follow; \
         the file is truncated, or of no known format: download it again"
    );
    assert!(refused(&[0xff; 32]).starts_with("bytes 0..8 declare a header of 18446744073709551615 bytes, but only 24"));
    assert_eq!(
        one("[0,16]", 10),
        "the data of tensor \"a\" ends at byte 79, the file at byte 73: 6 bytes are missing; \
         the file is truncated: download it again"
    );
    assert_eq!(
        one("[0,16]", 17),
        "the last tensor's data ends at byte 79, but the file goes on to byte 80; \
         the file is damaged or was written by a broken tool: download it again"
    );
    assert_eq!(
        one("[0,12]", 12),
        format!("tensor \"a\": shape [4] of f32 needs 16 bytes, its offsets 0..12 hold 12; {DAMAGED}")
    );
    assert_eq!(one("[16,0]", 16), format!("tensor \"a\": its offsets 16..0 run backwards; {DAMAGED}"));
    assert_eq!(
        one("[4,20]", 20),
        format!("tensor \"a\": its offsets 4..20 leave a gap: 0..4 belongs to no tensor; {DAMAGED}")
    );
    assert!(one("[0]", 16).starts_with("tensor \"a\": its header entry is wrong: data_offsets is not a pair"));
    assert!(one("[0,-1]", 16).starts_with("tensor \"a\": its header entry is wrong: data_offsets is not a pair"));
}

#[test]
fn damaged_headers() {
    let entry = |fields: &str| refused(&file(&format!("{{\"a\":{{{fields}}}}}"), 16));
    assert_eq!(
        entry(r#""dtype":"F31","shape":[4],"data_offsets":[0,16]"#),
        "tensor \"a\": unknown element type \"F31\"; a newer version of kurtoscope may know it, or the file is damaged"
    );
    assert_eq!(
        entry(r#""dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]"#),
        format!("tensor \"a\": shape [4294967296, 4294967296] of f32 overflows 64 bits; {DAMAGED}")
    );
    assert_eq!(
        entry(r#""dtype":"F6_E2M3","shape":[3],"data_offsets":[0,2]"#),
        format!("tensor \"a\": shape [3] of f6_e2m3 needs 18 bits, which are not whole bytes; {DAMAGED}")
    );
    assert!(entry(r#""shape":[4]"#).starts_with("tensor \"a\": its header entry is wrong: dtype is not a string"));
    assert!(entry(r#""dtype":"F32","shape":[-4],"data_offsets":[0,16]"#).contains("shape is not an array of whole"));
    let two = |b: &str| refused(&file(&format!("{{\"a\":{{{F32_4}:[0,16]}},\"{b}\":{{{F32_4}:[8,24]}}}}"), 32));
    assert_eq!(two("b"), format!("tensor \"b\": its offsets 8..24 overlap \"a\", which ends at 16; {DAMAGED}"));
    assert_eq!(two("a"), format!("tensor \"a\": the header lists it twice; {DAMAGED}"));
    assert_eq!(
        refused(&file("{\"a\":1}", 0)),
        format!("tensor \"a\": its header entry is wrong: it is not an object; {DAMAGED}")
    );
    assert_eq!(
        refused(&file("{\n\"a\" 1}", 0)),
        "the header is not JSON at byte 14: expected `:`; the file is damaged: download it again"
    );
    assert!(refused(&file("[]", 0)).contains("it is JSON, but not an object"));
    assert!(refused(&file(r#"{"__metadata__":{"a":1}}"#, 0)).contains("__metadata__ is not an object of strings"));
    let mut latin1 = file("{\"xx\":1}", 0);
    latin1[10] = 0xe9;
    assert_eq!(refused(&latin1), "the header is not UTF-8 at byte 10; the file is damaged: download it again");
    assert!(refused(&file("{}", 0)).contains("holds no tensors"));
    // Ends close to 2^64: sums of them must not overflow.
    let eighth = (1u64 << 61) - 1;
    let entries: Vec<_> = (0..8)
        .map(|i| {
            format!(r#""{i}":{{"dtype":"U8","shape":[{eighth}],"data_offsets":[{},{}]}}"#, i * eighth, (i + 1) * eighth)
        })
        .collect();
    assert!(refused(&file(&format!("{{{}}}", entries.join(",")), 4)).contains("the file is truncated"));
}

#[test]
fn lengths_beyond_the_limits() {
    let sparse = |name: &str, start: &[u8], length: u64| {
        let folder = Folder::new().with("model.safetensors", file("{}", 0)).with(name, start);
        let opened = fs::File::options().write(true).open(folder.path(name)).expect("the file");
        opened.set_len(length).expect("a sparse file");
        folder.message("model.safetensors")
    };
    assert_eq!(
        sparse("model.safetensors", &100_000_001u64.to_le_bytes(), 100_000_100),
        "model.safetensors: bytes 0..8 declare a header of 100000001 bytes, safetensors allows at most 100000000; \
         the file is damaged: download it again"
    );
    assert_eq!(
        sparse("config.json", b"{}", (256 << 20) + 1),
        "config.json: 268435457 bytes, at most 268435456 are read; this is not what its name says: download it again"
    );
}

#[test]
fn other_formats_are_named() {
    assert_eq!(
        refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
        "this is a git-lfs pointer; fetch the file itself: git lfs pull"
    );
    assert!(refused(b"\x89HDF\r\n\x1a\n\0\0").starts_with("this is an HDF5 file; this version does not read that"));
    assert!(refused(b"\x06\0\0\0\x10\0TransformerSpec\0").starts_with("this is a CTranslate2 model; this version"));
    assert!(refused(b"<html>").starts_with("this is a web page (HTML); a server may"));
    let zip = b"PK\x03\x04\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x06\0\0\0readme";
    assert_eq!(refused(zip), "this is a zip archive; unpack it and name the file inside");
}

#[test]
fn paths_that_do_not_lead_to_a_file() {
    let folder = Folder::new();
    assert_eq!(folder.message("gone"), "gone: no such file or folder; check the spelling and the current folder");
    fs::create_dir(folder.path("empty.safetensors")).expect("a folder");
    assert_eq!(
        folder.message("empty.safetensors"),
        "empty.safetensors: the folder is empty; download a model into it, or name another"
    );
    fs::create_dir_all(folder.path("nested/model.safetensors")).expect("folders");
    assert_eq!(
        folder.message("nested"),
        "nested/model.safetensors: is a folder, not a file; name a file, or move it out of the model's folder"
    );
}

#[cfg(unix)]
#[test]
fn links_devices_and_permissions() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = Folder::new().with("secret.safetensors", file("{}", 0));
    symlink("blobs/0", folder.path("model.safetensors")).expect("a link");
    assert!(
        folder.message("").contains("model.safetensors: the link points to blobs/0, which does not exist"),
        "{}",
        folder.message("")
    );
    let device = Checkpoint::open(Path::new("/dev/null")).expect_err("an error");
    assert!(matches!(device, CheckpointError::Source(SourceError::NotAFile { .. })), "{device}");
    let secret = folder.path("secret.safetensors");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("permissions set");
    // The superuser reads it all the same.
    if fs::File::open(&secret).is_err() {
        let denied = Checkpoint::open(&secret).expect_err("an error");
        assert!(matches!(denied, CheckpointError::Source(SourceError::PermissionDenied { .. })), "{denied}");
    }
}

#[test]
fn configurations() {
    let header = format!("{{\"a\":{{{F32_4}:[0,16]}}}}");
    let folder = Folder::new().with("model.safetensors", file(&header, 16));
    assert_eq!(folder.open().expect("a checkpoint").config, None);
    let folder = folder.with("config.json", "{\n  \"n_head\": ,\n}");
    assert_eq!(
        folder.message("model.safetensors"),
        "config.json: not JSON at line 2, column 13: expected value; repair the file or download it again"
    );
}

mod sharded;
