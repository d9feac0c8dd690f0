//! Files made by hand: what each fault is reported as, and models in several parts.

use super::*;

/// A file as it is put together.
struct GgufBuilder {
    version: u32,
    entries: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    data: usize,
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

impl GgufBuilder {
    fn new() -> Self {
        Self { version: 3, entries: Vec::new(), tensors: Vec::new(), data: 0 }
    }

    /// Adds an entry of the metadata: the type's number and the value's bytes.
    fn entry(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.entries.push([&text(key)[..], &kind.to_le_bytes(), value].concat());
        self
    }

    /// Adds a tensor, its dimensions innermost first as in the file.
    fn tensor(mut self, name: &str, shape: &[u64], kind: u32, offset: u64) -> Self {
        let mut bytes = text(name);
        bytes.extend((shape.len() as u32).to_le_bytes());
        bytes.extend(shape.iter().flat_map(|dimension| dimension.to_le_bytes()));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        self.tensors.push(bytes);
        self
    }

    fn data(self, data: usize) -> Self {
        Self { data, ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.entries.len() as u64).to_le_bytes());
        bytes.extend(self.entries.iter().chain(&self.tensors).flatten());
        bytes.resize(bytes.len().next_multiple_of(32) + self.data, 1);
        bytes
    }
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("a file written");
    }
    folder
}

fn open(bytes: Vec<u8>) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::open(&folder(&[("m.gguf", bytes)]).path().join("m.gguf"))
}

/// What follows the path in the message for a file.
fn refused(bytes: Vec<u8>) -> String {
    let message = open(bytes).expect_err("an error").to_string();
    message.split_once("m.gguf: ").map(|(_, message)| message.to_owned()).unwrap_or(message)
}

const DAMAGED: &str = "the file is damaged or was written by a broken tool: download it again";

#[test]
fn versions() {
    for version in [2, 3] {
        let made = GgufBuilder { version, ..GgufBuilder::new() }.tensor("a", &[4], 0, 0).data(16);
        assert_eq!(open(made.bytes()).expect("a checkpoint").tensors.len(), 1);
    }
    let version = |version| refused(GgufBuilder { version, ..GgufBuilder::new() }.bytes());
    assert!(version(1).starts_with("GGUF version 1, this version reads 2 and 3; convert"));
    assert!(version(4).starts_with("GGUF version 4,"));
    assert!(version(3u32.swap_bytes()).starts_with("GGUF version 3 in big-endian order, only little-endian is read"));
}

#[test]
fn truncated_headers() {
    let bytes = GgufBuilder::new().entry("k", 4, &[7; 4]).tensor("a.weight", &[4], 0, 0).data(16).bytes();
    let cut = |length: usize| refused(bytes[..length].to_vec());
    let truncated = "the file is truncated or damaged: download it again";
    assert_eq!(
        cut(10),
        format!(
            "the file ends inside its header: the start of the header needs 8 bytes at byte 8, 2 are left; {truncated}"
        )
    );
    assert!(cut(30).contains("metadata of 1 entries needs 13 bytes at byte 24, 6 are left"), "{}", cut(30));
    assert!(cut(39).contains("the value of \"k\" needs 4 bytes at byte 37, 2 are left"), "{}", cut(39));
    assert!(cut(60).contains("a list of 1 tensors needs 24 bytes at byte 41, 19 are left"), "{}", cut(60));
    assert!(cut(70).contains("the entry of tensor \"a.weight\" needs 4 bytes at byte 69, 1 are left"), "{}", cut(70));
}

#[test]
fn counts_that_cannot_be_met() {
    let patched = |at: usize, word: u64| {
        let mut bytes = GgufBuilder::new().entry("k", 8, &text("v")).tensor("a", &[4], 0, 0).data(16).bytes();
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        refused(bytes)
    };
    assert!(patched(8, u64::MAX).contains("a list of 18446744073709551615 tensors needs"));
    assert!(patched(16, 1 << 40).contains("metadata of 1099511627776 entries needs"));
    assert!(patched(24, u64::MAX).contains("the key of metadata entry 0 needs 18446744073709551615 bytes at byte 32"));
    assert!(patched(37, 1 << 32).contains("the value of \"k\" needs 4294967296 bytes"));
    let array = |kind: u32, count: u64| [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
    for kind in [0, 8, 9, 12] {
        let message = refused(GgufBuilder::new().entry("list", 9, &array(kind, 1 << 61)).bytes());
        assert!(message.contains("the value of \"list\" needs"), "{message}");
    }
    let nested = (0..9).flat_map(|_| array(9, 1)).collect::<Vec<_>>();
    let message = refused(GgufBuilder::new().entry("deep", 9, &nested).bytes());
    assert!(message.starts_with("the value of \"deep\" nests arrays more than 4 deep, at byte"), "{message}");
}

#[test]
fn damaged_metadata() {
    let message = refused(GgufBuilder::new().entry("k", 13, &[0]).bytes());
    assert_eq!(message, format!("the value of \"k\" is of the unknown type 13, at byte 33; {DAMAGED}"));
    let message = refused(GgufBuilder::new().entry("k", 7, &[0]).entry("k", 7, &[0]).bytes());
    assert_eq!(message, format!("the metadata has \"k\" twice; {DAMAGED}"));
    for alignment in [0u32, 3, 48, 1 << 30] {
        let message = refused(GgufBuilder::new().entry("general.alignment", 4, &alignment.to_le_bytes()).bytes());
        let expected = format!("general.alignment is {alignment}, not a power of two up to 16777216; {DAMAGED}");
        assert_eq!(message, expected);
    }
    let mut bytes = GgufBuilder::new().entry("key", 7, &[0]).bytes();
    bytes[33] = 0xff;
    assert_eq!(refused(bytes), format!("the key of metadata entry 0 is not UTF-8 at byte 33; {DAMAGED}"));
}

#[test]
fn damaged_tensors() {
    let one =
        |shape: &[u64], kind, offset| refused(GgufBuilder::new().tensor("a", shape, kind, offset).data(64).bytes());
    assert_eq!(one(&[1; 5], 0, 0), format!("tensor \"a\" has 5 dimensions, GGUF allows at most 4; {DAMAGED}"));
    assert_eq!(
        one(&[48, 2], 2, 0),
        format!("tensor \"a\": rows of shape [2, 48] do not divide into q4_0 blocks of 32; {DAMAGED}")
    );
    assert_eq!(
        one(&[4], 0, 8),
        format!("tensor \"a\": offset 8 into the data is not a multiple of the alignment 32; {DAMAGED}")
    );
    let overflow = format!("tensor \"a\": shape [4294967296, 4294967296] of f32 overflows 64 bits; {DAMAGED}");
    assert_eq!(one(&[1 << 32, 1 << 32], 0, 0), overflow);
    assert!(one(&[0, 1 << 32, 1 << 32], 0, 0).contains("overflows 64 bits"));
    assert!(one(&[1 << 40], 0, u64::MAX - 31).contains("overflows 64 bits"));
    assert_eq!(
        one(&[8, 4], 0, 0),
        "the data of tensor \"a\" ends at byte 224, the file at byte 160: 64 bytes are missing; \
         the file is truncated: download it again"
    );
    let two = |name: &str, offset| {
        refused(GgufBuilder::new().tensor("a", &[16], 0, 0).tensor(name, &[16], 0, offset).data(128).bytes())
    };
    assert_eq!(two("b", 32), format!("tensor \"b\": its offsets 32..96 overlap \"a\", which ends at 64; {DAMAGED}"));
    assert_eq!(two("a", 64), format!("the header lists tensor \"a\" twice; {DAMAGED}"));
}

#[test]
fn types_that_are_not_measured() {
    let made = GgufBuilder::new().tensor("a", &[4], 0, 0).tensor("b", &[32, 2], 9, 32).tensor("c", &[5], 99, 1 << 50);
    let checkpoint = open(made.tensor("d", &[4], 31, 64).data(16).bytes()).expect("a checkpoint");
    let unmeasured: Vec<_> = checkpoint.unmeasured.iter().map(|tensor| (&*tensor.name, &*tensor.dtype)).collect();
    assert_eq!(unmeasured, [("b", "q8_1"), ("c", "ggml_type_99"), ("d", "q4_0_4_4")]);
    assert_eq!(checkpoint.unmeasured[0].shape, [2, 32]);
    assert!(checkpoint.unmeasured[2].reason.contains("no longer reads"));
    assert_eq!((checkpoint.tensors.len(), checkpoint.config), (1, None));
}

#[test]
fn empty_and_scalar_tensors() {
    let made = GgufBuilder::new().tensor("none", &[32, 0], 2, 0).tensor("one", &[], 0, 0).data(4);
    let checkpoint = open(made.bytes()).expect("a checkpoint");
    let [none, one] = &checkpoint.tensors[..] else { panic!("two tensors") };
    assert!(checkpoint.read(none, 0..0).expect("nothing").is_empty());
    assert_eq!((one.elements(), one.byte_len()), (1, 4));
}

/// A part of a split model: its number from 0, of three.
fn part(number: u16) -> Vec<u8> {
    let made = GgufBuilder::new().entry("split.no", 2, &number.to_le_bytes()).entry("split.count", 2, &[3, 0]);
    let made = if number == 0 { made.entry("general.architecture", 8, &text("gpt2")) } else { made };
    made.tensor(&format!("blk.{number}.ffn_up.weight"), &[32], 8, 0).data(34).bytes()
}

#[test]
fn parts_of_a_split_model() {
    let names = ["m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"];
    let whole = folder(&[(names[0], part(0)), (names[1], part(1)), (names[2], part(2))]);
    for path in names.map(|name| whole.path().join(name)).into_iter().chain([whole.path().to_owned()]) {
        let checkpoint = Checkpoint::open(&path).expect("a checkpoint");
        assert_eq!(checkpoint.tensors.len(), 3);
        assert_eq!(checkpoint.config.expect("facts")["model_type"], "gpt2");
    }
    fs::remove_file(whole.path().join(names[1])).expect("a file removed");
    let paths: [PathBuf; 2] = [whole.path().to_owned(), whole.path().join(names[0])];
    for path in paths {
        let message = Checkpoint::open(&path).expect_err("an error").to_string();
        assert!(message.ends_with("2 of 3 parts are here, m-00002-of-00003.gguf is missing; finish the download"));
    }
    assert!(
        refused(part(1)).starts_with("this is part 2 of 3 of a split model, and its name does not say so; name it")
    );
}

#[test]
fn folders_with_several_models() {
    let model = || GgufBuilder::new().tensor("a", &[4], 0, 0).data(16).bytes();
    let two = folder(&[("x-Q4_0.gguf", model()), ("x-Q8_0.gguf", model())]);
    let message = Checkpoint::open(two.path()).expect_err("an error").to_string();
    assert!(message.contains("2 models are here: x-Q4_0.gguf, x-Q8_0.gguf; name the one to measure"), "{message}");
    let one = folder(&[("x.gguf", model()), ("config.json", b"{\"model_type\": \"opt\"}".to_vec())]);
    let checkpoint = Checkpoint::open(one.path()).expect("a checkpoint");
    assert_eq!(checkpoint.config, Some(json!({"model_type": "opt"})));
}
