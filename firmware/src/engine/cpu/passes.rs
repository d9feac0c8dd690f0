//! The one pass over a block that every measurement needs: power sums around a pivot, smallest, largest, zeros.
//!
//! Written three times: in plain Rust for any processor and sample, and for f32 with the vector instructions of x86-64,
//! because compilers do not find them here (they put the four powers of one element side by side into a register). All
//! three add in the same eight lanes in the same order with the same roundings, so they give the same bits.

use core::array::from_fn;

/// Parallel sums in f64: one register of AVX-512, two of AVX2, four of SSE2 and NEON.
pub(super) const LANES: usize = 8;

/// What a pass needs to know of its samples.
pub trait Ordered: Copy + PartialOrd + Into<f64> {
    /// Zero.
    const ZERO: Self;
    /// Above every finite sample.
    const INFINITY: Self;
    /// Below every finite sample.
    const NEG_INFINITY: Self;
}

impl Ordered for f32 {
    const ZERO: Self = 0.0;
    const INFINITY: Self = f32::INFINITY;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;
}

impl Ordered for f64 {
    const ZERO: Self = 0.0;
    const INFINITY: Self = f64::INFINITY;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;
}

/// What one pass finds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pass<S> {
    /// Sums of the first to fourth power of the distances from the pivot.
    pub(super) powers: [f64; 4],
    pub(super) min: S,
    pub(super) max: S,
    pub(super) zeros: u32,
}

/// The pass in plain Rust.
pub(super) fn portable<S: Ordered>(block: &[S], pivot: f64) -> Pass<S> {
    let mut lanes = Lanes::new();
    lanes.finish(block, pivot)
}

/// The pass with the best instructions that this processor has.
pub(super) fn best(block: &[f32], pivot: f64) -> Pass<f32> {
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    {
        if std::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512F, as was just checked.
            return unsafe { x86::avx512(block, pivot) };
        }
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, as was just checked.
            return unsafe { x86::avx2(block, pivot) };
        }
    }
    portable(block, pivot)
}

/// The state of a pass, lane by lane.
struct Lanes<S> {
    powers: [[f64; LANES]; 4],
    min: [S; LANES],
    max: [S; LANES],
    zeros: u32,
}

impl<S: Ordered> Lanes<S> {
    fn new() -> Self {
        Self { powers: [[0.0; LANES]; 4], min: [S::INFINITY; LANES], max: [S::NEG_INFINITY; LANES], zeros: 0 }
    }

    /// Adds the rest of a block, starting with the first lane, and folds the lanes.
    fn finish(&mut self, rest: &[S], pivot: f64) -> Pass<S> {
        for group in rest.chunks(LANES) {
            for (lane, sample) in group.iter().enumerate() {
                let distance = (*sample).into() - pivot;
                let square = distance * distance;
                let terms = [distance, square, square * distance, square * square];
                for (sums, term) in self.powers.iter_mut().zip(terms) {
                    sums[lane] += term;
                }
                self.min[lane] = if *sample < self.min[lane] { *sample } else { self.min[lane] };
                self.max[lane] = if *sample > self.max[lane] { *sample } else { self.max[lane] };
                self.zeros += u32::from(*sample == S::ZERO);
            }
        }
        let least = |a, b| if b < a { b } else { a };
        let most = |a, b| if b > a { b } else { a };
        Pass {
            powers: from_fn(|power| fold(self.powers[power])),
            min: self.min.into_iter().fold(S::INFINITY, least),
            max: self.max.into_iter().fold(S::NEG_INFINITY, most),
            zeros: self.zeros,
        }
    }
}

fn fold([a, b, c, d, e, f, g, h]: [f64; LANES]) -> f64 {
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

#[cfg(all(target_arch = "x86_64", feature = "std"))]
mod x86 {
    use core::arch::x86_64::*;

    use bytemuck::cast;

    use super::{LANES, Lanes, Pass};

    /// How far ahead memory is asked for elements that are not in the cache: 3 KiB.
    const AHEAD: usize = 768;

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(block: &[f32], pivot: f64) -> Pass<f32> {
        let (groups, rest) = block.as_chunks::<LANES>();
        let centre = _mm512_set1_pd(pivot);
        let [mut s1, mut s2, mut s3, mut s4] = [_mm512_setzero_pd(); 4];
        let (mut min, mut max) = (_mm256_set1_ps(f32::INFINITY), _mm256_set1_ps(f32::NEG_INFINITY));
        let mut equal = _mm256_setzero_si256();
        for group in groups {
            // A hint: nothing is read at an address beyond the block.
            _mm_prefetch::<_MM_HINT_T0>(group.as_ptr().wrapping_add(AHEAD).cast());
            let samples: __m256 = cast(*group);
            // Minimum and maximum return their second operand when either is NaN: what was found so far.
            min = _mm256_min_ps(samples, min);
            max = _mm256_max_ps(samples, max);
            equal = count_zeros(samples, equal);
            let distance = _mm512_sub_pd(_mm512_cvtps_pd(samples), centre);
            let square = _mm512_mul_pd(distance, distance);
            s1 = _mm512_add_pd(s1, distance);
            s2 = _mm512_add_pd(s2, square);
            s3 = _mm512_add_pd(s3, _mm512_mul_pd(square, distance));
            s4 = _mm512_add_pd(s4, _mm512_mul_pd(square, square));
        }
        let powers = [s1, s2, s3, s4].map(cast);
        let zeros = cast::<_, [u32; LANES]>(equal).iter().sum();
        Lanes { powers, min: cast(min), max: cast(max), zeros }.finish(rest, pivot)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(block: &[f32], pivot: f64) -> Pass<f32> {
        let (groups, rest) = block.as_chunks::<LANES>();
        let centre = _mm256_set1_pd(pivot);
        let mut sums = [[_mm256_setzero_pd(); 4]; 2];
        let (mut min, mut max) = (_mm256_set1_ps(f32::INFINITY), _mm256_set1_ps(f32::NEG_INFINITY));
        let mut equal = _mm256_setzero_si256();
        for group in groups {
            // A hint: nothing is read at an address beyond the block.
            _mm_prefetch::<_MM_HINT_T0>(group.as_ptr().wrapping_add(AHEAD).cast());
            let samples: __m256 = cast(*group);
            min = _mm256_min_ps(samples, min);
            max = _mm256_max_ps(samples, max);
            equal = count_zeros(samples, equal);
            let halves = [_mm256_castps256_ps128(samples), _mm256_extractf128_ps::<1>(samples)];
            for ([s1, s2, s3, s4], half) in sums.iter_mut().zip(halves) {
                let distance = _mm256_sub_pd(_mm256_cvtps_pd(half), centre);
                let square = _mm256_mul_pd(distance, distance);
                *s1 = _mm256_add_pd(*s1, distance);
                *s2 = _mm256_add_pd(*s2, square);
                *s3 = _mm256_add_pd(*s3, _mm256_mul_pd(square, distance));
                *s4 = _mm256_add_pd(*s4, _mm256_mul_pd(square, square));
            }
        }
        let [low, high] = sums;
        let powers = core::array::from_fn(|power| cast([low[power], high[power]]));
        let zeros = cast::<_, [u32; LANES]>(equal).iter().sum();
        Lanes { powers, min: cast(min), max: cast(max), zeros }.finish(rest, pivot)
    }

    /// A comparison sets all bits of a lane, which is minus one: subtracting counts.
    #[target_feature(enable = "avx2")]
    fn count_zeros(samples: __m256, so_far: __m256i) -> __m256i {
        let equal = _mm256_cmp_ps::<_CMP_EQ_OQ>(samples, _mm256_setzero_ps());
        _mm256_sub_epi32(so_far, _mm256_castps_si256(equal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(pass: Pass<f32>) -> ([u64; 4], u32, u32, u32) {
        (pass.powers.map(f64::to_bits), pass.min.to_bits(), pass.max.to_bits(), pass.zeros)
    }

    proptest! {
        #[test]
        fn every_instruction_set_gives_the_same_bits(block in prop::collection::vec(prop_oneof![9 => -1e3f32..1e3, 1 => Just(0.0)], 0..100), pivot in -10.0..10.0f64) {
            let expected = bits(portable(&block, pivot));
            prop_assert_eq!(bits(best(&block, pivot)), expected);
            #[cfg(all(target_arch = "x86_64", feature = "std"))]
            if std::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has AVX2, as was just checked.
                prop_assert_eq!(bits(unsafe { x86::avx2(&block, pivot) }), expected);
            }
        }
    }
}
