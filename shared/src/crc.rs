//! CRC-32C (Castagnoli), the checksum at the end of every frame.
//!
//! With the feature `std` the processor's own instruction computes it, chosen at run time; the value is the same.

/// The CRC-32C of `parts` one after the other: polynomial 0x1EDC6F41 reflected, initial value and final XOR all ones.
/// "123456789" gives 0xE3069283.
#[cfg(feature = "std")]
pub fn crc32c(parts: &[&[u8]]) -> u32 {
    parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part))
}

/// The CRC-32C of `parts` one after the other: polynomial 0x1EDC6F41 reflected, initial value and final XOR all ones.
/// "123456789" gives 0xE3069283.
#[cfg(not(feature = "std"))]
pub fn crc32c(parts: &[&[u8]]) -> u32 {
    table::crc32c(parts)
}

#[cfg(any(not(feature = "std"), test))]
mod table {
    const CASTAGNOLI: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

    pub fn crc32c(parts: &[&[u8]]) -> u32 {
        let mut digest = CASTAGNOLI.digest();
        for part in parts {
            digest.update(part);
        }
        digest.finalize()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    #[test]
    fn published_check_value() {
        assert_eq!(super::crc32c(&[b"1234", b"", b"56789"]), 0xe306_9283);
        assert_eq!(super::table::crc32c(&[b"123456789"]), 0xe306_9283);
    }

    proptest! {
        #[test]
        fn both_implementations_agree(bytes in prop::collection::vec(any::<u8>(), 0..600), cut in 0usize..600) {
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(super::crc32c(&[a, b]), super::table::crc32c(&[&bytes]));
        }
    }
}
