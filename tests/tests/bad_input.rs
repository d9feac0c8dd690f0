//! Checkpoints that cannot be read: exit code 1, one message that names file, tensor and offset, and nothing written.

use std::{fs, path::Path};

use kurtoscope_tests::{checkpoints::Safetensors, command::names, tested};
use serde_json::json;

/// Measures `model`, which must fail with a message that has all of `words`, and must leave no report behind.
fn assert_refused(model: &Path, words: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    let outcome = tested!().analyze(model, &["local"]).args(["--out".as_ref(), out.as_os_str()]).run();
    outcome.assert_failed(words);
    let path = model.display().to_string();
    assert!(outcome.stderr.contains(&path), "{path} is not named: {}", outcome.stderr);
    assert_eq!(names(&out), [""; 0], "files were left in the folder for reports");
}

/// A file of `bytes` that must be refused.
fn assert_file_refused(bytes: &[u8], words: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("model.safetensors");
    fs::write(&model, bytes).expect("writable");
    assert_refused(&model, words);
    // The folder that holds it is the same model, and the message still names the file.
    let outcome = tested!().analyze(folder.path(), &["local"]).run();
    outcome.assert_failed(words);
    outcome.assert_said(&["model.safetensors"]);
}

/// Two tensors of four elements: 32 bytes of data.
fn valid() -> Safetensors {
    Safetensors::new().f32("first", &[4], &[1.0, 2.0, 3.0, 4.0]).f32("second", &[2, 2], &[5.0, 6.0, 7.0, 8.0])
}

#[test]
fn the_valid_file_that_the_others_are_made_from_is_measured() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    valid().write(&folder.path().join("model.safetensors")).expect("writable");
    let (run, outcome) = tested!().analyze(folder.path(), &["local"]).measured();
    assert_eq!(run.tensors.iter().map(|tensor| tensor.mean).collect::<Vec<_>>(), [Some(2.5), Some(6.5)]);
    assert_eq!(outcome.stderr, "");
}

#[test]
fn truncated_data() {
    let bytes = valid().bytes();
    let length = bytes.len();
    let words = ["\"second\"", &format!("byte {length}"), &format!("byte {}", length - 5), "5 bytes are missing"];
    assert_file_refused(&bytes[..length - 5], &words);
}

#[test]
fn a_truncated_header() {
    let bytes = valid().bytes();
    let header = u64::from_le_bytes(*bytes.first_chunk().expect("a length"));
    assert_file_refused(&bytes[..40], &[&format!("header of {header} bytes"), "32", "truncated"]);
}

#[test]
fn a_header_longer_than_the_file() {
    let mut bytes = valid().bytes();
    bytes[..8].copy_from_slice(&50_000u64.to_le_bytes());
    assert_file_refused(&bytes, &["bytes 0..8", "50000"]);
    // As large as a length can be: nothing may be allocated for it, and nothing may overflow.
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_file_refused(&bytes, &["bytes 0..8", &u64::MAX.to_string()]);
}

#[test]
fn a_header_that_is_not_json() {
    let mut bytes = valid().bytes();
    let colon = bytes.iter().position(|byte| *byte == b':').expect("JSON");
    bytes[colon] = b'!';
    assert_file_refused(&bytes, &["not JSON", &format!("byte {colon}")]);
}

#[test]
fn overlapping_offsets() {
    let entry = |offsets: [u64; 2]| json!({ "dtype": "F32", "shape": [4], "data_offsets": offsets });
    let file = Safetensors::new().entry("first", entry([0, 16])).entry("second", entry([12, 28])).data(&[0; 28]);
    assert_file_refused(&file.bytes(), &["\"second\"", "12..28", "overlap", "\"first\"", "16"]);
}

#[test]
fn a_gap_between_tensors() {
    let entry = |offsets: [u64; 2]| json!({ "dtype": "F32", "shape": [4], "data_offsets": offsets });
    let file = Safetensors::new().entry("first", entry([0, 16])).entry("second", entry([20, 36])).data(&[0; 36]);
    assert_file_refused(&file.bytes(), &["\"second\"", "20..36", "16..20"]);
}

#[test]
fn out_of_range_offsets() {
    let entry = json!({ "dtype": "F32", "shape": [1000], "data_offsets": [0, 4000] });
    let file = Safetensors::new().entry("vast", entry).data(&[0; 16]);
    let data = file.bytes().len() - 16;
    assert_file_refused(&file.bytes(), &["\"vast\"", &format!("byte {}", data + 4000), &format!("byte {}", data + 16)]);
}

#[test]
fn offsets_that_run_backwards() {
    let entry = json!({ "dtype": "F32", "shape": [4], "data_offsets": [16, 0] });
    assert_file_refused(&Safetensors::new().entry("back", entry).data(&[0; 16]).bytes(), &["\"back\"", "16..0"]);
}

#[test]
fn bytes_behind_the_last_tensor() {
    let bytes = valid().data(&[0; 9]).bytes();
    let length = bytes.len();
    assert_file_refused(&bytes, &[&format!("byte {}", length - 9), &format!("byte {length}")]);
}

#[test]
fn a_shape_that_does_not_match_the_bytes() {
    let entry = json!({ "dtype": "F32", "shape": [3, 5], "data_offsets": [0, 16] });
    let file = Safetensors::new().entry("odd", entry).data(&[0; 16]);
    assert_file_refused(&file.bytes(), &["\"odd\"", "[3, 5]", "60 bytes", "0..16", "16"]);
}

#[test]
fn a_shape_beyond_64_bits() {
    let entry = json!({ "dtype": "F32", "shape": [u64::MAX, 8], "data_offsets": [0, 16] });
    let file = Safetensors::new().entry("beyond", entry).data(&[0; 16]);
    assert_file_refused(&file.bytes(), &["\"beyond\"", &u64::MAX.to_string(), "64 bits"]);
}

#[test]
fn an_unknown_element_type_costs_its_tensor() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let entry = json!({ "dtype": "F7", "shape": [4], "data_offsets": [32, 48] });
    let file = valid().entry("odd", entry).data(&[0; 16]);
    file.write(&folder.path().join("model.safetensors")).expect("writable");
    let (run, _) = tested!().analyze(folder.path(), &["local"]).measured();
    assert_eq!(run.tensors.iter().map(|tensor| tensor.mean).collect::<Vec<_>>(), [Some(2.5), Some(6.5)]);
    let [odd] = run.unmeasured.as_slice() else { panic!("{:?}", run.unmeasured) };
    assert_eq!((odd.name.as_str(), odd.dtype.as_str(), odd.shape.as_slice()), ("odd", "F7", &[4][..]));
    assert!(odd.reason.contains("F7"), "{}", odd.reason);
}

#[test]
fn something_that_is_not_safetensors() {
    let pickle = [&[0x80, 0x02, 0x8a, 0x0a][..], &[b'x'; 60]].concat();
    let zip = [b"PK\x03\x04", &[b'z'; 60][..]].concat();
    for (bytes, words) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12\n"[..],
            &["git-lfs", "git lfs pull"][..],
        ),
        (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", &["HTML", "download"]),
        (b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", &["byte 16, 4 are left", "download it again"]),
        (b"\x89HDF\r\n\x1a\n\0\0", &["HDF5", "convert"]),
        (&zip, &["zip"]),
        (&pickle, &["pickle"]),
        (b"", &["empty"]),
        (b"\x02\0\0", &["3 bytes"]),
    ] {
        assert_file_refused(bytes, words);
    }
}

#[test]
fn a_file_without_tensors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("model.safetensors");
    Safetensors::new().write(&model).expect("writable");
    assert_refused(&model, &["no tensors"]);
    assert_refused(folder.path(), &["no tensors"]);
}

#[test]
fn an_index_that_names_a_missing_shard() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    valid().write(&folder.path().join("model-00001-of-00002.safetensors")).expect("writable");
    let map = json!({ "first": "model-00001-of-00002.safetensors", "third": "model-00002-of-00002.safetensors" });
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, json!({ "weight_map": map }).to_string()).expect("writable");
    assert_refused(folder.path(), &["index.json", "model-00002-of-00002.safetensors", "\"third\"", "missing"]);
    // Without the index the names of the shards still say that one is not there.
    fs::remove_file(index).expect("removable");
    assert_refused(folder.path(), &["1 of 2", "model-00002-of-00002.safetensors"]);
}

#[test]
fn an_index_that_does_not_fit_its_shards() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    valid().write(&folder.path().join("a.safetensors")).expect("writable");
    let index = folder.path().join("model.safetensors.index.json");
    for (content, words) in [
        (r#"{"weight_map": {"third": "a.safetensors"}}"#, &["\"third\"", "a.safetensors"][..]),
        (r#"{"weight_map": {"first": "../../a.safetensors"}}"#, &["\"first\"", "../../a.safetensors"]),
        (r#"{"weight_map": "#, &["not JSON", "line 1"]),
        (r#"{"weights": {}}"#, &["weight_map"]),
    ] {
        fs::write(&index, content).expect("writable");
        assert_refused(&index, words);
    }
}

#[test]
fn folders_without_weights() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert_refused(folder.path(), &["empty"]);
    fs::write(folder.path().join("config.json"), "{}").expect("writable");
    assert_refused(folder.path(), &["no weights here", kurtoscope_checkpoint::FORMATS]);
    fs::write(folder.path().join("pytorch_model.bin"), "").expect("writable");
    assert_refused(folder.path(), &["pytorch_model.bin", "empty"]);
}

#[test]
fn a_missing_path() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert_refused(&folder.path().join("nowhere"), &["no such file or folder"]);
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let link = folder.path().join("model.safetensors");
    std::os::unix::fs::symlink("blobs/0123", &link).expect("a link");
    assert_refused(&link, &["blobs/0123"]);
}

#[test]
fn a_broken_configuration() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    valid().write(&folder.path().join("model.safetensors")).expect("writable");
    fs::write(folder.path().join("config.json"), "{\n  \"n_head\": 4,\n  oops\n}").expect("writable");
    assert_refused(folder.path(), &["config.json", "line 3"]);
}

#[test]
fn one_bad_model_among_good_ones_stops_all_before_anything_is_measured() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (good, bad, out) =
        (folder.path().join("good.safetensors"), folder.path().join("bad.safetensors"), folder.path().join("out"));
    valid().write(&good).expect("writable");
    fs::write(&bad, &valid().bytes()[..90]).expect("writable");
    let outcome = tested!().args(["analyze"]).args([&good, &bad]).args(["--out".as_ref(), out.as_os_str()]).run();
    outcome.assert_failed(&["bad.safetensors"]);
    assert_eq!(names(&out), [""; 0]);
}

#[test]
fn an_output_folder_that_cannot_be() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (model, file) = (folder.path().join("model.safetensors"), folder.path().join("file"));
    valid().write(&model).expect("writable");
    fs::write(&file, "").expect("writable");
    let out = file.join("out");
    let outcome = tested!().analyze(&model, &["local"]).args(["--out".as_ref(), out.as_os_str()]).run();
    outcome.assert_failed(&[&out.display().to_string()]);
}

#[test]
fn usage_errors() {
    for (arguments, word) in [
        (&["analyze"][..], "<MODEL>"),
        (&["analyze", "x", "--device", "gpx"], "gpx"),
        (&["analyze", "x", "--device", "serial:"], "serial:/dev/ttyACM0"),
        (&["analyze", "x", "--device", "serial:/dev/ttyACM0?baud=fast"], "fast"),
        (&["analyze", "x", "--timeout", "0"], "0.05"),
        (&["analyze", "x", "--format", "xml"], "xml"),
        (&["analyse"], "analyze"),
    ] {
        let outcome = tested!().args(arguments).run();
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{arguments:?}: {outcome:?}");
        outcome.assert_said(&[word, "--help"]);
    }
}
