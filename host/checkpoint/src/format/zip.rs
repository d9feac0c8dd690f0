//! The first member of a zip archive, by which the formats that are zip archives differ. Archives are read by the `zip` crate.

/// The mark that every archive with a member begins with.
const MAGIC: &[u8] = b"PK\x03\x04";

/// The name of an archive's first member, empty where it is cut off; `None` for a file that is no zip archive.
pub(super) fn first_member(file: &[u8]) -> Option<&[u8]> {
    if !file.starts_with(MAGIC) {
        return None;
    }
    let length = match file.get(26..28) {
        Some(&[low, high]) => usize::from(u16::from_le_bytes([low, high])),
        _ => 0,
    };
    Some(file.get(30..).map_or(&[], |rest| &rest[..length.min(rest.len())]))
}
