//! The codebooks of the IQ types: 256 to 2048 points each, packed into 16 bits a point.
//!
//! They are part of the format, chosen once by search, and cannot be computed. `fixtures/every_type.py` writes the files from
//! the Python package `gguf`, copyright the ggml authors, MIT licence.

/// Points of eight magnitudes, two bits each; [`TWO_BITS`] has the values.
pub(super) static IQ2_XXS: [u16; 256] = words(include_bytes!("../grids/iq2_xxs.bin"));
/// As [`IQ2_XXS`].
pub(super) static IQ2_XS: [u16; 512] = words(include_bytes!("../grids/iq2_xs.bin"));
/// As [`IQ2_XXS`].
pub(super) static IQ2_S: [u16; 1024] = words(include_bytes!("../grids/iq2_s.bin"));
/// Points of four magnitudes, four bits each, of which three are used: 4, 12, 20, … except that the last is 62.
pub(super) static IQ3_XXS: [u16; 256] = words(include_bytes!("../grids/iq3_xxs.bin"));
/// Points of four magnitudes, four bits each, of which three are used: 1, 3, 5, …
pub(super) static IQ3_S: [u16; 512] = words(include_bytes!("../grids/iq3_s.bin"));
/// Points of eight values, two bits each: -1, 0, 1.
pub(super) static IQ1: [u16; 2048] = words(include_bytes!("../grids/iq1.bin"));

/// The magnitudes in the codebooks of two bits; no point uses the fourth.
pub(super) const TWO_BITS: [f32; 4] = [8.0, 25.0, 43.0, 0.0];
/// The magnitudes in that of [`IQ3_XXS`].
pub(super) const XXS_THREE_BITS: [f32; 8] = [4.0, 12.0, 20.0, 28.0, 36.0, 44.0, 52.0, 62.0];
/// The magnitudes in that of [`IQ3_S`].
pub(super) const S_THREE_BITS: [f32; 8] = [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0];

/// Little-endian words; refused at compile time where the file has another length.
const fn words<const B: usize, const N: usize>(bytes: &[u8; B]) -> [u16; N] {
    assert!(B == 2 * N, "a codebook of another size");
    let mut words = [0; N];
    let mut i = 0;
    while i < N {
        words[i] = u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]);
        i += 1;
    }
    words
}
