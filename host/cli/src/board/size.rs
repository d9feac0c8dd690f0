//! How much memory a program takes, read from its ELF file.

use object::{
    Endianness,
    elf::{PF_W, PT_LOAD},
    read::elf::{ElfFile32, ProgramHeader},
};
use std::{fs, path::Path};

use super::BoardError;

/// What a program takes of a microcontroller's memories.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes that are flashed: instructions, constants, and the first values of variables.
    pub program: u64,
    /// Bytes of random-access memory that variables take, a heap among them; the stack has the rest.
    pub variables: u64,
}

/// The size of the program in the ELF file at `path`, which is one of a 32-bit processor.
///
/// # Errors
/// When it cannot be read or is not such a program.
pub fn size(path: &Path) -> Result<Size, BoardError> {
    let bytes = fs::read(path).map_err(|source| BoardError::Read { path: path.to_owned(), source })?;
    let failed = |source: object::Error| BoardError::Image { path: path.to_owned(), source: source.into() };
    let file = ElfFile32::<Endianness>::parse(&*bytes).map_err(failed)?;
    let endian = file.endian();
    let mut size = Size::default();
    for header in file.elf_program_headers() {
        if header.p_type(endian) == PT_LOAD {
            size.program += u64::from(header.p_filesz(endian));
            if header.p_flags(endian).contains(PF_W) {
                size.variables += u64::from(header.p_memsz(endian));
            }
        }
    }
    Ok(size)
}
