//! From stored bytes to numbers, a block at a time.

use alloc::vec::Vec;

use kurtoscope_shared::{Element, statistics::histogram};
use multiversion::multiversion;

use super::passes::{self, Ordered, Pass};

/// What a block is decoded to: f32 where that is exact, f64 otherwise.
pub trait Sample: Ordered {
    /// The sample next to `value`, which came from a sample.
    fn from_f64(value: f64) -> Self;

    /// The elements as they are stored, where they are samples already: right type, byte order and alignment.
    fn in_place(bytes: &[u8], element: Element) -> Option<&[Self]>;

    /// One pass over a block; see `passes`.
    fn pass(block: &[Self], pivot: f64) -> Pass<Self>;

    /// The histogram's bin; at or beyond [`histogram::BINS`] for samples that are not finite.
    fn bin(self) -> usize;

    /// The samples as binary32, in `scratch` where they are not already: rounded, and zero where they are beyond its range.
    fn narrow<'a>(block: &'a [Self], scratch: &'a mut Vec<f32>) -> &'a [f32];

    /// Moves the finite samples to the front, in order, and returns how many there are.
    fn gather_finite(block: &mut [Self]) -> usize {
        let mut finite = 0;
        for index in 0..block.len() {
            let sample = block[index];
            if sample > Self::NEG_INFINITY && sample < Self::INFINITY {
                block[finite] = sample;
                finite += 1;
            }
        }
        finite
    }
}

impl Sample for f32 {
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    fn in_place(bytes: &[u8], element: Element) -> Option<&[Self]> {
        if cfg!(target_endian = "big") || element != Element::F32 {
            return None;
        }
        bytemuck::try_cast_slice(bytes).ok()
    }

    fn pass(block: &[Self], pivot: f64) -> Pass<Self> {
        passes::best(block, pivot)
    }

    fn narrow<'a>(block: &'a [Self], _: &'a mut Vec<f32>) -> &'a [f32] {
        block
    }

    #[inline(always)]
    fn bin(self) -> usize {
        ((self.to_bits() & 0x7fff_ffff) >> histogram::BIN_SHIFT) as usize
    }
}

impl Sample for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }

    fn in_place(bytes: &[u8], element: Element) -> Option<&[Self]> {
        if cfg!(target_endian = "big") || element != Element::F64 {
            return None;
        }
        bytemuck::try_cast_slice(bytes).ok()
    }

    fn pass(block: &[Self], pivot: f64) -> Pass<Self> {
        passes::portable(block, pivot)
    }

    fn narrow<'a>(block: &'a [Self], scratch: &'a mut Vec<f32>) -> &'a [f32] {
        scratch.clear();
        scratch.extend(block.iter().map(|sample| finite_or_zero(*sample as f32)));
        scratch
    }

    fn bin(self) -> usize {
        if self.is_finite() { histogram::bin_of(self.abs()) } else { histogram::BINS }
    }
}

/// binary32: a copy, since the bytes need not be aligned.
pub(super) fn f32(bytes: &[u8], block: &mut [f32]) {
    for (sample, bytes) in block.iter_mut().zip(bytes.as_chunks().0) {
        *sample = f32::from_le_bytes(*bytes);
    }
}

/// bfloat16: the upper half of a binary32.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2"))]
pub(super) fn bf16(bytes: &[u8], block: &mut [f32]) {
    for (sample, bytes) in block.iter_mut().zip(bytes.as_chunks().0) {
        *sample = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
    }
}

/// binary16, without branches so that it runs in lanes.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2"))]
pub(super) fn f16(bytes: &[u8], block: &mut [f32]) {
    for (sample, bytes) in block.iter_mut().zip(bytes.as_chunks().0) {
        let bits = u32::from(u16::from_le_bytes(*bytes));
        // Exponent and mantissa moved to where binary32 has them; the product repairs the exponent's bias (15 to 127)
        // and makes subnormals normal, both exactly.
        let magnitude = (bits & 0x7fff) << 13;
        let value = f32::from_bits(magnitude) * TWO_POW_112;
        // Infinities and NaNs carry the largest exponent in both formats.
        let special = if magnitude >= 0x7c00 << 13 { 0x7f80_0000 } else { 0 };
        *sample = f32::from_bits(value.to_bits() | special | (bits & 0x8000) << 16);
    }
}

const TWO_POW_112: f32 = f32::from_bits((127 + 112) << 23);

/// Any element type, one by one.
pub(super) fn scalar<S: Sample>(element: Element, bytes: &[u8], block: &mut [S]) {
    for (sample, bytes) in block.iter_mut().zip(bytes.chunks_exact(element.size())) {
        *sample = S::from_f64(element.decode(bytes).unwrap_or_default());
    }
}

/// All elements in `bytes` as binary32, zero where they are not finite.
pub(super) fn finite(element: Element, bytes: &[u8], elements: &mut Vec<f32>) {
    elements.clear();
    elements.resize(bytes.len() / element.size(), 0.0);
    match element {
        Element::F32 => f32(bytes, elements),
        Element::F16 => f16(bytes, elements),
        Element::Bf16 => bf16(bytes, elements),
        _ => scalar(element, bytes, elements),
    }
    for element in elements {
        *element = finite_or_zero(*element);
    }
}

/// The number, or zero where it is not one.
#[inline(always)]
pub(super) fn finite_or_zero(value: f32) -> f32 {
    if value.abs() <= f32::MAX { value } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code of a 16-bit format against the crate `half`, through `Element::decode`.
    fn every_code(element: Element, decode: impl Fn(&[u8], &mut [f32])) {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let mut block = std::vec![0.0; 65_536];
        decode(&bytes, &mut block);
        for (code, found) in block.iter().enumerate() {
            let expected = element.decode(&bytes[2 * code..]).expect("two bytes") as f32;
            assert!(
                found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
                "{element} {code:04x}: {found} against {expected}"
            );
        }
    }

    #[test]
    fn every_f16() {
        every_code(Element::F16, f16);
    }

    #[test]
    fn every_bf16() {
        every_code(Element::Bf16, bf16);
    }

    #[test]
    fn finite_samples_keep_their_order() {
        let mut block = [1.0, f32::NAN, -2.0, f32::INFINITY, f32::NEG_INFINITY, 3.0];
        assert_eq!(f32::gather_finite(&mut block), 3);
        assert_eq!(block[..3], [1.0, -2.0, 3.0]);
    }
}
