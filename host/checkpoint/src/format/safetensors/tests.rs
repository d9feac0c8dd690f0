//! Damaged safetensors files: what each kind of damage is reported as.

use super::*;
use crate::checkpoint::CheckpointError;
use crate::testing::{Folder, file, message, open_bytes, shard};

const F32_4: &str = r#""dtype":"F32","shape":[4],"data_offsets""#;
const DAMAGED: &str = "the file is damaged or was written by a broken tool: download it again";

/// The message for a file of this content.
fn refused(content: &[u8]) -> String {
    message("m.safetensors", content)
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
fn faults_name_the_tensor_and_the_byte() {
    let fault = |content: &[u8]| {
        let folder = Folder::new().with("model.safetensors", content);
        match folder.open().expect_err("an error") {
            CheckpointError::Format { fault, .. } => (fault.tensor().map(str::to_owned), fault.offset()),
            other => panic!("not a fault of the format: {other}"),
        }
    };
    let header = format!("{{\"a\":{{{F32_4}:[0,16]}}}}");
    let data = 8 + header.len() as u64;
    assert_eq!(fault(&file(&header, 10)), (Some("a".to_owned()), Some(data + 10)), "cut off");
    assert_eq!(fault(&file(&header, 20)), (None, Some(data + 16)), "trailing bytes");
    assert_eq!(fault(&file("{\"a\":1}", 0)), (Some("a".to_owned()), None), "a wrong entry");
    assert_eq!(fault(&file("{ 1}", 0)), (None, Some(10)), "not JSON");
}

mod damage;

#[test]
fn an_unknown_type_costs_its_tensor_and_nothing_else() {
    let header =
        format!("{{\"a\":{{\"dtype\":\"F2\",\"shape\":[64],\"data_offsets\":[0,16]}},\"b\":{{{F32_4}:[16,32]}}}}");
    let (_folder, checkpoint) = open_bytes("model.safetensors", &file(&header, 32));
    assert_eq!(checkpoint.tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>(), ["b"]);
    let unmeasured = &checkpoint.unmeasured[0];
    assert_eq!((unmeasured.name.as_str(), unmeasured.dtype.as_str(), &*unmeasured.shape), ("a", "F2", &[64u64][..]));
    assert_eq!(unmeasured.reason, "the element type F2 is not known to this version");
    // The rest of the header is checked as ever.
    let gap = header.replace("[16,32]", "[20,36]");
    assert_eq!(
        refused(&file(&gap, 36)),
        format!("tensor \"b\": its offsets 20..36 leave a gap: 16..20 belongs to no tensor; {DAMAGED}")
    );
}
