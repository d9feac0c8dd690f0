//! Vectors of sixteen lanes: the arithmetic of the quantization kernel, for any processor and for AVX-512.
//!
//! Both give the same bits: additions and multiplications stay separate, and every other operation is exact.

use core::array::from_fn;

use super::nf4::{CELLS, CELLS_PER_UNIT, Cells};

/// Numbers in a vector.
pub(super) const LANES: usize = 16;

/// Added to a number below 2^22 in magnitude, leaves no bits for a fraction: the sum is rounded to a whole number, ties
/// to even.
const SHIFT: f32 = 12_582_912.0;
/// Turns the bits of a power of two into those of [`SHIFT`] times half that power.
const SHIFT_OVER_POWER: u32 = (22 << 23) | 0x0040_0000;
/// The exponent of an f32.
const EXPONENT: u32 = 0x7f80_0000;

/// What the kernel needs of a vector.
pub(super) trait Vector: Copy {
    fn load(from: &[f32; LANES]) -> Self;
    fn splat(value: f32) -> Self;
    /// Four numbers, repeated over the lanes.
    fn repeated(four: &[f32; 4]) -> Self;
    fn lanes(self) -> [f32; LANES];
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
    fn abs(self) -> Self;
    /// The nearest whole number, ties to even, of numbers below 2^22 in magnitude.
    fn round(self) -> Self;
    /// The nearest multiple of half of the power of two at or below `self`, or of a half where `self` is below 1. For
    /// magnitudes below 8, these are the values of E2M1 up to 6, and 8.
    fn round_e2m1(self) -> Self;
    /// The nearest level of NF4, of numbers from -1 to 1.
    fn nf4(self, cells: &Cells) -> Self;
}

impl Vector for [f32; LANES] {
    #[inline(always)]
    fn load(from: &[f32; LANES]) -> Self {
        *from
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        [value; LANES]
    }

    #[inline(always)]
    fn repeated(four: &[f32; 4]) -> Self {
        from_fn(|lane| four[lane % 4])
    }

    #[inline(always)]
    fn lanes(self) -> [f32; LANES] {
        self
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        from_fn(|lane| self[lane] + other[lane])
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        from_fn(|lane| self[lane] - other[lane])
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        from_fn(|lane| self[lane] * other[lane])
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        from_fn(|lane| if self[lane] < other[lane] { self[lane] } else { other[lane] })
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.map(f32::abs)
    }

    #[inline(always)]
    fn round(self) -> Self {
        self.map(|x| (x + SHIFT) - SHIFT)
    }

    #[inline(always)]
    fn round_e2m1(self) -> Self {
        self.map(|x| {
            let power = if x > 1.0 { x } else { 1.0 }.to_bits() & EXPONENT;
            let shift = f32::from_bits(power + SHIFT_OVER_POWER);
            (x + shift) - shift
        })
    }

    #[inline(always)]
    fn nf4(self, cells: &Cells) -> Self {
        self.map(|x| {
            let cell = (x * CELLS_PER_UNIT + SHIFT).to_bits() as usize % CELLS;
            if x > cells.bound[cell] { cells.above[cell] } else { cells.below[cell] }
        })
    }
}

#[cfg(all(target_arch = "x86_64", feature = "std"))]
pub(super) mod x86 {
    //! The vector in one register. What is unsafe here is to run it on a processor without AVX-512: a value of
    //! [`Register`] is made only inside functions that are compiled for it, behind the question whether it is there.

    use core::arch::x86_64::*;

    use bytemuck::cast;

    use super::{CELLS_PER_UNIT, Cells, EXPONENT, LANES, SHIFT, SHIFT_OVER_POWER, Vector};

    /// A register of AVX-512.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Register(__m512);

    /// Calls an instruction of AVX-512.
    macro_rules! avx512 {
        ($instruction:expr) => {
            // SAFETY: only functions that enable AVX-512 use this type, and they run where the processor has it.
            unsafe { $instruction }
        };
    }

    impl Vector for Register {
        #[inline(always)]
        fn load(from: &[f32; LANES]) -> Self {
            Self(cast(*from))
        }

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(avx512!(_mm512_set1_ps(value)))
        }

        #[inline(always)]
        fn repeated(four: &[f32; 4]) -> Self {
            Self(avx512!(_mm512_broadcast_f32x4(cast(*four))))
        }

        #[inline(always)]
        fn lanes(self) -> [f32; LANES] {
            cast(self.0)
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(avx512!(_mm512_add_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(avx512!(_mm512_sub_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(avx512!(_mm512_mul_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            Self(avx512!(_mm512_min_ps(self.0, other.0)))
        }

        #[inline(always)]
        fn abs(self) -> Self {
            Self(avx512!(_mm512_abs_ps(self.0)))
        }

        #[inline(always)]
        fn round(self) -> Self {
            Self(avx512!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)))
        }

        #[inline(always)]
        fn round_e2m1(self) -> Self {
            let shift = avx512!({
                let power = _mm512_castps_si512(_mm512_max_ps(self.0, _mm512_set1_ps(1.0)));
                let power = _mm512_and_si512(power, _mm512_set1_epi32(EXPONENT as i32));
                _mm512_castsi512_ps(_mm512_add_epi32(power, _mm512_set1_epi32(SHIFT_OVER_POWER as i32)))
            });
            self.add(Self(shift)).sub(Self(shift))
        }

        #[inline(always)]
        fn nf4(self, cells: &Cells) -> Self {
            let place = self.mul(Self::splat(CELLS_PER_UNIT)).add(Self::splat(SHIFT));
            let [below, bound, above]: [[__m512; 2]; 3] = [cast(cells.below), cast(cells.bound), cast(cells.above)];
            Self(avx512!({
                // The permutations look at the lowest five bits only.
                let cell = _mm512_castps_si512(place.0);
                let bound = _mm512_permutex2var_ps(bound[0], cell, bound[1]);
                let below = _mm512_permutex2var_ps(below[0], cell, below[1]);
                let above = _mm512_permutex2var_ps(above[0], cell, above[1]);
                _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, bound), below, above)
            }))
        }
    }
}
