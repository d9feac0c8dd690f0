//! From a kernel's partial results to a chunk's sums.

use super::{
    failure::Failure,
    kernel::{COUNTS, ECHO, GREATEST, LEAST, ROWS, SUMS, ZEROS},
    layout::Layout,
};
pub(super) use crate::engine::powers::Sums;

impl Sums {
    /// Adds up the partial results of a submission.
    ///
    /// # Errors
    /// [`Failure::Incomplete`] when a unit did not run or elements are missing.
    pub(super) fn add_up(partials: &[u32], layout: &Layout, nonce: u32) -> Result<Self, Failure> {
        let units = layout.units();
        if partials.len() != ROWS * units {
            return Err(Failure::Incomplete { found: partials.len() as u64, expected: (ROWS * units) as u64 });
        }
        let row = |number: usize| &partials[number * units..][..units];
        let echoed = row(ECHO).iter().zip(0u32..).filter(|(echo, unit)| **echo == unit ^ nonce).count();
        if echoed != units {
            return Err(Failure::Incomplete { found: echoed as u64, expected: units as u64 });
        }
        let half = |shift: u32| row(COUNTS).iter().map(|word| u64::from(word >> shift & 0xffff)).sum::<u64>();
        let (finite, other) = (half(0), half(16));
        let expected = u64::from(layout.elements);
        if finite + other != expected {
            return Err(Failure::Incomplete { found: finite + other, expected });
        }
        let power = |number: usize| row(SUMS + number).iter().map(|bits| f64::from(f32::from_bits(*bits))).sum();
        let least = row(LEAST).iter().min().copied().unwrap_or(u32::MAX);
        let greatest = row(GREATEST).iter().max().copied().unwrap_or(0);
        Ok(Self {
            finite,
            other,
            zeros: row(ZEROS).iter().copied().map(u64::from).sum(),
            powers: core::array::from_fn(power),
            range: (finite > 0).then(|| (value(least), value(greatest))),
        })
    }
}

/// The value that stands behind a kernel's key.
pub(super) fn value(key: u32) -> f64 {
    let bits = if key >> 31 == 1 { key ^ 0x8000_0000 } else { !key };
    f64::from(f32::from_bits(bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{centre::Centre, gpu::layout::Format};
    use std::{vec, vec::Vec};

    /// The partial results of a chunk that one unit measured, `values` around `centre`.
    fn partials(values: &[f64], centre: &Centre, nonce: u32) -> (Vec<u32>, Layout) {
        let layout = Layout::new(Format::F32, values.len() as u32);
        let units = layout.units();
        let mut rows = vec![0; ROWS * units];
        let key = |value: f64| {
            let bits = (value as f32).to_bits();
            if bits >> 31 == 1 { !bits } else { bits ^ 0x8000_0000 }
        };
        for unit in 0..units {
            rows[ECHO * units + unit] = unit as u32 ^ nonce;
            rows[LEAST * units + unit] = u32::MAX;
        }
        rows[COUNTS * units] = values.len() as u32;
        rows[ZEROS * units] = values.iter().filter(|value| **value == 0.0).count() as u32;
        rows[LEAST * units] = values.iter().map(|value| key(*value)).min().expect("values");
        rows[GREATEST * units] = values.iter().map(|value| key(*value)).max().expect("values");
        for power in 0..4 {
            let sum: f64 =
                values.iter().map(|value| ((value - centre.pivot) * centre.factor()).powi(power as i32 + 1)).sum();
            rows[(SUMS + power) * units] = (sum as f32).to_bits();
        }
        (rows, layout)
    }

    #[test]
    fn sums_become_the_moments_of_the_textbook() {
        // Mean 4; squares 9, 4, 1, 0, 36; cubes -27, -8, -1, 0, 216; fourth powers 81, 16, 1, 0, 1296.
        let values = [1.0, 2.0, 3.0, 4.0, 10.0];
        let centre = Centre { pivot: 2.0, scale: 3 };
        let (rows, layout) = partials(&values, &centre, 77);
        let sums = Sums::add_up(&rows, &layout, 77).expect("complete");
        let moments = sums.moments(&centre);
        assert_eq!((moments.count, moments.min, moments.max), (5, 1.0, 10.0));
        for (found, expected) in [(moments.mean, 4.0), (moments.m2, 50.0), (moments.m3, 180.0), (moments.m4, 1394.0)] {
            assert!((found - expected).abs() < 1e-12 * expected, "{moments:?}");
        }
    }

    #[test]
    fn far_pivots_and_wrong_scales_are_replaced() {
        let values = [1.0, 2.0, 3.0, 4.0, 10.0];
        let replaced = |centre: Centre| {
            let (rows, layout) = partials(&values, &centre, 1);
            Sums::add_up(&rows, &layout, 1).expect("complete").better(&centre)
        };
        assert_eq!(replaced(Centre { pivot: 4.5, scale: 3 }), None);
        let far = replaced(Centre { pivot: 12.0, scale: 0 }).expect("twelve is far from four");
        assert!((far.pivot - 4.0).abs() < 0.05, "{far:?}");
        assert_eq!(replaced(Centre { pivot: 4.0, scale: 60 }).map(|centre| centre.scale), Some(0));
        assert_eq!(replaced(Centre { pivot: 4.0, scale: -60 }).map(|centre| centre.scale), Some(0));
    }

    #[test]
    fn missing_work_is_seen() {
        let centre = Centre { pivot: 0.0, scale: 0 };
        let (rows, layout) = partials(&[1.0, 2.0], &centre, 5);
        let units = layout.units();
        assert!(Sums::add_up(&rows, &layout, 5).is_ok());
        assert!(Sums::add_up(&rows, &layout, 6).is_err(), "an earlier submission's results");
        assert!(Sums::add_up(&rows[1..], &layout, 5).is_err(), "a short answer");
        assert!(Sums::add_up(&vec![0; ROWS * units], &layout, 5).is_err(), "nothing written");
        let mut dropped = rows;
        dropped[COUNTS * units] -= 1;
        assert!(Sums::add_up(&dropped, &layout, 5).is_err(), "an element dropped");
    }
}
