//! Whole checkpoints on disk: what opens, and what every kind of damage is reported as.

use std::fs;

use super::*;
use crate::SourceError;
use crate::testing::{Folder, file, message};
use serde_json::json;

/// The message for a file of this content.
fn refused(content: &[u8]) -> String {
    message("m.safetensors", content)
}

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
    let of_no_file = StoredTensor { file: 9, ..b.clone() };
    assert!(checkpoint.read(&of_no_file, 0..1).is_err());
    drop(checkpoint);
    assert_eq!(&elements[..], [5, 6]);
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
fn errors_print_their_cause_and_do_not_return_it_again() {
    let folder = Folder::new().with("short.safetensors", [0; 3]);
    let broken = Folder::new().with("config.json", "{").with("model.safetensors", file("{}", 0));
    for (path, cause) in [
        (folder.path("gone"), "no such file"),
        (folder.path("short.safetensors"), "3 bytes long"),
        (broken.path(""), "not JSON"),
    ] {
        let error = Checkpoint::open(&path).expect_err("an error");
        assert!(error.to_string().contains(cause), "{error}");
        assert!(std::error::Error::source(&error).is_none(), "{error}");
    }
}

#[test]
fn configurations() {
    let header = r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
    let folder = Folder::new().with("model.safetensors", file(header, 16));
    assert_eq!(folder.open().expect("a checkpoint").config, None);
    let folder = folder.with("config.json", "{\n  \"n_head\": ,\n}");
    assert_eq!(
        folder.message("model.safetensors"),
        "config.json: not JSON at line 2, column 13: expected value; repair the file or download it again"
    );
}

mod sharded;
