//! A UF2 file looked at before it is written to a board: is it whole, and is it for this chip? How one is made is in
//! `board::uf2`, with the format.

use std::path::{Path, PathBuf};

const BLOCK_BYTES: usize = 512;
const MAGICS: [(usize, u32); 3] = [(0, 0x0a32_4655), (4, 0x9e5d_5157), (508, 0x0ab1_6f30)];
const FLAGS: usize = 8;
const FAMILY_GIVEN: u32 = 0x2000;
const NUMBER: usize = 20;
const COUNT: usize = 24;
const FAMILY: usize = 28;

/// Why a UF2 file is not written to a board.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uf2FileError {
    /// It is not in the format.
    #[error("{path}: this is no UF2 file: {what}; `kurtoscope boards build BOARD` makes one, and --firmware names it")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// It is for another chip.
    #[error(
        "{path}: this file is for chips of family {found:#010x}, and the board {board} takes {expected:#010x}; build the \
         board's own with `kurtoscope boards build {board}`"
    )]
    OtherChip {
        /// The file.
        path: PathBuf,
        /// The board.
        board: String,
        /// The family in the file.
        found: u32,
        /// The board's.
        expected: u32,
    },
}

/// Checks the UF2 file at `path`, whose content is `bytes`, and gives the number of its blocks.
///
/// # Errors
/// When it is cut off, not in the format, or for another chip than that of `family`.
pub fn check(path: &Path, bytes: &[u8], board: &str, family: u32) -> Result<usize, Uf2FileError> {
    let wrong = |what: String| Err(Uf2FileError::Format { path: path.into(), what });
    let blocks = bytes.chunks_exact(BLOCK_BYTES);
    if bytes.is_empty() || !blocks.remainder().is_empty() {
        return wrong(format!("it has {} bytes, and a block has {BLOCK_BYTES}", bytes.len()));
    }
    let total = blocks.len();
    for (number, block) in blocks.enumerate() {
        let word = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
        if let Some((at, _)) = MAGICS.iter().find(|(at, magic)| word(*at) != *magic) {
            return wrong(format!("block {number} lacks its mark at byte {at}"));
        }
        if word(NUMBER) as usize != number || word(COUNT) as usize != total {
            return wrong(format!("block {number} of {total} calls itself number {} of {}", word(NUMBER), word(COUNT)));
        }
        if word(FLAGS) & FAMILY_GIVEN != 0 && word(FAMILY) != family {
            let (found, expected) = (word(FAMILY), family);
            return Err(Uf2FileError::OtherChip { path: path.into(), board: board.into(), found, expected });
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u32, count: u32, family: u32) -> Vec<u8> {
        let words = [0x0a32_4655, 0x9e5d_5157, 0x2000, 0x1000_0000 + number * 256, 256, number, count, family];
        let mut block: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        block.resize(508, 0);
        block.extend(0x0ab1_6f30_u32.to_le_bytes());
        block
    }

    #[test]
    fn a_whole_file_for_this_chip_is_taken_and_others_are_not() {
        let check = |bytes: &[u8]| check(Path::new("f.uf2"), bytes, "pico", 7).map_err(|error| error.to_string());
        let whole = [block(0, 2, 7), block(1, 2, 7)].concat();
        assert_eq!(check(&whole), Ok(2));
        for (bytes, part) in [
            (&b""[..], "0 bytes"),
            (&whole[..700], "700 bytes"),
            (&whole[..512], "block 0 of 1 calls itself number 0 of 2"),
            (&[0; 512], "lacks its mark at byte 0"),
            (&block(0, 1, 8), "family 0x00000008"),
        ] {
            let error = check(bytes).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }
}
