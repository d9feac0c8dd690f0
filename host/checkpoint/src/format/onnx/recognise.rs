//! Recognises ONNX models: protobuf has no magic number, so the outermost fields have to be the model's.

use prost::decode_length_delimiter;

/// Outermost fields that are looked at.
const FIELDS: usize = 64;

/// The newest version of the format that is plausible; it was 13 in 2026.
const VERSIONS: std::ops::RangeInclusive<usize> = 1..=64;

/// Whether the file's outermost fields are those of a `ModelProto`, in any order, with a version among them and a producer,
/// an operator set or a graph. The end of the file may be missing.
pub(super) fn is_model(file: &[u8]) -> bool {
    let mut rest = file;
    let (mut version, mut substance) = (false, false);
    for _ in 0..FIELDS {
        // A varint: only protobuf's length delimiters are public in prost, and they are no different.
        let Ok(key) = decode_length_delimiter(&mut rest) else { break };
        let Ok(value) = decode_length_delimiter(&mut rest) else { break };
        match (key >> 3, key & 7) {
            (1, 0) if VERSIONS.contains(&value) => version = true,
            (5, 0) => {}
            (2 | 3 | 4 | 6 | 7 | 8 | 14 | 20 | 25 | 26, 2) => {
                let whole = rest.get(..value);
                let content = whole.unwrap_or(rest);
                let plausible = match key >> 3 {
                    2..=4 => content.iter().take(256).all(|byte| *byte >= b' ' || byte.is_ascii_whitespace()),
                    7 => opens_graph(content),
                    _ => true,
                };
                if !plausible {
                    return false;
                }
                substance |= matches!(key >> 3, 2 | 7 | 8) && !content.is_empty();
                let Some((_, behind)) = rest.split_at_checked(value) else { break };
                rest = behind;
            }
            _ => return false,
        }
    }
    version && substance
}

/// Whether the first field is one of a `GraphProto`.
fn opens_graph(mut graph: &[u8]) -> bool {
    match decode_length_delimiter(&mut graph) {
        Ok(key) => matches!((key >> 3, key & 7), (1 | 2 | 5 | 10..=16, 2)),
        Err(_) => graph.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_model;

    #[test]
    fn models_and_others() {
        let models: [&[u8]; 6] = [
            b"\x08\x07\x12\x07pytorch\x1a\x052.4.0",
            b"\x08\x07\x12\x07pytorch\x1a",
            b"\x08\x0a\x3a\x80\x80\x04\x0a\x10cut off",
            b"\x08\x08\x42\x04\x0a\x00\x10\x11",
            b"\x42\x02\x10\x11\x08\x08\x3a\x03\x12\x01g",
            b"\x3a\x03\x12\x01g\x08\x08",
        ];
        for model in models {
            assert!(is_model(model), "{}", model.escape_ascii());
        }
        let others: [&[u8]; 9] = [
            b"",
            b"\x08",
            b"\x08\x07",
            b"\x08\x00\x12\x01a",
            b"\x08\x07\x12\x02\x00\x01",
            b"\x08\x07\x3a\x02\x00\x00",
            b"\x08\x07\x12\x00\x00\x00\x00\x00{\"a\":",
            b":\x05hello",
            b"\x0a\x05hello",
        ];
        for other in others {
            assert!(!is_model(other), "{}", other.escape_ascii());
        }
    }
}
