//! The pass over the samples: what each scheme makes of them, and the squared differences, summed in lanes.

use kurtoscope_shared::quantization::Scheme;

use super::{
    SMALLS, Sums,
    nf4::NF4_CELLS,
    scales::{BySmall, Levels, Scales},
    vector::{LANES, Vector},
};

/// The squared errors of samples, in the order of [`Scheme::ALL`]. `groups` are the numbers of their groups, and `begin` is that
/// of the first one whose scales are given.
pub(super) fn sums(values: &[[f32; LANES]], groups: &[u32], begin: u32, scales: &Scales) -> Sums {
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    {
        if std::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512F, as was just checked.
            return unsafe { x86::sums_avx512(values, groups, begin, scales) };
        }
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, as was just checked.
            return unsafe { x86::sums_avx2(values, groups, begin, scales) };
        }
    }
    sums_of::<[f32; LANES]>(values, groups, begin, scales)
}

#[cfg(all(target_arch = "x86_64", feature = "std"))]
mod x86 {
    use super::{super::vector::x86::Register, *};

    #[target_feature(enable = "avx512f")]
    pub(super) fn sums_avx512(values: &[[f32; LANES]], groups: &[u32], begin: u32, scales: &Scales) -> Sums {
        sums_of::<Register>(values, groups, begin, scales)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn sums_avx2(values: &[[f32; LANES]], groups: &[u32], begin: u32, scales: &Scales) -> Sums {
        sums_of::<[f32; LANES]>(values, groups, begin, scales)
    }
}

// Closures do not take over the instruction set of the function that they are in, so everything below is a function.

#[inline(always)]
fn sums_of<V: Vector>(values: &[[f32; LANES]], groups: &[u32], begin: u32, scales: &Scales) -> Sums {
    let mut sums = [V::splat(0.0); Scheme::ALL.len()];
    for (values, group) in values.iter().zip(groups) {
        let first = (group - begin) as usize * SMALLS;
        let x = V::load(values);
        let int8_g32 = code(x, &scales.int8[0], first);
        // No code above the highest can come from a symmetric scale; Q4_0's scale is that of the extreme's own end, and
        // the other end has one code less.
        let q4_0 = code(x, &scales.q4_0, first).min(V::splat(7.0));
        let nf4 = x.mul(by_lane(&scales.nf4.inverse, first)).nf4(&NF4_CELLS);
        let magnitude = x.abs();
        let mxfp4 = magnitude.mul(by_lane(&scales.mxfp4.inverse, first)).round_e2m1().min(V::splat(6.0));
        let errors = [
            uniform(x, &scales.int8[3], first),
            error(x, int8_g32, &scales.int8[0].kept, first),
            uniform(x, &scales.int8[1], first),
            uniform(x, &scales.int8[2], first),
            uniform(x, &scales.int4[3], first),
            uniform(x, &scales.int4[0], first),
            uniform(x, &scales.int4[1], first),
            uniform(x, &scales.int4[2], first),
            error(x, int8_g32, &scales.q8_0, first),
            error(x, q4_0, &scales.q4_0.kept, first),
            error(x, nf4, &scales.nf4.kept, first),
            error(magnitude, mxfp4, &scales.mxfp4.kept, first),
        ];
        for scheme in 0..Scheme::ALL.len() {
            sums[scheme] = sums[scheme].add(errors[scheme]);
        }
    }
    let mut totals = [0.0; Scheme::ALL.len()];
    for scheme in 0..Scheme::ALL.len() {
        totals[scheme] = total(sums[scheme]);
    }
    totals
}

/// The numbers of a group's small blocks, of which the first is `first`, in the lanes of their samples.
#[inline(always)]
fn by_lane<V: Vector>(numbers: &BySmall, first: usize) -> V {
    match numbers[first..].first_chunk() {
        Some(four) => V::repeated(four),
        None => V::splat(0.0),
    }
}

/// The whole number of scales nearest to `x`.
#[inline(always)]
fn code<V: Vector>(x: V, levels: &Levels, first: usize) -> V {
    x.mul(by_lane(&levels.inverse, first)).round()
}

/// The squared distance of `x` from `code` scales.
#[inline(always)]
fn error<V: Vector>(x: V, code: V, kept: &BySmall, first: usize) -> V {
    let error = x.sub(code.mul(by_lane(kept, first)));
    error.mul(error)
}

#[inline(always)]
fn uniform<V: Vector>(x: V, levels: &Levels, first: usize) -> V {
    error(x, code(x, levels, first), &levels.kept, first)
}

#[inline(always)]
fn total<V: Vector>(sums: V) -> f64 {
    sums.lanes().into_iter().map(f64::from).sum()
}

#[cfg(test)]
mod tests {
    use kurtoscope_shared::quantization::LARGEST_BLOCK as GROUP;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::cpu::quantize::{
        scales::find,
        survey::{sample, survey},
    };

    proptest! {
        #[test]
        fn every_instruction_set_gives_the_same_bits(
            values in prop::collection::vec(prop_oneof![9 => -1f32..1.0, 1 => Just(0.0), 1 => -1e-6f32..1e-6], 2 * GROUP),
            row_largest in 1f32..2.0,
        ) {
            let groups = values.as_chunks::<GROUP>().0;
            let (mut surveys, mut list) = (Vec::new(), Vec::new());
            survey(groups, &mut surveys);
            let mut scales = Scales::ZERO;
            find(&mut scales, &surveys, &[[row_largest; 4]; 2]);
            for group in groups {
                sample(group, 0, 1, &mut list);
            }
            let numbers: Vec<u32> = (0..16).map(|sample| 5 + sample / 8).collect();
            let expected = sums_of::<[f32; LANES]>(&list, &numbers, 5, &scales).map(f64::to_bits);
            prop_assert_eq!(sums(&list, &numbers, 5, &scales).map(f64::to_bits), expected);
            #[cfg(all(target_arch = "x86_64", feature = "std"))]
            if std::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has AVX2, as was just checked.
                prop_assert_eq!(unsafe { x86::sums_avx2(&list, &numbers, 5, &scales) }.map(f64::to_bits), expected);
            }
        }
    }
}
