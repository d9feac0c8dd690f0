//! Files damaged at random: no change makes the reader panic or lend what is not there.

use proptest::prelude::*;

use super::*;

/// One random change to a file.
#[derive(Debug, Clone)]
enum Damage {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    /// Puts a number, as 32 or 64 bits, in place of what is there.
    Word(usize, u64, bool),
}

fn damage() -> impl Strategy<Value = Damage> {
    let header = 0..2700usize;
    let number = prop_oneof![
        0..300u64,
        any::<u64>(),
        (0..64u32).prop_map(|bit| 1 << bit),
        (0..64u32).prop_map(|bit| u64::MAX << bit),
    ];
    prop_oneof![
        (header.clone(), any::<u8>()).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        (0..FILE.len()).prop_map(Damage::Cut),
        (header.clone(), proptest::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, new)| Damage::Insert(at, new)),
        (header, number, any::<bool>()).prop_map(|(at, number, wide)| Damage::Word(at, number, wide)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip(at, bits) => bytes.iter_mut().skip(*at).take(1).for_each(|byte| *byte ^= bits),
            Self::Cut(at) => bytes.truncate(*at),
            Self::Insert(at, new) => {
                let at = (*at).min(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Word(at, number, wide) => {
                let width = if *wide { 8 } else { 4 };
                bytes.iter_mut().skip(*at).zip(&number.to_le_bytes()[..width]).for_each(|(byte, new)| *byte = *new);
            }
        }
    }
}

/// Opens the bytes and reads the ends of every tensor.
fn read_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir()?;
    let path: PathBuf = folder.path().join("m.gguf");
    fs::write(&path, bytes)?;
    match Checkpoint::open(&path) {
        Err(CheckpointError::DuplicateTensor { .. }) => prop_assert!(false, "one file has one list"),
        Err(error) => prop_assert!(error.to_string().contains("m.gguf: "), "{error}"),
        Ok(checkpoint) => {
            for tensor in &checkpoint.tensors {
                let elements = tensor.elements();
                for range in [0..elements.min(300), elements.saturating_sub(300)..elements] {
                    let read = checkpoint.read(tensor, range.clone());
                    let length = read.map_err(|error| TestCaseError::fail(error.to_string()))?.len() as u64;
                    prop_assert_eq!(length, (range.end - range.start) * tensor.element.size() as u64);
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_damage_panics(damages in proptest::collection::vec(damage(), 1..4)) {
        let mut bytes = FILE.to_vec();
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        // Anything else is not taken for GGUF.
        bytes.splice(..bytes.len().min(4), *b"GGUF");
        read_all(&bytes)?;
    }

    #[test]
    fn no_bytes_panic(rest in proptest::collection::vec(any::<u8>(), 0..200)) {
        let start: &[u8] = b"GGUF\x03\0\0\0";
        read_all(&[start, &rest].concat())?;
    }

    #[test]
    fn no_block_panics(bytes in proptest::collection::vec(any::<u8>(), 292)) {
        for block in BLOCKS {
            let mut unpacked = [0.0; LONGEST];
            (block.unpack)(&bytes[..block.bytes], &mut unpacked[..block.elements]);
        }
    }
}
