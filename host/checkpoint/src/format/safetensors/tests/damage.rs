//! Files damaged at random: no change makes the reader panic or give a range that is not in the file.

use proptest::prelude::*;

use super::*;

/// One random change to a file.
#[derive(Debug, Clone)]
enum Damage {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Length(u64),
    Replace(usize, &'static str),
}

fn damage() -> impl Strategy<Value = Damage> {
    let anywhere = 0..2000usize;
    prop_oneof![
        (0..300usize, any::<u8>()).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        anywhere.clone().prop_map(Damage::Cut),
        (anywhere, proptest::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        prop_oneof![0..2000u64, any::<u64>()].prop_map(Damage::Length),
        (
            0..6usize,
            prop_oneof![
                Just("0"),
                Just("-1"),
                Just("1e9"),
                Just("18446744073709551615"),
                Just("18446744073709551616"),
                Just("2305843009213693951"),
                Just("700"),
                Just("[]"),
                Just("null"),
                Just("\"F4\""),
            ]
        )
            .prop_map(|(which, text)| Damage::Replace(which, text)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip(at, bits) => {
                if let Some(byte) = bytes.get_mut(*at) {
                    *byte ^= bits;
                }
            }
            Self::Cut(at) => bytes.truncate(*at),
            Self::Insert(at, new) => {
                let at = (*at).min(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Length(length) => {
                if let Some(prefix) = bytes.first_chunk_mut::<8>() {
                    *prefix = length.to_le_bytes();
                }
            }
            Self::Replace(which, text) => replace_number(bytes, *which, text),
        }
    }
}

/// Puts `text` in place of the number that comes `which` in the header, and keeps the header's length right.
fn replace_number(bytes: &mut Vec<u8>, which: usize, text: &str) {
    let Some(&prefix) = bytes.first_chunk::<8>() else { return };
    let Some(end) = usize::try_from(u64::from_le_bytes(prefix)).ok().and_then(|length| length.checked_add(8)) else {
        return;
    };
    let Some(header) = bytes.get(8..end) else { return };
    let is_digit = |i: usize| header.get(i).is_some_and(u8::is_ascii_digit);
    let mut starts = (0..header.len()).filter(|&i| is_digit(i) && (i == 0 || !is_digit(i - 1)));
    let Some(start) = starts.nth(which) else { return };
    let stop = (start..).find(|&i| !is_digit(i)).unwrap_or(start);
    bytes.splice(8 + start..8 + stop, text.bytes());
    let length = (end - 8) - (stop - start) + text.len();
    bytes[..8].copy_from_slice(&(length as u64).to_le_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_damage_panics(damages in proptest::collection::vec(damage(), 1..4)) {
        let mut bytes = shard(&["model.a", "model.b"]);
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        match read(&bytes) {
            Ok(contents) => {
                for tensor in &contents.tensors {
                    let elements = tensor.shape.iter().product::<u64>();
                    let TensorData::Mapped(range) = &tensor.data else { panic!("stored as they are measured") };
                    let stored = bytes.get(range.clone()).expect("inside the file");
                    prop_assert_eq!(stored.len() as u64, elements * tensor.element.size() as u64);
                }
            }
            Err(fault) => prop_assert!(!fault.to_string().is_empty()),
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(read(&bytes).map(|contents| contents.tensors.is_empty()).unwrap_or(true));
    }
}
