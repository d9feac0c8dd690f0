//! What identifies this machine among others of its kind: a serial number.

use std::{fs, string::String};

/// Where a machine's identity is found, best first: what the maker burned in, then what the system drew when it was
/// installed (two boards that were started from copies of one card have the same).
const SOURCES: [&str; 2] = ["/proc/device-tree/serial-number", "/etc/machine-id"];

/// The machine's own identity, where the system has one.
pub(super) fn identity() -> String {
    SOURCES.iter().filter_map(|path| fs::read_to_string(path).ok()).find_map(|text| clean(&text)).unwrap_or_default()
}

/// Without the zero byte of device trees and the line's end; none where nothing is left, or the number was never set.
fn clean(text: &str) -> Option<String> {
    let text = text.trim_matches(|character: char| character.is_whitespace() || character == '\0');
    (!text.trim_matches('0').is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_out_of_their_files() {
        assert_eq!(clean("10000000abcdef01\0"), Some("10000000abcdef01".into()));
        assert_eq!(clean("e3b0c442\n"), Some("e3b0c442".into()));
        for nothing in ["", "\0", "\n", "0000000000000000\0"] {
            assert_eq!(clean(nothing), None, "{nothing:?}");
        }
    }
}
