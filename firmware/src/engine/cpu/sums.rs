//! The moments of one block, from power sums around a pivot near its mean.
//!
//! One pass suffices while the pivot is within a few standard deviations of the mean: the conversion to central moments
//! then loses two or three of f64's sixteen digits. The pivot is the mean of what came before, which is nearly always
//! near; where it was not, the block is summed again around its own mean.

use kurtoscope_shared::Moments;

use super::{decode::Sample, passes::Pass};

/// Squared distance of pivot and mean, in variances, up to which power sums are converted.
const NEAR: f64 = 9.0;

/// The moments of a block, summed around `pivot` first (the mean so far; `None` at the start). `None` when the sums are
/// not finite: then an element is not, or its fourth power is out of range.
pub(super) fn moments<S: Sample>(block: &[S], pivot: Option<f64>) -> Option<Moments> {
    let count = block.len() as f64;
    let mut pivot = pivot.unwrap_or_else(|| block.first().copied().unwrap_or(S::ZERO).into());
    // The second attempt is around the block's own mean, the third for the rounding of one that was very far.
    for _attempt in 0..3 {
        let pass = S::pass(block, pivot);
        let [sum, squares, ..] = pass.powers;
        if !pass.powers.iter().all(|sum| sum.is_finite()) {
            return None;
        }
        let shift = sum / count;
        if shift * shift * count <= NEAR * (squares - shift * sum) {
            return Some(central(&pass, count, pivot));
        }
        // Equal elements have no spread that a shift could be small against; they are their own mean, exactly.
        pivot = if pass.min == pass.max { pass.min.into() } else { pivot + shift };
    }
    Some(moments_of_finite(block, 0))
}

/// The moments of a block of finite samples, by plain passes; `non_finite` is only passed on.
pub(super) fn moments_of_finite<S: Sample>(block: &[S], non_finite: u64) -> Moments {
    let moments = Moments::from_values(block.iter().map(|sample| (*sample).into()));
    Moments { non_finite, ..moments }
}

/// Central moments from power sums around `pivot`, by the binomial expansion of `(x - pivot - shift)^k`.
fn central<S: Sample>(pass: &Pass<S>, count: f64, pivot: f64) -> Moments {
    let [s1, s2, s3, s4] = pass.powers;
    let shift = s1 / count;
    let square = shift * shift;
    Moments {
        count: count as u64,
        mean: pivot + shift,
        m2: s2 - shift * s1,
        m3: s3 - 3.0 * shift * s2 + 2.0 * square * s1,
        m4: s4 - 4.0 * shift * s3 + 6.0 * square * s2 - 3.0 * square * shift * s1,
        // Adding zero makes zero of a minus zero, whichever of the two came first.
        min: pass.min.into() + 0.0,
        max: pass.max.into() + 0.0,
        non_finite: 0,
        zeros: u64::from(pass.zeros),
    }
}
