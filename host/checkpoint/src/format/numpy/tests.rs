//! NumPy files that `fixtures/make.py` wrote, and damaged ones.

use std::fs;
use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;

use crate::checkpoint::Checkpoint;
use crate::testing::{listed, message, open_bytes, values};

const STORED: &[u8] = include_bytes!("fixtures/stored.npz");
const DEFLATED: &[u8] = include_bytes!("fixtures/deflated.npz");
const FORTRAN: &[u8] = include_bytes!("fixtures/fortran.npy");

/// A version 1 array of this header and data.
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// The message for an array of this header and 16 bytes of data.
fn refused(header: &str) -> String {
    message("w.npy", &npy(header, &[0; 16]))
}

#[test]
fn archives() {
    for file in [STORED, DEFLATED] {
        let (_folder, checkpoint) = open_bytes("model.npz", file);
        assert_eq!(checkpoint.format, "npz");
        let count = |length: u64| (0..length).map(|value| value as f64).collect::<Vec<_>>();
        let expected = [
            ("big", "f64", vec![7], count(7)),
            ("bool", "bool", vec![3], vec![1.0, 0.0, 1.0]),
            ("f16", "f16", vec![5], count(5)),
            ("f32", "f32", vec![2, 3, 4], count(24)),
            ("f64", "f64", vec![2, 3], count(6)),
            ("fortran", "f32", vec![2, 3, 4], count(24)),
            ("fortran_big", "i16", vec![3, 5], count(15)),
            ("i8", "i8", vec![3], count(3)),
            ("i64", "i64", vec![3], count(3)),
            ("none", "f32", vec![0, 4], vec![]),
            ("scalar", "f32", vec![], vec![2.5]),
            ("u16_big", "u16", vec![3], count(3)),
        ];
        let expected =
            expected.map(|(name, stored, shape, values)| (name.to_owned(), stored.to_owned(), shape, values));
        assert_eq!(listed(&checkpoint), expected);
        let unmeasured: Vec<_> =
            checkpoint.unmeasured.iter().map(|tensor| (tensor.name.as_str(), tensor.dtype.as_str())).collect();
        let expected = [("complex", "<c8"), ("object", "|O"), ("record", "structured"), ("text", "<U2")];
        assert_eq!(unmeasured, expected);
        assert!(checkpoint.unmeasured[1].reason.contains("unpickling"));
    }
}

#[test]
fn parts_of_arrays() {
    for file in [STORED, DEFLATED] {
        let (_folder, checkpoint) = open_bytes("model.npz", file);
        for tensor in &checkpoint.tensors {
            let whole = values(&checkpoint, tensor, 0..tensor.elements());
            for first in 0..tensor.elements() {
                for last in first..=tensor.elements() {
                    let part = values(&checkpoint, tensor, first..last);
                    assert_eq!(part, whole[first as usize..last as usize], "{} {first}..{last}", tensor.name);
                }
            }
        }
    }
}

#[test]
fn uncompressed_arrays_are_not_copied() {
    let (_folder, checkpoint) = open_bytes("model.npz", STORED);
    for tensor in checkpoint.tensors.iter().filter(|tensor| ["f32", "f64", "i8"].contains(&tensor.name.as_str())) {
        let elements = checkpoint.read(tensor, 0..1).expect("elements");
        assert_eq!(elements.as_ptr(), checkpoint.stored_bytes(tensor).as_ptr(), "{}", tensor.name);
    }
}

#[test]
fn one_array() {
    let (_folder, checkpoint) = open_bytes("weight.npy", FORTRAN);
    let count = (0..6).map(f64::from).collect::<Vec<_>>();
    assert_eq!(checkpoint.format, "npy");
    assert_eq!(listed(&checkpoint), [("weight".to_owned(), "f32".to_owned(), vec![2, 3], count)]);
    assert_eq!(
        message("weight.npy", &FORTRAN[..FORTRAN.len() - 5]),
        "array \"weight\": its header calls for 24 bytes of data from byte 128, there are 19; \
         the file is damaged: download or save it again"
    );
}

#[test]
fn wrong_headers() {
    let header = |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n");
    let cases = [
        (header("'<f4'", "(2, 3)"), "calls for 24 bytes of data from byte 68, there are 16"),
        (header("'<f4'", "(4294967296, 4294967296)"), "<f4 of shape [4294967296, 4294967296] overflows 64 bits"),
        (header("'<f4'", "(0, 4294967296, 4294967296)"), "overflows 64 bits"),
        (header("'<f4'", "(-1,)"), "shape has a dimension that is no size"),
        (header("'<f4'", "(99999999999999999999,)"), "shape has a dimension that is no size"),
        (header("'<f4'", "4"), "shape is not a tuple"),
        (header("'<q4'", "(4,)"), "element type \"<q4\" is not known"),
        (header("''", "(4,)"), "element type \"\" is not known"),
        (header("'<f4'", &"(".repeat(20)), "more than 12 brackets are open at once"),
        ("{'descr': '<f4'}".to_owned(), "it has no \"fortran_order\""),
        ("[1]".to_owned(), "not a Python dictionary"),
        ("{".to_owned(), "not a Python literal"),
    ];
    for (header, expected) in cases {
        let message = refused(&header);
        assert!(message.contains("array \"w\"") && message.contains(expected), "{message}");
    }
    assert!(message("w.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff").contains("4294967295 bytes long, at most 65536"));
    assert!(message("w.npy", b"\x93NUMPY\x01\x00\x10\x00{").contains("16 bytes long, 1 follow"));
    assert!(message("w.npy", b"\x93NUMPY\x07\x00").contains("version 7.0"));
}

#[test]
fn bombs() {
    assert_eq!(
        message("m.npz", include_bytes!("fixtures/bomb.npz")),
        "array \"w\": its header calls for 16 bytes of data from byte 68, there are 4194304; \
         the file is damaged: download or save it again"
    );
    let claims = message("m.npz", include_bytes!("fixtures/claims.npz"));
    assert!(claims.contains("compressed bytes cannot inflate to the 4398046511"), "{claims}");
}

#[test]
fn damaged_archives() {
    let cut = message("m.npz", &STORED[..STORED.len() / 2]);
    assert!(cut.contains("the archive cannot be read") && cut.ends_with("download it again"), "{cut}");
    // The beginning of every member is looked at when the archive is opened.
    let mut damaged = DEFLATED.to_vec();
    let (_folder, checkpoint) = open_bytes("m.npz", DEFLATED);
    let f32 = checkpoint.tensors.iter().find(|tensor| tensor.name == "f32").expect("f32");
    damaged[f32.range().end - 10] ^= 0x55;
    let member = message("m.npz", &damaged);
    assert!(member.starts_with("member \"f32.npy\" at byte 144 cannot be read: "), "{member}");
}

/// Arrays `a` and `b` of 100 000 elements that hardly compress.
fn large() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for name in ["a.npy", "b.npy"] {
        let data: Vec<u8> = (0..100_000_u32).flat_map(|i| i.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
        let header = "{'descr': '<u4', 'fortran_order': False, 'shape': (100000,)}";
        archive.start_file(name, options).expect("a member");
        archive.write_all(&npy(header, &data)).expect("an array");
    }
    archive.finish().expect("an archive").into_inner()
}

#[test]
fn large_members_are_inflated_when_they_are_read() {
    let mut file = large();
    let (_folder, checkpoint) = open_bytes("m.npz", &file);
    let [a, b] = &checkpoint.tensors[..] else { panic!("two arrays") };
    for _ in 0..2 {
        for tensor in [a, b] {
            let expected = f64::from(77_777_u32.wrapping_mul(0x9e37_79b9));
            assert_eq!(values(&checkpoint, tensor, 77_777..77_778), [expected]);
        }
    }
    let range = b.range();
    file[range.start + range.len() / 2] ^= 1;
    let (_folder, checkpoint) = open_bytes("m.npz", &file);
    let [a, b] = &checkpoint.tensors[..] else { panic!("two arrays") };
    assert!(checkpoint.read(a, 0..1).is_ok());
    let error = checkpoint.read(b, 0..1).expect_err("an error").to_string();
    assert!(error.contains("tensor \"b\"") && error.contains("the archive is damaged"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        which in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        length in any::<prop::sample::Index>(),
        cut in prop::bool::weighted(0.2),
    ) {
        let mut file = [STORED, DEFLATED, FORTRAN][which].to_vec();
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if cut {
            file.truncate(length.index(file.len()));
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m");
        fs::write(&path, file).expect("a file written");
        if let Ok(checkpoint) = Checkpoint::open(&path) {
            for tensor in &checkpoint.tensors {
                let _ = checkpoint.read(tensor, 0..tensor.elements().min(1000));
            }
            checkpoint.fingerprint();
        }
    }

    #[test]
    fn no_header_makes_it_panic(text in "[{}()\\[\\], :'\"a-fx0-9+\\-jeLTrueNon\\\\.]{0,40}", whole in any::<bool>()) {
        let header = if whole { format!("{{'descr': {text}, 'fortran_order': False, 'shape': (4,)}}") } else { text };
        let _ = super::header::parse("w", &npy(&header, &[0; 16]));
    }
}
