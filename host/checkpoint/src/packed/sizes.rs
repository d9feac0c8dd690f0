//! The sizes of groups and tiles where only their number is known.

/// Sizes that quantization tools offer. No two of them cut a length into the same number of two or more parts, since
/// each is at least twice the one before.
const USUAL: [u64; 8] = [16, 32, 64, 128, 256, 512, 1024, 2048];

/// The size of the `parts` parts of a length where nothing states it: the usual one, the last part being shorter if it
/// has to, else equal parts; `None` if the length is not a multiple of them either.
pub(super) fn unstated(length: u64, parts: u64) -> Option<u64> {
    match parts {
        0 => None,
        1 => Some(length),
        _ => {
            let usual = USUAL.into_iter().find(|&size| length.div_ceil(size) == parts);
            usual.or_else(|| length.is_multiple_of(parts).then(|| length / parts))
        }
    }
}
