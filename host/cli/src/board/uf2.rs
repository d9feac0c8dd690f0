//! UF2: the form in which boot loaders that show a USB volume take a program. From an ELF file's loadable segments to
//! blocks of 512 bytes, each of which holds the address of its 256 bytes of program.
//!
//! The format is Microsoft's (github.com/microsoft/uf2). A block, all words little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4, 4..8 | `0x0A324655` ("UF2\n"), `0x9E5D5157` |
//! | 8..12 | flags: `0x2000`, a family number is given |
//! | 12..16 | address of the data |
//! | 16..20 | bytes of data: 256 |
//! | 20..24, 24..28 | number of this block, number of blocks |
//! | 28..32 | family number: the chip |
//! | 32..288 | the data; zeros up to 508 |
//! | 508..512 | `0x0AB16F30` |

use std::collections::BTreeMap;

use object::{
    Endianness,
    elf::{EM_ARM, EM_RISCV, PT_LOAD},
    read::elf::{ElfFile32, FileHeader, ProgramHeader},
};

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 512;
/// Bytes of program in a block: a page of the flash memories that boot loaders write.
pub const PAGE_BYTES: usize = 256;

const MAGIC_START: [u32; 2] = [0x0a32_4655, 0x9e5d_5157];
const MAGIC_END: u32 = 0x0ab1_6f30;
const FAMILY_GIVEN: u32 = 0x2000;

/// Why a program has no UF2 form.
#[derive(Debug, thiserror::Error)]
pub enum Uf2Error {
    /// It is no ELF file of a 32-bit processor.
    #[error("not a program of a 32-bit processor")]
    Elf(#[from] object::Error),
    /// It is for another kind of processor.
    #[error("the program is for another processor (ELF machine {found}) than {target}")]
    Machine {
        /// The number in the file.
        found: u16,
        /// What it should have been compiled for.
        target: String,
    },
    /// It ends before its last part.
    #[error("the program is cut off")]
    Cut,
    /// It has nothing to load.
    #[error("the program has nothing to be flashed")]
    Empty,
    /// Two parts of it go to the same place.
    #[error("two parts of the program go to address {0:#010x}")]
    Overlap(u32),
    /// A part reaches beyond the last address.
    #[error("{len} bytes at {address:#010x} reach beyond the last address")]
    Range {
        /// Where they begin.
        address: u32,
        /// How many they are.
        len: usize,
    },
}

/// The UF2 form of the ELF program `program`, compiled for `target`, for chips of family `family`.
///
/// # Errors
/// Those of [`Uf2Error`].
pub fn from_elf(program: &[u8], target: &str, family: u32) -> Result<Vec<u8>, Uf2Error> {
    let file = ElfFile32::<Endianness>::parse(program)?;
    let endian = file.endian();
    let found = file.elf_header().e_machine(endian);
    let expected = [("thumb", EM_ARM), ("arm", EM_ARM), ("riscv", EM_RISCV)];
    if expected.iter().any(|(prefix, machine)| target.starts_with(prefix) && *machine != found) {
        return Err(Uf2Error::Machine { found: found.0, target: target.into() });
    }
    let mut segments = Vec::new();
    for header in file.elf_program_headers() {
        if header.p_type(endian) == PT_LOAD && header.p_filesz(endian) > 0 {
            let data = header.data(endian, program).map_err(|()| Uf2Error::Cut)?;
            // The physical address is where it is stored; data is copied from there to its virtual one at start.
            segments.push((header.p_paddr(endian), data));
        }
    }
    from_segments(&segments, family)
}

/// The UF2 form of `segments`, each an address and what belongs there. Gaps within a page become zeros.
///
/// # Errors
/// When there are no bytes, or bytes at the same or at no address.
pub fn from_segments(segments: &[(u32, &[u8])], family: u32) -> Result<Vec<u8>, Uf2Error> {
    let mut pages: BTreeMap<u32, [Option<u8>; PAGE_BYTES]> = BTreeMap::new();
    for (address, data) in segments {
        let out_of_range = || Uf2Error::Range { address: *address, len: data.len() };
        for (offset, byte) in data.iter().enumerate() {
            let at =
                u32::try_from(offset).ok().and_then(|offset| address.checked_add(offset)).ok_or_else(out_of_range)?;
            let within = at as usize % PAGE_BYTES;
            let page = pages.entry(at - within as u32).or_insert([None; PAGE_BYTES]);
            if page[within].replace(*byte).is_some() {
                return Err(Uf2Error::Overlap(at));
            }
        }
    }
    if pages.is_empty() {
        return Err(Uf2Error::Empty);
    }
    let count = pages.len() as u32;
    let mut blocks = Vec::with_capacity(pages.len() * BLOCK_BYTES);
    for (number, (address, page)) in pages.iter().enumerate() {
        let head =
            [MAGIC_START[0], MAGIC_START[1], FAMILY_GIVEN, *address, PAGE_BYTES as u32, number as u32, count, family];
        let start = blocks.len();
        blocks.extend(head.into_iter().flat_map(u32::to_le_bytes));
        blocks.extend(page.iter().map(|byte| byte.unwrap_or_default()));
        blocks.resize(start + BLOCK_BYTES - 4, 0);
        blocks.extend(MAGIC_END.to_le_bytes());
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_as_computed_by_hand() {
        // Three bytes at the end of one page and the start of the next.
        let blocks = from_segments(&[(0x1000_01fe, &[1, 2, 3])], 0xe48b_ff59).expect("valid");
        assert_eq!(blocks.len(), 1024);
        let head = |number: u8, page: u8| {
            let mut head = vec![0x55, 0x46, 0x32, 0x0a, 0x57, 0x51, 0x5d, 0x9e, 0x00, 0x20, 0, 0];
            head.extend([0, page, 0, 0x10, 0, 1, 0, 0, number, 0, 0, 0, 2, 0, 0, 0, 0x59, 0xff, 0x8b, 0xe4]);
            head
        };
        assert_eq!(blocks[..32], head(0, 1));
        assert_eq!(blocks[32 + 253..32 + 257], [0, 1, 2, 0]);
        assert_eq!(blocks[508..512], [0x30, 0x6f, 0xb1, 0x0a]);
        assert_eq!(blocks[512..544], head(1, 2));
        assert_eq!(blocks[544..546], [3, 0]);
        assert!(blocks[546..1020].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn segments_that_share_a_page_share_a_block() {
        let blocks = from_segments(&[(0x110, &[9]), (0x100, &[7; 16])], 1).expect("valid");
        assert_eq!((blocks.len(), &blocks[32..50]), (512, &[[7; 16].as_slice(), &[9, 0]].concat()[..]));
    }

    #[test]
    fn what_cannot_be_flashed_is_an_error() {
        assert!(matches!(from_segments(&[], 1), Err(Uf2Error::Empty)));
        assert!(matches!(from_segments(&[(8, &[1, 2]), (9, &[3])], 1), Err(Uf2Error::Overlap(9))));
        assert!(matches!(from_segments(&[(u32::MAX, &[1, 2])], 1), Err(Uf2Error::Range { len: 2, .. })));
        assert!(matches!(from_elf(b"MZ", "thumbv8m.main-none-eabihf", 1), Err(Uf2Error::Elf(_))));
        // The header of a 32-bit little-endian program for RISC-V, without anything to load.
        let mut riscv = [0; 52];
        riscv[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
        (riscv[16], riscv[18], riscv[20], riscv[40]) = (2, 243, 1, 52);
        let error = from_elf(&riscv, "thumbv8m.main-none-eabihf", 1).expect_err("another processor");
        assert!(matches!(error, Uf2Error::Machine { found: 243, .. }), "{error}");
        assert!(matches!(from_elf(&riscv, "riscv32imac-unknown-none-elf", 1), Err(Uf2Error::Empty)));
    }
}
